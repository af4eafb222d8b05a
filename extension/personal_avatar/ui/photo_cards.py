"""The photo report as HTML: a card for each photo with its verdict, what can be decided about it, and its faces."""

from __future__ import annotations

from hashlib import sha256
from html import escape

from personal_avatar.domain import Face, PhotoVerdict, Reason
from personal_avatar.ui.markup import badge, facts, tag
from personal_avatar.ui.photo_pictures import PhotoPictures
from personal_avatar.ui.pictures import Shelf
from personal_avatar.ui.presses import attributes_of, button
from personal_avatar.ui.scene import Scene
from personal_avatar.ui.texts import DEFAULT, has, text
from personal_avatar.wording import score

PRESS = "photo"
CROWD_PX = 300  # height at which a photo of several people is shown


def cards(scene: Scene, shelf: Shelf, pictures: PhotoPictures) -> str:
    """All photos of the report, in their order."""
    report = scene.draft.report
    made = [_card(verdict, scene, shelf, pictures) for verdict in report.photos] if report else []
    return tag("ul", *made, class_="pa-cards pa-report") if made else ""


def dom_id(verdict: PhotoVerdict, part: str) -> str:
    """Stays the same while the photo is there."""
    name = verdict.photo.sha256 if verdict.photo else sha256(verdict.path.name.encode()).hexdigest()
    return f"pa-{part}-{name[:16]}"


def _card(verdict: PhotoVerdict, scene: Scene, shelf: Shelf, pictures: PhotoPictures) -> str:
    crowd = len(verdict.people) > 1
    classes = ["pa-card", "" if verdict.accepted else "pa-off", "pa-crowded" if crowd else ""]
    return tag(
        "li",
        _shot(verdict, scene, shelf, pictures, crowd),
        tag("div", *_words(verdict, scene, crowd), class_="pa-words"),
        class_=" ".join(filter(None, classes)),
        id=dom_id(verdict, "card"),
        data_photo=verdict.path.name,
    )


def _words(verdict: PhotoVerdict, scene: Scene, crowd: bool) -> list[str]:
    reasons = [_reason(reason.value, verdict, scene) for reason in verdict.reasons]
    remarks = [_remark(code, verdict, scene) for code in verdict.remarks]
    return [
        tag("div", _mark(verdict, scene), class_="pa-head"),
        tag("div", escape(verdict.path.name), class_="pa-name", title=verdict.path.name),
        tag("ul", *reasons, class_="pa-reasons") if reasons else "",
        tag("p", escape(scene.say("photos.which")), class_="pa-note") if crowd else "",
        tag("ul", *remarks, class_="pa-reasons pa-remarks") if remarks else "",
        facts(_numbers(verdict, scene)),
        _decisions(verdict, scene),
    ]


# -- verdict


def _mark(verdict: PhotoVerdict, scene: Scene) -> str:
    by_hand = verdict.choice.take is not None and verdict.accepted == verdict.choice.take
    if verdict.accepted:
        return badge("good", scene.say("verdict.taken" if by_hand and verdict.reasons else "verdict.accepted"))
    return badge("bad", scene.say("verdict.left" if by_hand and not verdict.reasons else "verdict.rejected"))


def _reason(code: str, verdict: PhotoVerdict, scene: Scene) -> str:
    what, hint = scene.say(f"reason.{code}"), scene.say(f"reason.{code}.hint")
    detail = _detail(code, verdict, scene)
    english = "en" if scene.language != DEFAULT and "{why}" in text(f"reason.{code}.detail") else None
    numbers = tag("span", f"({escape(detail)})", class_="pa-detail", lang=english) if detail else ""
    return tag("li", " ".join(filter(None, (tag("strong", escape(what)), numbers, escape(hint)))), data_reason=code)


def _detail(code: str, verdict: PhotoVerdict, scene: Scene) -> str:
    """What the words before it do not say."""
    if code == Reason.NO_FACE.value:
        return ""
    twin = verdict.values.get("twin") if code == Reason.DUPLICATE.value else None
    return str(twin or "") or _filled(f"reason.{code}.detail", verdict, scene)


def _remark(code: str, verdict: PhotoVerdict, scene: Scene) -> str:
    return tag("li", escape(_filled(f"remark.{code}", verdict, scene) or code), data_remark=code)


def _filled(key: str, verdict: PhotoVerdict, scene: Scene) -> str:
    """A text with the numbers of the photo; "" where the table or the verdict lacks it."""
    try:
        return scene.say(key, **verdict.values) if has(key) else ""
    except (KeyError, ValueError):
        return ""


def _numbers(verdict: PhotoVerdict, scene: Scene) -> list[tuple[str, str]]:
    numbers = []
    if verdict.similarity is not None:
        numbers.append((scene.say("photos.similarity"), score(verdict.similarity)))
    if verdict.quality is not None:
        numbers.append((scene.say("photos.sharpness"), f"{verdict.quality.sharpness:.0f}"))
    if verdict.face is not None:
        numbers.append((scene.say("photos.face"), f"{verdict.face.width_px:.0f} px"))
    if verdict.quality is not None and verdict.face is not None:
        numbers.append((scene.say("photos.turn"), _degrees(verdict.quality.yaw_deg)))
        numbers.append((scene.say("photos.tilt"), _degrees(verdict.quality.roll_deg)))
    return numbers


