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

PARTS = ("problems", "hints")  # of `InvalidSettings`, of which message and hint are joined


class AvatarError(Exception):
    """Base of all named failures. `message` says what happened, `hint` what to do next; `result`, where a job ended
    with it: the document of what was finished until then and is kept; `details`: numbers and settings for programs,
    such as the plan that would fit."""

    code: ClassVar[str] = "FAILED"
    http_status: ClassVar[int] = 500
    default_hint: ClassVar[str] = ""

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
    default_hint = "Correct what is named and try again."


class InvalidSettings(BadInput):
    """`titles`: what the page calls the settings that it is about, keys of the table of texts by their names;
    `problems`: where there are several, each without its full stop, and `hints`, what to do about them."""

    code, http_status = "INVALID_SETTINGS", 422
    default_hint = "Correct the values named and try again."
    titles: Mapping[str, str] = {}
    problems: Sequence[str] = ()
    hints: Sequence[str] = ()

    def to_json(self) -> dict[str, Any]:
        told = {name: list(getattr(self, name)) for name in PARTS}
        return {**super().to_json(), **{name: texts for name, texts in told.items() if texts}}


class UnreadablePhoto(BadInput):
    code, http_status = "UNREADABLE", 422
    default_hint = "Open it in an image viewer and save it again as JPEG or PNG."


class FileTooLarge(UnreadablePhoto):
    code, http_status = "TOO_LARGE", 413
    default_hint = "Reduce the picture to at most 8000 pixels a side and 40 MB."


class NoFace(BadInput):
    code, http_status = "NO_FACE", 422
    default_hint = "Use a picture on which the face is turned to the camera and at least 64 pixels wide."


class NoCharacter(BadInput):
    code, http_status = "NO_CHARACTER", 422
    default_hint = "Lower keep, raise count, or describe the character more precisely."


class TooFewPhotos(BadInput):
    code, http_status = "TOO_FEW_PHOTOS", 422
    default_hint = "Add sharper photos that show only you."


class ConsentMissing(BadInput):
    code, http_status = "CONSENT_MISSING", 422
    default_hint = "Confirm that the person in the photos agreed to the training."


class PlanTooLarge(BadInput):
    """A training that needs more memory than is free. `details`: see training.fitting.Misfit."""

    code, http_status = "PLAN_TOO_LARGE", 507
    default_hint = "Choose a smaller plan, close other programs, or start it anyway."


class NotFound(BadInput):
    code, http_status = "NOT_FOUND", 404
    default_hint = "Check the name and try again."


class WrongState(BadInput):
    code, http_status = "WRONG_STATE", 409
    default_hint = "Look at its state first, and try again when that has changed."


class QueueFull(BadInput):
    code, http_status = "QUEUE_FULL", 429
    default_hint = "Wait until a job has ended, or cancel one."


class HostError(AvatarError):
    code, http_status = "HOST_ERROR", 500


class NoCheckpoint(HostError):
    code, http_status = "NO_CHECKPOINT", 503
    default_hint = "Load a Stable Diffusion checkpoint, or install the shipped avatar-tiny."


class TrainerMissing(HostError):
    code, http_status = "TRAINER_MISSING", 503
    default_hint = "Run install.py in the extension's folder with a network connection, then `personal-avatar doctor`."


class EngineMissing(TrainerMissing):
    code, http_status = "ENGINE_MISSING", 409
    HOW: ClassVar[str] = (
        "Run `{}`, or name the folder of sd-scripts in the WebUI's settings or in PERSONAL_AVATAR_SD_SCRIPTS; or choose"
        " the engine diffusers."
    )
    default_hint = HOW.format("personal-avatar doctor --install-kohya")


class GenerationFailed(HostError):
    code, http_status = "GENERATION_FAILED", 500
    default_hint = "Try a simple prompt without LoRAs; if that fails, too, the checkpoint or its settings are at fault."


class RestorerMissing(HostError):
    code, http_status = "RESTORER_MISSING", 503
    default_hint = "Install CodeFormer or GFPGAN weights in the WebUI, or switch restoration off."


class UpscalerMissing(HostError):
    code, http_status = "UPSCALER_MISSING", 503
    default_hint = "Choose another upscaler, or none: photos that are too small then become smaller pictures."


class PageFailed(HostError):
    """On the page alone, and nothing that has a name: no job ended by it."""

    code, http_status = "PAGE_FAILED", 500
    default_hint = "Reload the page and try again; jobs that run go on. The program's log says more."


class ClusterUnreachable(HostError):
    code, http_status = "CLUSTER_UNREACHABLE", 503
    default_hint = (
        "Check that the Ray cluster runs and that its address in the settings is right, for example"
        " ray://192.168.1.20:10001; or let trainings run on this machine."
    )


