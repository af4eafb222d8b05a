"""Everything that can go wrong, by name.

AvatarError                        code, message (what happened), hint (what to do next), http_status
├── BadInput                       the caller can mend it
│   ├── InvalidSettings            INVALID_SETTINGS    422  every problem of a form at once
│   ├── UnreadablePhoto            UNREADABLE          422
│   │   └── FileTooLarge           TOO_LARGE           413
│   ├── NoFace                     NO_FACE             422
│   ├── NoCharacter                NO_CHARACTER        422
│   ├── TooFewPhotos               TOO_FEW_PHOTOS      422
│   ├── ConsentMissing             CONSENT_MISSING     422
│   ├── PlanTooLarge               PLAN_TOO_LARGE      507  before it starts; `details` has what would fit
│   ├── NotFound                   NOT_FOUND           404
│   ├── WrongState                 WRONG_STATE         409
│   └── QueueFull                  QUEUE_FULL          429
├── HostError                      whoever runs us cannot help now
│   ├── NotReadable                NOT_READABLE        503  a file of ours, now or as it is
│   ├── NoCheckpoint               NO_CHECKPOINT       503
│   ├── TrainerMissing             TRAINER_MISSING     503
│   │   └── EngineMissing          ENGINE_MISSING      409  another engine than ours was wanted
│   ├── GenerationFailed           GENERATION_FAILED   500
│   ├── RestorerMissing            RESTORER_MISSING    503
│   ├── UpscalerMissing            UPSCALER_MISSING    503
│   ├── PageFailed                 PAGE_FAILED         500  a part of the page could not be shown, a press not answered
│   ├── ClusterUnreachable         CLUSTER_UNREACHABLE 503
│   └── ClusterMismatch            CLUSTER_MISMATCH    409  other versions of Ray or Python there
├── InstallError                   the WebUI's environment or the trainer's packages
│   ├── WouldMove                  WOULD_MOVE          409
│   ├── NotFitting                 NOT_FITTING         409
│   └── PipFailed                  PIP_FAILED          502
├── WeightsError
│   ├── WeightsMissing             WEIGHTS_MISSING     503
│   └── WeightsCorrupt             WEIGHTS_CORRUPT     502
└── JobFailed                      a job ended before its time
    ├── BaseNotFound               BASE_NOT_FOUND      404
    │   └── VaeNotFound            VAE_NOT_FOUND       404
    ├── BaseUnsupported            BASE_UNSUPPORTED    422
    ├── OutOfVram                  OUT_OF_VRAM         507
    ├── OutOfMemory                OUT_OF_MEMORY       507
    ├── OldDriver                  OLD_DRIVER          500  of the graphics card
    ├── OtherCard                  OTHER_CARD          500  than torch was built for
    ├── DiskFull                   DISK_FULL           507
    ├── NotWritable                NOT_WRITABLE        500
    ├── NanLoss                    NAN_LOSS            500
    ├── SelfTestFailed             SELFTEST            500  the trained file does not do what it should
    │   ├── NotAlike               NOT_ALIKE           500  it works, and looks no more like the person
    │   └── NotTaken               NOT_TAKEN           409  it may work, and the host does not take it
    ├── Cancelled                  CANCELLED           409
    ├── Killed                     KILLED              500
    ├── JobDamaged                 JOB_DAMAGED         500  files of the job were damaged or lost
    └── Crashed                    CRASHED             500

Errors are raised where they are known and translated once, at the border (API, UI, command line, job status).
"""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from personal_avatar.texts import DEFAULT, has, text

PARTS = ("problems", "hints")  # of `InvalidSettings`, of which message and hint are joined


def usual_hint(kind: type[AvatarError], language: str = DEFAULT) -> str:
    """What is usually done about a failure of this kind, `error.<code>.hint` of the table, or about those above it; ""
    where the table has none."""
    keys = (f"error.{one.code}.hint" for one in kind.__mro__ if issubclass(one, AvatarError))
    return next((text(key, language) for key in keys if has(key)), "")


class _Usual:
    """`usual_hint` of a class, in English: looked for when it is asked for, as reading the table takes its time."""

    def __get__(self, error: AvatarError | None, kind: type[AvatarError]) -> str:
        return usual_hint(kind)


class AvatarError(Exception):
    """Base of all named failures. `message` says what happened, `hint` what to do next; `result`, where a job ended
    with it: the document of what was finished until then and is kept; `details`: numbers and settings for programs,
    such as the plan that would fit."""

    code: ClassVar[str] = "FAILED"
    http_status: ClassVar[int] = 500
    default_hint = _Usual()

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = self.default_hint if hint is None else hint
        self.result: dict[str, Any] | None = None
        self.details: dict[str, Any] = {}

    def __str__(self) -> str:
        return f"{self.message} {self.hint}".strip()

    def to_json(self) -> dict[str, Any]:
        """The form in which an error is stored in a job and sent in an answer."""
        found = {"code": self.code, "message": self.message, "hint": self.hint}
        return {**found, "details": self.details} if self.details else found


class BadInput(AvatarError):
    code, http_status = "BAD_INPUT", 400


class InvalidSettings(BadInput):
    """`titles`: what the page calls the settings that it is about, keys of the table of texts by their names;
    `problems`: where there are several, each without its full stop, and `hints`, what to do about them."""

    code, http_status = "INVALID_SETTINGS", 422
    titles: Mapping[str, str] = {}
    problems: Sequence[str] = ()
    hints: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        told = {name: list(getattr(self, name)) for name in PARTS}
        return {**super().to_json(), **{name: texts for name, texts in told.items() if texts}}


class UnreadablePhoto(BadInput):
    code, http_status = "UNREADABLE", 422