def _degrees(angle: float) -> str:
    return f"{round(angle):+d}°" if round(angle) else "0°"


# -- decisions


def _decisions(verdict: PhotoVerdict, scene: Scene) -> str:
    """The other way, the check's way where that is another one, and away with it."""
    by_hand, by_check = verdict.choice.take is not None, not verdict.reasons
    same_way = by_hand and by_check != verdict.accepted
    possible = verdict.accepted or (verdict.usable and verdict.photo is not None)
    other = "leave" if verdict.accepted else "take"
    made = [
        _decision(verdict, scene, other, "decide") if possible and not same_way else "",
        _decision(verdict, scene, "back", "back") if by_hand else "",
        _decision(verdict, scene, "remove", "remove"),
    ]
    group = scene.say("photos.decide", name=verdict.path.name)
    return tag("div", *made, class_="pa-buttons", role="group", aria_label=group)


def _decision(verdict: PhotoVerdict, scene: Scene, do: str, part: str) -> str:
    words, name = scene.say(f"photos.{do}"), verdict.path.name
    return button(PRESS, dom_id(verdict, part), words, f"{words}: {name}", "pa-slim", do=do, photo=name)


# -- the picture, and the faces in it


def _shot(verdict: PhotoVerdict, scene: Scene, shelf: Shelf, pictures: PhotoPictures, crowd: bool) -> str:
    small = pictures.small(verdict.path)
    if small is None:
        return tag("div", "?", class_="pa-thumb pa-none", aria_hidden="true")
    alt = scene.say("photos.alt", name=verdict.path.name)
    place = "" if crowd else f' style="object-position:{position(verdict)}"'
    shape = _shape(verdict) if crowd else None
    opener = tag(
        "button",
        f'<img class="pa-thumb" src="{shelf.url(small)}" alt="{escape(alt)}" loading="lazy"{place}>',
        type="button", class_="pa-open", id=dom_id(verdict, "open"), aria_haspopup="dialog",
        aria_label=scene.say("photos.enlarge", name=verdict.path.name), data_pa_photo=verdict.path.name,
    )
    faces = [_face(number, verdict, scene) for number in range(len(verdict.people))] if crowd else []
    return tag("div", opener, *faces, class_="pa-shot", style=shape)


def _shape(verdict: PhotoVerdict) -> str:
    """Room for the whole photo before it is loaded, as CSS."""
    width, height = verdict.photo.size_px if verdict.photo else (1, 1)
    return f"aspect-ratio:{width}/{height};width:min(100%,{round(CROWD_PX * width / height)}px)"


def position(verdict: PhotoVerdict) -> str:
    """Where a square view of the photo has the face in its middle, as CSS."""
    if verdict.face is None or verdict.photo is None:
        return "50% 50%"
    width, height = verdict.photo.size_px
    left, top, right, bottom = verdict.face.box_px
    return f"{_share((left + right) / 2, width, height):.0f}% {_share((top + bottom) / 2, height, width):.0f}%"


def _share(middle: float, length: int, other: int) -> float:
    """Percent of the way that a square of the shorter side can go along `length`."""
    spare = length - min(length, other)
    return 50.0 if spare <= 0 else 100 * min(max((middle - min(length, other) / 2) / spare, 0.0), 1.0)


def _face(number: int, verdict: PhotoVerdict, scene: Scene) -> str:
    """A box over the picture that chooses this face."""
    face = verdict.people[number]
    label = scene.say("photos.thisface", n=number + 1, total=len(verdict.people), name=verdict.path.name)
    return tag(
        "button", type="button", class_="pa-facebox", id=dom_id(verdict, f"face{number}"), aria_label=label,
        title=label,         aria_pressed="true" if _meant(verdict, face) else "false", style=_box(face, verdict),
        **attributes_of(PRESS, do="face", photo=verdict.path.name, face=number),
    )


def _meant(verdict: PhotoVerdict, face: Face) -> bool:
    """Also by the check; where it is for the user to say who it is, nobody until then."""
    if verdict.choice.face is not None:
        return verdict.people[verdict.choice.face : verdict.choice.face + 1] == (face,)
    if Reason.SEVERAL_FACES in verdict.reasons and not verdict.accepted:
        return False
    return verdict.face is not None and verdict.face.box_px == face.box_px


def _box(face: Face, verdict: PhotoVerdict) -> str:
    """The box in percent of the picture, as CSS."""
    width, height = verdict.photo.size_px if verdict.photo else (1, 1)
    left, top, right, bottom = face.box_px
    sides = (left / width, top / height, (right - left) / width, (bottom - top) / height)
    return ";".join(
        f"{name}:{100 * side:.1f}%" for name, side in zip(("left", "top", "width", "height"), sides, strict=True)
    )
