"""What a training leaves behind: the published file, the result document, the report."""

from __future__ import annotations

import math
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from personal_avatar import caveats
from personal_avatar.avatars import subject_prompt
from personal_avatar.caveats import codes
from personal_avatar.domain import LIKENESS, Advice, Checkpoint, Dataset, Engine, Family, Likeness, to_json
from personal_avatar.jobs.events import Log
from personal_avatar.naming import described
from personal_avatar.storage import sha256_of
from personal_avatar.training import memory
from personal_avatar.training.evaluation.bench import FinalScores, Untrained, keep_samples
from personal_avatar.training.families.detect import LATENT_PX
from personal_avatar.training.planning.usual import usual_rate, usual_steps
from personal_avatar.training.results import report
from personal_avatar.training.results.advice import advice
from personal_avatar.training.results.document import Numbers
from personal_avatar.training.results.kohya_texts import Shown
from personal_avatar.training.results.publish import Facts, publish, published_trigger
from personal_avatar.training.work import Point, Training, Work
from personal_avatar.wording import megabytes, score, text

PRECISIONS = {"torch.float16": "fp16", "torch.bfloat16": "bf16"}  # in the words of kohya's programs


def facts_at(work: Work, training: Training, step: int, note: str = "") -> Facts:
    """What is written into a file that is saved at `step`."""
    dataset, model = training.dataset, training.bench.model
    base, precision = model.base, PRECISIONS.get(str(model.compute.autocast), "no")
    return Facts(
        base.family, dataset.trigger, work.resolution_px, len(dataset.samples), step, training.total_steps, note,
        base.prediction, precision, tuple(_shown(training)), _started_s(work, training),
    )


def _shown(training: Training) -> Iterator[Shown]:
    """The pictures as they are; where mirrored ones are shown, too, these come behind all others."""
    for sample, (_, high, wide) in zip(training.dataset.samples, training.data.latents.sizes(), strict=False):
        yield Shown(sample.caption, (wide * LATENT_PX, high * LATENT_PX), sample.repeats)


def _started_s(work: Work, training: Training) -> float | None:
    """Since 1970; None where an earlier process began with it."""
    return None if training.seconds_before else time.time() - (time.monotonic() - work.began_s)


def finish(work: Work, training: Training) -> dict[str, Any]:
    """Publish the best checkpoint, write the report, and tell everything in the result document. What was trained is
    kept whatever becomes of its report."""
    best = training.load_best()
    measured, held_out = training.likeness or training.resemblance, bool(training.dataset.held_out)
    note = note_of(measured, held_out, training.bench.kind, training.lacked_room)
    facts = facts_at(work, training, best.step, note)
    file, files = publish(training.method, work.task, work.plan, facts, best.preview, work.folder)
    document = caveats.told_in(_document(work, training, file, files), _of_base(training))
    try:
        return {**document, "report": str(_report(work, training, document))}
    except Exception as error:  # noqa: BLE001  a full disk, an update that took what reports are made of
        lacks = caveats.said("NO_REPORT", why=described(error))
        work.emit(Log(lacks.text))
        return {**caveats.told_in(document, [lacks]), "report": None}


def _of_base(training: Training) -> list[Advice]:
    """What became of the checkpoint's file meanwhile, as far as it is not what was trained on."""
    model = training.bench.model
    if model.file_is_as_read:
        return []
    return [caveats.said("BASE_GONE" if model.file_is_gone else "BASE_REPLACED", base=model.base.path.name)]


