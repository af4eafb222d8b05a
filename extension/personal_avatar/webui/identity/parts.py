"""Where only a part of a picture is painted, as the WebUI does around a mask; knows no WebUI."""
from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from PIL import Image

from personal_avatar.identities import IdentityRequest, Subject
from personal_avatar.identity.regions import Box


@dataclass(frozen=True)
class Part:
    """`place_px`: left, top, width, height in a picture of `whole_px` (width, height), painted in `size_px`."""

    place_px: tuple[int, int, int, int]
    whole_px: tuple[int, int]
    size_px: tuple[int, int]

    def of(self, request: IdentityRequest) -> IdentityRequest:
        """The request with places in this part instead of the whole picture, without those who stand outside."""
        people = tuple(filter(None, map(self._person, request.people)))
        pose = request.keypoints_image
        return replace(request, people=people, keypoints_image=pose if pose is None else self._pose(pose))

    @property
    def _shares(self) -> Box:
        left, top, width, height = self.place_px
        whole_width, whole_height = self.whole_px
        return left / whole_width, top / whole_height, (left + width) / whole_width, (top + height) / whole_height

    def _person(self, person: Subject) -> Subject | None:
        if person.mask is not None:
            mask = self._cut(person.mask, Image.Resampling.BOX)
            return replace(person, mask=mask) if mask.any() else None
        if person.box is None:
            return person
        left, top, right, bottom = self._shares
        low = np.array((left, top))
        corners = (np.array(person.box).reshape(2, 2) - low) / (np.array((right, bottom)) - low)
        (first, above), (last, below) = np.clip(corners, 0.0, 1.0).tolist()
        return replace(person, box=(first, above, last, below)) if first < last and above < below else None

    def _pose(self, pose: np.ndarray) -> np.ndarray:
        """Poses are fitted into the whole picture, their ratio kept: black at the sides, then this part of it."""
        height, width = pose.shape[:2]
        whole_width, whole_height = self.whole_px
        ratio = whole_width / whole_height
        beside, above = max(0, round((height * ratio - width) / 2)), max(0, round((width / ratio - height) / 2))
        return self._cut(np.pad(pose, ((above, above), (beside, beside), (0, 0))), Image.Resampling.LANCZOS)

    def _cut(self, picture: np.ndarray, how: Image.Resampling) -> np.ndarray:
        """This part of a picture that is stretched over the whole one."""
        height, width = picture.shape[:2]
        left, top, right, bottom = self._shares
        box = (left * width, top * height, right * width, bottom * height)
        return np.asarray(Image.fromarray(picture).resize(self.size_px, how, box=box))