class ClusterMismatch(HostError):
    code, http_status = "CLUSTER_MISMATCH", 409
    default_hint = "Install the cluster's own version here: `personal-avatar doctor --install-ray VERSION`."


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
    default_hint = "Connect to the network once and run `personal-avatar doctor --fetch`."

    def __init__(self, message: str, hint: str | None = None, weights: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint)
        self.weights = weights


class WeightsCorrupt(WeightsError):
    code, http_status = "WEIGHTS_CORRUPT", 502
    default_hint = "The file was removed; try the download again."


class JobFailed(AvatarError):
    code = "JOB_FAILED"


class BaseNotFound(JobFailed):
    code, http_status = "BASE_NOT_FOUND", 404
    default_hint = "Check that the checkpoint file still exists and choose it again."
    PUT_BACK: ClassVar[str] = "Put the file back there, then resume the job: it goes on from where it was."


class VaeNotFound(BaseNotFound):
    code = "VAE_NOT_FOUND"
    default_hint = "Choose another one under SD VAE in the WebUI's settings (section VAE), or put the file back there."


class BaseUnsupported(JobFailed):
    code, http_status = "BASE_UNSUPPORTED", 422
    default_hint = "Load a Stable Diffusion 1, 2 or XL checkpoint in one file."


class OutOfVram(JobFailed):
    """`CUDNN`: what to do where cuDNN does not say whether it was memory, or a format that the card does not know."""

    code, http_status = "OUT_OF_VRAM", 507
    default_hint = "Lower the resolution or the batch size, or close other programs that use the GPU."
    CUDNN: ClassVar[str] = (
        "Lower the resolution or the batch size, or close other programs that use the GPU; on a card older than compute"
        " capability 8.0, which may not know this format of numbers, set precision to fp16 or fp32."
    )


class OutOfMemory(JobFailed):
    code, http_status = "OUT_OF_MEMORY", 507
    default_hint = "Close other programs, or lower the resolution or the batch size."


class OldDriver(JobFailed):
    code = "OLD_DRIVER"
    default_hint = "Update the driver of the graphics card, then start the job again."


class OtherCard(JobFailed):
    code = "OTHER_CARD"
    default_hint = "Install a torch that was built for this card (pytorch.org tells which), then start the job again."


class DiskFull(JobFailed):
    code, http_status = "DISK_FULL", 507
    default_hint = "Free some space on the disk, then resume the job, or start it again where it cannot be resumed."


class NotWritable(JobFailed):
    code, http_status = "NOT_WRITABLE", 500
    default_hint = (
        "Allow writing there, or choose another folder; then resume the job, or start it again where it cannot be"
        " resumed."
    )


class NanLoss(JobFailed):
    code, http_status = "NAN_LOSS", 500
    default_hint = "Lower the learning rate."


class SelfTestFailed(JobFailed):
    code, http_status = "SELFTEST", 500
    default_hint = "Train again, longer or with a higher learning rate; if it fails again, the log says more."


class NotAlike(SelfTestFailed):
    """`DAMAGED`: what to do where the training was too strong instead, with places for a setting and a value."""

    code, http_status = "NOT_ALIKE", 500
    default_hint = "Train longer or with a higher learning rate, and look at the photo report."
    DAMAGED: ClassVar[str] = (
        "The training was too strong and damaged the pictures: set {setting} to {value}, and train again."
    )


class NotTaken(SelfTestFailed):
    """It can be mended where the file lies; then the job is resumed, and the file tried again."""

    code, http_status = "NOT_TAKEN", 409
    default_hint = "Rename or move the other file, then resume the job: nothing is trained again."
    PUT_BACK: ClassVar[str] = "Put the file back there, then resume the job: nothing is trained again."


class Cancelled(JobFailed):
    """The user wanted the end. `result`: the document of what was finished until then and is kept."""

    code, http_status = "CANCELLED", 409

    def __init__(self, message: str, hint: str | None = None, result: dict[str, Any] | None = None) -> None:
        super().__init__(message, hint)
        self.result = result


class Killed(JobFailed):
    code, http_status = "KILLED", 500
    default_hint = "Start the job again; if it happens repeatedly, look at the log and at the free memory."


class JobDamaged(JobFailed):
    code = "JOB_DAMAGED"
    default_hint = "Check the disk; what the job had made lies in its folder. Start the job again."


class Crashed(JobFailed):
    code, http_status = "CRASHED", 500
    default_hint = "The end of the log says why; start the job again after mending it."


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