def _document(work: Work, training: Training, file: Path, files: list[Path]) -> dict[str, Any]:
    task, best, likeness = work.task, training.best, training.likeness
    trigger = published_trigger(task, file.stem, training.dataset.trigger)
    family = training.bench.model.base.family
    skip = work.plan.clip_skip if family is Family.SD1 else 0
    point = Checkpoint(
        file, sha256_of(file), best.step, task.method, family, trigger, likeness, clip_skip=skip,
        engine=task.engine,
    )
    document = {
        "name": task.avatar.name,
        "files": [str(path) for path in files],
        "checkpoint": to_json(point),
        "checkpoints": [to_json(point)],
        "prompt": subject_prompt(point, 1.0),
        "likeness": likeness_document(likeness),
        "resemblance": likeness_document(training.resemblance),
        "lacked_room": training.lacked_room,
        "less_guidance": to_json(training.less_guided) if training.less_guided else None,
        "leakage": leakage_of(training.scores),
        "second_opinion": second_opinion(training.scores),
        **manners(training.scores, training.untrained),
        "measured_on": measured_on(training.dataset),
        "photos": len(training.dataset.samples) + len(training.dataset.held_out),
        **scores(training),
        "samples": [str(path) for path in best.samples],
        "modules_matched": training.modules_matched,
        "dataset_fingerprint": training.dataset.fingerprint,
        "reference": _reference(work, training),
        "recogniser": work.analyser.name,
        "method": task.method.value,
        "engine": task.engine.value,
        "base": task.base.title,
        "plan": _plan(work, training), "usual_learning_rate": _usual_rate(work),
        "usual_steps": usual_steps(task.base, task.method, work.plan.dict(), len(training.dataset.samples)),
        "native_px": task.base.native_px,
        "file_mb": megabytes(file.stat().st_size),
        **(training.memory if task.engine is Engine.KOHYA else memory.told()),
        "seconds": round(training.seconds_before + time.monotonic() - work.began_s, 1),
    }
    why, better = report.choice(document), advice(document)
    return {
        **document,
        "choice": " ".join(part.text for part in why), "choice_codes": codes(why),
        "advice": [part.text for part in better], "advice_codes": codes(better),
    }


def numbers_until_now(work: Work, training: Training) -> Numbers:
    """The settings as they were used and what checkpoints were chosen by, before there is a result document."""
    known = {"plan": _plan(work, training), "usual_learning_rate": _usual_rate(work)}
    known["native_px"] = work.task.base.native_px
    return Numbers({**known, "checkpoint": {"step": training.best.step}, **scores(training)})


def _usual_rate(work: Work) -> float:
    """What suits the method, beside which the plan's own learning rate is judged."""
    return usual_rate(work.task.base, work.task.method, work.plan.dict())


def _plan(work: Work, training: Training) -> dict[str, Any]:
    return {**work.plan.dict(), "steps": training.total_steps, "resolution_px": work.resolution_px}


def _reference(work: Work, training: Training) -> list[float]:
    """The person as one vector; empty for what has no face."""
    from personal_avatar.photos.prepare import reference_embedding

    if training.bench.kind != LIKENESS:
        return []
    shown = training.photos if work.photo_settings.wants_faces else training.dataset
    return reference_embedding(shown, work.analyser).tolist()


def scores(training: Training) -> dict[str, Any]:
    """All that checkpoints were chosen by, on the same seeds: each saved one, the untrained one, the best possible.
    Nothing is measured for it, as the card may have no room."""
    before, kind = training.untrained, training.bench.kind
    return {
        "scores": [_row(kind, point) for point in training.points],
        "untrained": {
            **_measured(kind, before.likeness.mean, before.likeness.faces_found), "following": before.following
        } if before else None,
        "ceiling": training.bench.known_ceiling if before else None,
    }


def _row(kind: str, point: Point) -> dict[str, float | None]:
    """Of a saved checkpoint; null for all that was not measured."""
    found: dict[str, float | None] = {
        **_measured(kind, point.likeness, point.faces_found),
        "following": point.following, "merit": point.merit, "leakage": point.leakage,
    }
    return {"step": point.step, **(found if point.judged else dict.fromkeys(found))}


