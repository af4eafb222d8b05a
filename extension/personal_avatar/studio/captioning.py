"""Use cases: captions of photos, by taggers, by hand, and what is wrong with them."""
from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.captions import lint
from personal_avatar.captions.english import with_article
from personal_avatar.captions.files import caption_file, caption_of, write_caption, written_caption
from personal_avatar.captions.finishing import finished
from personal_avatar.captions.lint import Finding, Subject
from personal_avatar.captions.settings import CaptionSettings
from personal_avatar.captions.taggers import BLIP, TEMPLATE, WD14, Describe, describer, lacking, refusal, resolved
from personal_avatar.captions.task import CAPTION, CaptionTask, file_name
from personal_avatar.domain import Look
from personal_avatar.errors import FileTooLarge, NotFound, TooFewPhotos, TrainerMissing, UnreadablePhoto, WrongState
from personal_avatar.jobs.states import ACTIVE
from personal_avatar.jobs.store import Job
from personal_avatar.params import validated
from personal_avatar.photos.settings import PhotoSettings
from personal_avatar.studio.requests import GIVE_SOME
from personal_avatar.wording import text

if TYPE_CHECKING:
    from personal_avatar.studio.studio import Studio

OnProgress = Callable[[int, int], None]


@dataclass(frozen=True)
class TaggerStatus:
    """A tagger and whether it works now. `missing`: one sentence that says what it lacks, with size and licence; ""
    when it is ready. `weights`: names in weights.registry that would make it ready. `here`: it runs in this process
    (`suggest`); every other one, and what is not the host's, runs as a job (`start`)."""

    name: str
    ready: bool
    missing: str = ""
    hint: str = ""
    weights: tuple[str, ...] = ()
    here: bool = True
    as_job: bool = True


@dataclass(frozen=True)
class Described:
    """Captions by photo, and why the photos that have none could not be read."""

    captions: dict[Path, str]
    skipped: dict[Path, str]


@dataclass(frozen=True)
class Written:
    """Captions that lie beside photos, and why the files that cannot be used cannot."""

    captions: dict[Path, str]
    problems: dict[Path, str]


