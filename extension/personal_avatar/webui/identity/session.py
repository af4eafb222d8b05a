"""One generation with a person in it, from the request to the finished picture. It lives on the WebUI's `p`.

A plot copies `p` and some scripts use one `p` several times, so every `process_images` begins a session of its own.
"""
from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

import numpy as np
from modules import devices, images, lowvram, sd_unet, shared

from personal_avatar.domain import BaseModelFile
from personal_avatar.errors import BaseUnsupported, InvalidSettings
from personal_avatar.identities import IdentityRequest
from personal_avatar.identity import infotext
from personal_avatar.identity.nouns import AdapterKind, Reference, Target
from personal_avatar.problems import stated
from personal_avatar.webui.describe import describe
from personal_avatar.webui.identity import foreign, networks, notes
from personal_avatar.webui.identity.parts import Part
from personal_avatar.webui.identity.sampling import Sampling

if TYPE_CHECKING:
    from personal_avatar.identity.unit import Prepared

ATTRIBUTE = "personal_avatar"
LATENT_FACTOR = 8
Fitted = Callable[[IdentityRequest, AdapterKind], IdentityRequest]


@dataclass
class Session:
    """What one `process_images` knows of the person. `strict`: a picture without the person is not wanted at all."""

    request: IdentityRequest
    strict: bool = False
    kind: AdapterKind | None = None
    sampled: bool = False
    references: tuple[Reference, ...] = ()


def of(p: Any) -> Session | None:
    """The session of a generation while it is fine; None: the picture is plain."""
    return getattr(p, ATTRIBUTE, None) if notes.problem_of(p) is None else None


def begin(p: Any, wanted: Callable[[], IdentityRequest | None], strict: bool = False) -> None:
    """A `process_images` starts. `wanted` raises what is wrong with the request, None: nobody is wanted."""
    notes.begin(p)
    setattr(p, ATTRIBUTE, None)
    try:
        request = wanted()
    except Exception as error:  # noqa: BLE001 - the WebUI would swallow it; so the picture tells
        notes.refuse(p, error)
        return
    if request is None:
        networks.park()
    else:
        setattr(p, ATTRIBUTE, Session(request, strict))


def check(p: Any) -> None:
    """The checkpoint is the right one now: see early whether the person can be put in, and say what will shape it."""
    session = of(p)
    if session is None:
        return
    if _prepared(p, session, (p.width, p.height), partial(_early, p)) is not None:
        notes.warn(p, foreign.warnings(p))
        _park_where_memory_is_short()
    elif session.strict:
        shared.state.interrupt()


def before_sampling(p: Any, latent: Any) -> None:
    """The sampler is about to run on `latent` (batch, channels, height, width), first pass or hires pass."""
    session = of(p)
    if session is None:
        return
    size_px = latent.shape[-1] * LATENT_FACTOR, latent.shape[-2] * LATENT_FACTOR
    prepared = _prepared(p, session, size_px, partial(_at_sampling, p, size_px))
    if prepared is not None:
        Sampling(p, prepared.injection, partial(_kept_out, p, session), partial(_sampled, session)).arm()


def after_sampling(p: Any) -> None:
    """Some scripts sample in a way of their own, past the hooks: then nobody was put in, and nothing may claim it."""
    session = of(p)
    if session is not None and not session.sampled and not shared.state.interrupted:
        notes.refuse(p, stated(BaseUnsupported, "failure.other_script", "remedy.no_script"))


def _prepared(p: Any, session: Session, size_px: tuple[int, int], fitted: Fitted) -> Prepared | None:
    """Tokens, hint and masks for pictures of this size (width, height); None when it is refused, which `p` then tells.
    `fitted`: makes what was asked for fit the picture."""
    asked = session.request
    try:
        from personal_avatar.identity.unit import cautions
        from personal_avatar.studio.oneshot import parts_for
        from personal_avatar.training.planning.fitness import face_widths

        base, unit = _base(), networks.unit()
        parts_for(unit.shelf, asked.settings, base)
        widths = face_widths(base)
        kind = unit.shelf.choose(asked.settings, base.family, widths).kind
        target = Target(base.family, *size_px, devices.device, devices.dtype_unet, widths)
        followed = fitted(asked, kind)
        with devices.without_autocast():
            prepared = unit.prepare(followed, target)
        if kind is not AdapterKind.INSTANTID:
            unit.park()  # CLIP has seen the faces, and the IdentityNet of an earlier picture has nothing to do
    except Exception as error:  # noqa: BLE001 - as above
        _kept_out(p, session, error)
        return None
    session.kind = kind
    everybody = followed.people is asked.people  # who stands outside of a part is known since `check`
    if everybody:
        session.references = prepared.references
    as_asked = everybody and followed.settings is asked.settings
    notes.tell(p, prepared.infotext if as_asked else _as_asked(session, prepared))
    notes.warn(p, [*prepared.warnings, *cautions(kind, p.cfg_scale, *size_px)])
    return prepared