def _measured(kind: str, mean: float, faces_found: float) -> dict[str, float | None]:
    """Pictures of a style or an animal have no likeness, and nobody looked for faces in them."""
    if kind == LIKENESS:
        return {"likeness": mean, "faces_found": faces_found}
    return {"likeness": None, "faces_found": None, kind: mean}


def manners(scores: FinalScores | None, before: Untrained | None) -> dict[str, float | None]:
    """`prompt_following` 0..1, and the untrained checkpoint's own beside it; `diversity` against the untrained
    checkpoint's (1: pictures of one prompt differ as much as before). Null when nothing was measured."""
    if scores is None or before is None:
        return {"prompt_following": None, "prompt_following_before": None, "diversity": None}
    return {
        "prompt_following": round(scores.following, 4),
        "prompt_following_before": round(before.following, 4),
        "diversity": round(scores.diversity / before.diversity, 4) if before.diversity else None,
    }


def likeness_document(likeness: Likeness | None) -> dict[str, float] | None:
    if likeness is None:
        return None
    numbers = {"floor": likeness.floor, "after": likeness.after, "ceiling": likeness.ceiling}
    return {name: round(value, 4) + 0.0 for name, value in {**numbers, "recovered": likeness.recovered}.items()}


def second_opinion(scores: FinalScores | None) -> dict[str, Any] | None:
    """The likeness by another recogniser, which is named; None where there was none to ask."""
    if scores is None or scores.second is None:
        return None
    return {"recogniser": scores.second.recogniser, **(likeness_document(scores.second.measured) or {})}


def leakage_of(scores: FinalScores | None) -> float | None:
    """Rounded like the likeness beside it, and like that no zero with a minus; None where nothing was measured."""
    found = scores.measured.leakage if scores is not None else None
    return None if found is None else round(found, 4) + 0.0


def measured_on(dataset: Dataset) -> dict[str, Any]:
    """Which photos likeness was measured against: held-out ones, or, of few, those that were trained on."""
    return {"photos": len(dataset.held_out or dataset.samples), "held_out": bool(dataset.held_out)}


def note_of(measured: Likeness | None, held_out: bool, kind: str = LIKENESS, lacked_room: bool = False) -> str:
    """The sentence on the card."""
    if measured is None:
        return text("log.unmeasured") if lacked_room else f"The training was cancelled; {kind} was not measured."
    span = f"before {score(measured.floor)}, best possible {score(measured.ceiling)}"
    note = f"{kind.capitalize()} {score(measured.after)} ({span})."
    return note if held_out else f"{note} {text('log.trained_on' if kind == LIKENESS else 'log.trained_on_style')}"


def _report(work: Work, training: Training, document: dict[str, Any]) -> Path:
    """The document without the face, with the pictures and the losses."""
    pictures = {point.step: _pictures(training, point.samples, point.sample_likeness) for point in training.points}
    facts = {name: value for name, value in document.items() if name != "reference"}
    facts["scores"] = [{**row, "pictures": pictures[row["step"]]} for row in document["scores"]]
    if training.untrained is not None:
        before, shots = training.untrained, training.bench.choosing.subject
        bare = keep_samples(before.images, shots, work.artifacts / "samples", 0)
        pictures[0] = _pictures(training, bare, before.likeness.each)
        facts["untrained"] = {**document["untrained"], "pictures": pictures[0]}
    facts["language"] = work.task.language
    facts["losses"] = [round(loss, 5) if math.isfinite(loss) else None for loss in training.losses]
    return report.write_report(work.artifacts, facts)


def _pictures(
    training: Training, files: Sequence[Path], likeness: Sequence[float | None]
) -> list[dict[str, Any]]:
    """Those that were kept of a checkpoint, in the order of the prompts; likeness None: no face."""
    kind = training.bench.kind
    return [
        {"file": str(file), "prompt": shot.prompt, "seed": shot.seed, "likeness": None, kind: rated}
        for file, shot, rated in zip(files, training.bench.choosing.subject, likeness, strict=False)
    ]