class Captioning:
    """What the doors may ask about captions."""

    def __init__(self, studio: Studio) -> None:
        self._studio = studio

    # -- taggers

    def taggers(self) -> tuple[TaggerStatus, ...]:
        """All that there are, whether they work or not: the template, ours, the host's."""
        host = self._studio.host
        own = [self._status(name) for name in (*WD14, BLIP)]
        theirs = [(name, host.interrogator_lacks(name)) for name in host.interrogators()]
        return (
            TaggerStatus(TEMPLATE, True, as_job=False), *own,
            *(TaggerStatus(name, not lacks, lacks, as_job=False) for name, lacks in theirs),
        )

    def recommended(self, look: Look) -> str:
        """The tagger that suits such pictures best of those that are ready: tags for drawings, sentences for photos."""
        ready = {status.name for status in self.taggers() if status.ready}
        tags = (*reversed(WD14), "deepdanbooru")
        order = (*tags, BLIP, "webui-blip") if look is Look.DRAWN else (BLIP, "webui-blip", *tags)
        return next((name for name in order if name in ready), TEMPLATE)

    def _status(self, name: str) -> TaggerStatus:
        folder, here = self._studio.weights_folder, name != BLIP
        if missing := lacking(name, folder):
            why = refusal(name, missing, folder)
            return TaggerStatus(name, False, why.message, why.hint, why.weights, here)
        try:
            if not here:
                self._studio.host.trainer()
        except TrainerMissing as error:
            return TaggerStatus(name, False, error.message, error.hint, here=here)
        return TaggerStatus(name, True, here=here)

    def suggest(
        self, photos: Sequence[Path], tagger: str, on_progress: OnProgress | None = None, *, trigger: str = "",
        class_noun: str = "person", settings: Mapping[str, Any] | None = None,
    ) -> dict[Path, str]:
        """`describe` without the photos that cannot be read."""
        return self.describe(
            photos, tagger, on_progress, trigger=trigger, class_noun=class_noun, settings=settings
        ).captions

    def describe(
        self, photos: Sequence[Path], tagger: str, on_progress: OnProgress | None = None, *, trigger: str = "",
        class_noun: str = "person", settings: Mapping[str, Any] | None = None,
    ) -> Described:
        """Captions by a tagger that runs in this process; nothing is written.

        Raises `WeightsMissing` with what would have to be downloaded, `NotFound` for a name that is none, `WrongState`
        for a tagger that needs a job.
        """
        chosen: CaptionSettings = validated(CaptionSettings, dict(settings or {}))
        subject = Subject(trigger, class_noun)
        if tagger == TEMPLATE:
            who = trigger or with_article(class_noun)
            caption = caption_of(PhotoSettings().caption_template, who, class_noun)
            return _described(photos, lambda image: caption, on_progress)
        with self._describer(tagger, chosen) as say:
            return _described(photos, lambda image: finished(say(image), subject, chosen.mend), on_progress)

    @contextmanager
    def _describer(self, tagger: str, settings: CaptionSettings) -> Iterator[Describe]:
        host, folder = self._studio.host, self._studio.weights_folder
        name = resolved(tagger, folder)
        if name == BLIP:
            raise WrongState("BLIP needs the packages for training.", "Start it as a job.")
        if name in host.interrogators():
            yield lambda image: host.interrogate(image, name)
        else:
            self._refuse_unknown(name)
            yield describer(name, folder, settings)

    def _refuse_unknown(self, name: str) -> None:
        if name not in (*WD14, BLIP):
            known = ", ".join(status.name for status in self.taggers())
            raise NotFound(f"There is no tagger {name!r} here.", f"There are: {known}. DeepDanbooru is the WebUI's.")

    def start(
        self, photos: Sequence[Path], tagger: str = BLIP, *, trigger: str = "", class_noun: str = "person",
        settings: Mapping[str, Any] | None = None, title: str = "", user_id: str = "local", avatar_id: str = "",
    ) -> Job:
        """Put the description of photos into the queue; the result is {"captions": {file name: text}, "skipped":
        {file name: why}}. The job has copies of the photos until it ends. `title`: whose photos they are; when the
        avatar of that name is erased, the job is erased with it.

        Raises, before anything starts, `WeightsMissing`, `TrainerMissing`, `InvalidSettings`, `QueueFull`, and
        `WrongState` for the host's taggers, which work in its process alone.
        """
        studio, folder = self._studio, self._studio.weights_folder
        name = resolved(tagger, folder)
        if name == TEMPLATE or name in studio.host.interrogators():
            raise WrongState(f"{name} does not run as a job.", "Ask for suggestions instead.")
        self._refuse_unknown(name)
        validated(CaptionSettings, dict(settings or {}))
        if not photos:
            raise TooFewPhotos(text("refusal.nofiles"), GIVE_SOME)
        if missing := lacking(name, folder):
            raise refusal(name, missing, folder)
        studio.host.trainer()
        names = names_of(photos)
        title = title or " … ".join(dict.fromkeys((names[0], names[-1])))
        task = CaptionTask(name, names, folder, trigger, class_noun, dict(settings or {}))
        files = {file_name(number): photo for number, photo in enumerate(photos)}
        return studio.queue.submit(CAPTION, task, title=title, user_id=user_id, avatar_id=avatar_id, files=files)

    def drop(self, job_id: str) -> None:
        """End a job that nobody wants any more, and erase it; one that runs only loses its photos, when it has ended.

        A job that is gone is no error.
        """
        studio = self._studio
        try:
            if studio.jobs.status(job_id).state in ACTIVE:
                studio.queue.cancel(job_id)
            studio.gallery.erase(job_id)
        except (NotFound, WrongState):
            return

    # -- files

    def read(self, photos: Sequence[Path]) -> Written:
        """What the text files beside the photos say; photos without one are left out."""
        found = Written({}, {})
        for photo in photos:
            try:
                if caption_file(photo).exists():
                    found.captions[photo] = written_caption(photo)
            except ValueError as problem:
                found.problems[photo] = str(problem)
        return found

    def write(self, captions: Mapping[Path, str], overwrite: bool = False) -> dict[Path, bool]:
        """Write each caption beside its photo. By photo whether it was written: a file that is there already stays
        unless `overwrite` allows to replace it."""
        return {photo: write_caption(photo, caption, overwrite) for photo, caption in captions.items()}

    # -- faults

    def lint(
        self, captions: Mapping[str, str], trigger: str = "", class_noun: str = "person"
    ) -> tuple[tuple[Finding, ...], dict[str, str]]:
        """What is wrong with captions by file name, and the captions with all of it mended."""
        found = lint.findings(captions, trigger, class_noun)
        return found, lint.mended(captions, found)


def names_of(photos: Sequence[Path]) -> tuple[str, ...]:
    """File names, each once: a second one of the same name gets its number before it."""
    found: list[str] = []
    for number, photo in enumerate(photos, start=1):
        found.append(photo.name if photo.name not in found else f"{number}-{photo.name}")
    return tuple(found)


def to_document(found: Sequence[Finding]) -> list[dict[str, Any]]:
    """Findings as JSON."""
    return [
        {"file": finding.file, "code": finding.code.value, "words": list(finding.words), "what": finding.what,
         "why": finding.why, "mended": finding.mended}
        for finding in found
    ]  # fmt: skip


def _described(photos: Sequence[Path], say: Describe, on_progress: OnProgress | None) -> Described:
    from personal_avatar.photos.read import read_photo

    captions: dict[Path, str] = {}
    skipped: dict[Path, str] = {}
    for done, photo in enumerate(photos, start=1):
        try:
            captions[photo] = say(read_photo(photo)[1])
        except (UnreadablePhoto, FileTooLarge) as error:
            skipped[photo] = error.message
        if on_progress:
            on_progress(done, len(photos))
    return Described(captions, skipped)