def _early(p: Any, request: IdentityRequest, kind: AdapterKind) -> IdentityRequest:
    """Before `p.init`, which alone writes what part is painted; until then `p` has that of an earlier picture."""
    return request if getattr(p, "image_mask", None) is not None else _following(p, request, kind)


def _at_sampling(p: Any, size_px: tuple[int, int], request: IdentityRequest, kind: AdapterKind) -> IdentityRequest:
    return _following(p, _placed(p, request, size_px), kind)


def _kept_out(p: Any, session: Session, error: Exception) -> None:
    """A hires pass leaves the picture the person whom the first pass has put into it."""
    if p.is_hr_pass and session.sampled:
        notes.warn(p, [f"The hires pass was painted without the person. {notes.known(error)}"])
    else:
        notes.refuse(p, error)


def _placed(p: Any, request: IdentityRequest, size_px: tuple[int, int]) -> IdentityRequest:
    """Where only the part around a mask is painted: the request for that part. Raises `InvalidSettings`."""
    if p.paste_to is None:
        return request
    found = Part(tuple(p.paste_to), p.image_mask.size, size_px).of(request)
    everybody, here = len(request.people), len(found.people)
    if not here:
        raise stated(InvalidSettings, "failure.all_outside", "remedy.into_part")
    if here < everybody:
        notes.warn(p, [f"{everybody - here} of {everybody} people stand outside of the part that is painted anew."])
    return found


def _as_asked(session: Session, prepared: Prepared) -> tuple[tuple[str, str], ...]:
    """The infotext says what the user has set, not what became of it for one picture."""
    request = session.request
    return infotext.pairs(request.settings, prepared.kind, prepared.injection.adapter.path.name, request.people)


def _base() -> BaseModelFile:
    """The loaded checkpoint; raises `BaseUnsupported`."""
    if sd_unet.current_unet is not None:
        raise stated(BaseUnsupported, "failure.other_unet", "remedy.no_unet")
    return describe(shared.sd_model.sd_checkpoint_info)


def _following(p: Any, request: IdentityRequest, kind: AdapterKind) -> IdentityRequest:
    """Expression and pose of a picture that is painted anew follow its own faces, unless it was said otherwise."""
    settings = request.settings
    if settings.keypoints != "auto" or request.keypoints_image is not None or not getattr(p, "init_images", None):
        return request
    if kind is not AdapterKind.INSTANTID and settings.layout != "left-to-right":
        return request
    first, *rest = p.init_images
    if any(one is not first and one != first for one in rest):  # Pillow compares the bytes even of one object
        return _freed(p, request, "The pictures to paint anew have poses of their own: expression and pose are free.")
    picture = _as_sampled(p)
    if len(networks.unit().analyser(kind).detect(picture)) >= len(request.people):
        return replace(request, keypoints_image=picture)
    return _freed(p, request, "In the picture to paint anew not every face was found: expression and pose are free.")


def _freed(p: Any, request: IdentityRequest, why: str) -> IdentityRequest:
    notes.warn(p, [why])
    return replace(request, settings=request.settings.copy(update={"keypoints": "none", "layout": "boxes"}))


def _as_sampled(p: Any) -> np.ndarray:
    """The picture of img2img as it is encoded: resized, or the part around the mask. uint8 RGB."""
    picture = images.flatten(p.init_images[0], shared.opts.img2img_background_color)
    if p.paste_to is not None:
        left, top, width, height = p.paste_to
        picture = images.resize_image(2, picture.crop((left, top, left + width, top + height)), p.width, p.height)
    else:
        picture = images.resize_image(0 if p.resize_mode == 3 else p.resize_mode, picture, p.width, p.height)
    return np.asarray(picture.convert("RGB"))


def _sampled(session: Session, used: bool) -> None:
    session.sampled = session.sampled or used
    _park_where_memory_is_short()


def _park_where_memory_is_short() -> None:
    """Text encoder and VAE need the room before and after sampling."""
    if lowvram.is_enabled(shared.sd_model):
        networks.park()
