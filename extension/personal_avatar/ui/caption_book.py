"""The captions of a draft's photos: read from the text files beside them, written back at once, every step undone.

A photo whose caption is empty has no file; the training then takes the template of the photo settings.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

from personal_avatar.captions.editing import History, replaced
from personal_avatar.captions.files import LONGEST, caption_file, caption_of, own_caption
from personal_avatar.captions.lint import Code, Finding, findings
from personal_avatar.errors import InvalidSettings
from personal_avatar.names import TRIGGER_TOKEN
from personal_avatar.storage import sha256_of, write_bytes
from personal_avatar.ui.desk import Desk, Draft
from personal_avatar.ui.refusal import Refusal

# What the training sees to by itself: a missing trigger is put first, a missing caption is the template.
BY_ITSELF = frozenset({Code.EMPTY, Code.TRIGGER_MISSING})
Captions = dict[str, str]


def trigger_of(draft: Draft) -> str:
    """The words that will stand for the person."""
    return f"{TRIGGER_TOKEN} {draft.class_noun}"


def template_of(draft: Draft, word: str) -> str:
    """What a photo without a caption is trained with; `word` in the place of the one that only the training finds."""
    return caption_of(draft.photo_settings.caption_template, f"[{word}] {draft.class_noun}", draft.class_noun)


def photos_of(draft: Draft) -> tuple[Path, ...]:
    """Whose captions are edited: those that will be trained, before a check all."""
    return draft.accepted if draft.report is not None else draft.photos


def captions_of(draft: Draft) -> Captions:
    """{file name of the photo: text}, in the order of the photos; what cannot be read counts as empty."""
    return {photo.name: _read(photo) for photo in photos_of(draft)}


def contents_of(photos: Iterable[Path]) -> dict[str, str]:
    """{file name: SHA-256}: which photos they are, whatever takes their names later; without those that are gone."""
    return {photo.name: sha256_of(photo) for photo in photos if photo.is_file()}


def faults(draft: Draft, captions: Mapping[str, str]) -> tuple[Finding, ...]:
    """What is wrong with the captions, without what the training sees to by itself."""
    found = findings(captions, trigger_of(draft), draft.class_noun)
    return tuple(finding for finding in found if finding.code not in BY_ITSELF)


def history(desk: Desk, key: str) -> History:
    """The captions as they are now, with the steps back and forth; new when other photos are there."""
    now = captions_of(desk.draft(key))
    found = desk.histories.get(key)
    if found is None or set(found.now) != set(now):
        return History(now)
    return found.changed(now)


def change(desk: Desk, key: str, captions: Mapping[str, str]) -> None:
    """Write captions, as one step. Raises `InvalidSettings` for one that is too long."""
    with desk.lock:
        _keep(desk, key, history(desk, key).changed(dict(captions)))


def take(desk: Desk, key: str, captions: Mapping[str, str]) -> None:
    """Captions for some photos, the others stay; for photos that are gone meanwhile nothing."""
    with desk.lock:
        now = captions_of(desk.draft(key))
        change(desk, key, {**now, **{name: text for name, text in captions.items() if name in now}})


def hand_over(
    desk: Desk, key: str, captions: Mapping[str, str], before: Mapping[str, str], photos: Mapping[str, str]
) -> None:
    """`take` what somebody wrote for `photos` (their `contents_of`), when all captions were as `before`; where the name
    is another photo's now, or the caption was changed since, it stays as it is."""
    with desk.lock:
        draft = desk.draft(key)
        now, there = captions_of(draft), contents_of(photos_of(draft))
        same = {
            name for name, sha256 in there.items() if photos.get(name) == sha256 and now[name] == before.get(name, "")
        }
        take(desk, key, {name: text for name, text in captions.items() if name in same})


def rename(desk: Desk, key: str, old: str) -> None:
    """The trigger of the draft in the place of an `old` one."""
    draft = desk.draft(key)
    captions = captions_of(draft)
    if any(captions.values()):
        change(desk, key, replaced(captions, old, trigger_of(draft)))


def undo(desk: Desk, key: str) -> None:
    with desk.lock:
        _keep(desk, key, history(desk, key).undone())


def redo(desk: Desk, key: str) -> None:
    with desk.lock:
        _keep(desk, key, history(desk, key).redone())


def _keep(desk: Desk, key: str, step: History) -> None:
    photos = {photo.name: photo for photo in photos_of(desk.draft(key))}
    for name, text in step.now.items():
        if len(text) > LONGEST:
            raise Refusal(InvalidSettings, "longcaption", name=name, n=len(text), most=LONGEST)
    for name, text in step.now.items():
        if name in photos and text != _read(photos[name]):
            _write(photos[name], text)
    desk.histories[key] = step


def _read(photo: Path) -> str:
    try:
        return own_caption(photo, "")
    except ValueError:
        return ""


def _write(photo: Path, text: str) -> None:
    if text:
        write_bytes(caption_file(photo), text.encode("utf-8"))
    else:
        caption_file(photo).unlink(missing_ok=True)