class FileTooLarge(UnreadablePhoto):
    code, http_status = "TOO_LARGE", 413


class NoFace(BadInput):
    code, http_status = "NO_FACE", 422


class NoCharacter(BadInput):
    code, http_status = "NO_CHARACTER", 422


class TooFewPhotos(BadInput):
    code, http_status = "TOO_FEW_PHOTOS", 422


class ConsentMissing(BadInput):
    code, http_status = "CONSENT_MISSING", 422


class PlanTooLarge(BadInput):
    """A training that needs more memory than is free. `details`: see training.fitting.Misfit."""

    code, http_status = "PLAN_TOO_LARGE", 507


class NotFound(BadInput):
    code, http_status = "NOT_FOUND", 404


class WrongState(BadInput):
    code, http_status = "WRONG_STATE", 409


class QueueFull(BadInput):
    code, http_status = "QUEUE_FULL", 429


class HostError(AvatarError):
    code, http_status = "HOST_ERROR", 500


class NotReadable(HostError):
    code, http_status = "NOT_READABLE", 503


class NoCheckpoint(HostError):
    code, http_status = "NO_CHECKPOINT", 503


class TrainerMissing(HostError):
    code, http_status = "TRAINER_MISSING", 503


class EngineMissing(TrainerMissing):
    code, http_status = "ENGINE_MISSING", 409


class GenerationFailed(HostError):
    code, http_status = "GENERATION_FAILED", 500


class RestorerMissing(HostError):
    code, http_status = "RESTORER_MISSING", 503


class UpscalerMissing(HostError):
    code, http_status = "UPSCALER_MISSING", 503


class PageFailed(HostError):
    """On the page alone, and nothing that has a name: no job ended by it."""

    code, http_status = "PAGE_FAILED", 500


class ClusterUnreachable(HostError):
    code, http_status = "CLUSTER_UNREACHABLE", 503


class ClusterMismatch(HostError):
    code, http_status = "CLUSTER_MISMATCH", 409


class InstallError(AvatarError):
    code = "INSTALL_FAILED"


class WouldMove(InstallError):
    code, http_status = "WOULD_MOVE", 409


class NotFitting(InstallError):
    code, http_status = "NOT_FITTING", 409


class PipFailed(InstallError):
    code, http_status = "PIP_FAILED", 502


class WeightsError(AvatarError):
    code = "WEIGHTS_ERROR"


class WeightsMissing(WeightsError):
    """`weights`: names in weights.registry of what would have to be downloaded, as far as they are known."""

    code, http_status = "WEIGHTS_MISSING", 503

    def __init__(self, message: str, hint: str | None = None, weights: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint)
        self.weights = weights


class WeightsCorrupt(WeightsError):
    code, http_status = "WEIGHTS_CORRUPT", 502


class JobFailed(AvatarError):
    code = "JOB_FAILED"


class BaseNotFound(JobFailed):
    code, http_status = "BASE_NOT_FOUND", 404


class VaeNotFound(BaseNotFound):
    code = "VAE_NOT_FOUND"


class BaseUnsupported(JobFailed):
    code, http_status = "BASE_UNSUPPORTED", 422


class OutOfVram(JobFailed):
    code, http_status = "OUT_OF_VRAM", 507


class OutOfMemory(JobFailed):
    code, http_status = "OUT_OF_MEMORY", 507


class OldDriver(JobFailed):
    code = "OLD_DRIVER"


class OtherCard(JobFailed):
    code = "OTHER_CARD"


class DiskFull(JobFailed):
    code, http_status = "DISK_FULL", 507


class NotWritable(JobFailed):
    code, http_status = "NOT_WRITABLE", 500


class NanLoss(JobFailed):
    code, http_status = "NAN_LOSS", 500


class SelfTestFailed(JobFailed):
    code, http_status = "SELFTEST", 500


class NotAlike(SelfTestFailed):
    code, http_status = "NOT_ALIKE", 500


class NotTaken(SelfTestFailed):
    """It can be mended where the file lies; then the job is resumed, and the file tried again."""

    code, http_status = "NOT_TAKEN", 409


class Cancelled(JobFailed):
    """The user wanted the end, and knows what to do. `result`: the document of what was finished until then and is
    kept."""

    code, http_status = "CANCELLED", 409

    def __init__(self, message: str, hint: str | None = None, result: dict[str, Any] | None = None) -> None:
        super().__init__(message, hint or "")
        self.result = result


class Killed(JobFailed):
    code, http_status = "KILLED", 500


class JobDamaged(JobFailed):
    code = "JOB_DAMAGED"


class Crashed(JobFailed):
    code, http_status = "CRASHED", 500


def _all_errors(base: type[AvatarError]) -> list[type[AvatarError]]:
    """A class and those below it, as far as they have a code of their own."""
    own = [base] if "code" in vars(base) else []
    return own + [found for child in base.__subclasses__() for found in _all_errors(child)]


def from_json(data: dict[str, Any]) -> AvatarError:
    """Rebuild an error that `to_json` wrote, in this version or before; an unknown code becomes a plain
    `AvatarError`."""
    by_code = {kind.code: kind for kind in _all_errors(AvatarError)}
    kind = by_code.get(str(data.get("code")), AvatarError)
    error = kind(str(data.get("message", "")), str(data.get("hint", "")))
    details = data.get("details")
    error.details = details if isinstance(details, dict) else {}
    if isinstance(error, InvalidSettings):
        error.problems, error.hints = (_texts(data.get(name)) for name in PARTS)
    return error


def _texts(found: Any) -> list[str]:
    return [one for one in found if isinstance(one, str)] if isinstance(found, list) else []
