"""What the photo report asks of a photo, and how pictures are cut out. Limits were measured: quality.py, persons.py."""
from __future__ import annotations

from personal_avatar.params import Settings, setting

PORTRAIT = "portrait"
FULL = "full"
NEEDED, IGNORED = "needed", "ignored"


class PhotoSettings(Settings):
    """Limits of the photo report and settings of the preparation.

    `other_people`: "auto" compares with the spread of the set as well, "threshold" only with the recogniser's limit
    (for very different photos of one person), "off" lets everybody pass.
    `faces`: "ignored" takes pictures of anything, for a style: nobody is looked for, they are trained whole and without
    masks of heads.
    `framing`: how photos are cut for training: "portrait" as a square of head and shoulders, "full" whole, in their own
    proportions. `caption_files`: whether a text file beside a photo, of the same name, is its caption.
    """

    faces: str = setting(NEEDED, "Faces in the photos", choices=(NEEDED, IGNORED), advanced=True)
    min_face_px: int = setting(64, "Smallest width of a face", ge=16, le=1024, step=8, unit="px")
    min_sharpness: float = setting(27, "Lowest sharpness", ge=0, le=100, step=1)
    min_brightness: float = setting(0.17, "Lowest brightness", ge=0, le=1, step=0.01, advanced=True)
    max_clipped: float = setting(0.2, "Largest overexposed share of the face", ge=0, le=1, step=0.01, advanced=True)
    max_yaw_deg: float = setting(55, "Farthest turn of the head", ge=10, le=90, step=1, unit="°", advanced=True)
    second_face_share: float = setting(
        0.45, "Width from which a second face counts, against the first", ge=0.05, le=1, step=0.05, advanced=True
    )
    other_people: str = setting("auto", "Other people are found", choices=("auto", "threshold", "off"), advanced=True)
    max_side_px: int = setting(8000, "Longest side of a photo", ge=256, le=20000, step=100, unit="px", advanced=True)
    max_file_mb: int = setting(40, "Largest file", ge=1, le=500, step=1, unit="MB", advanced=True)
    wanted_photos: int = setting(8, "Photos that make a good avatar", ge=1, le=100, step=1, advanced=True)
    framing: str = setting(PORTRAIT, "Framing of the training pictures", choices=(PORTRAIT, FULL))
    crop_margin: float = setting(2.2, "Side of the crop, in heights of the face", ge=1, le=6, step=0.1)
    level_from_deg: float = setting(8, "Tilt that gets levelled, from", ge=0, le=90, step=1, unit="°", advanced=True)
    max_upscale: float = setting(2, "Largest enlargement of a crop", ge=1, le=8, step=0.1, advanced=True)
    caption_template: str = setting("a photo of {trigger}", "Caption", max_length=300)
    caption_files: bool = setting(True, "Captions from text files beside the photos", advanced=True)
    repeats: int = setting(1, "Repeats of each picture in an epoch", ge=1, le=1000, step=1, advanced=True)

    @property
    def wants_faces(self) -> bool:
        return self.faces == NEEDED
