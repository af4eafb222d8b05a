"""What a training imports: once, without searches for garbage, and the largest part while its photos are checked."""

from __future__ import annotations

import gc
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from threading import Thread

from personal_avatar.errors import Crashed, TrainerMissing
from personal_avatar.naming import CHARACTERS, causes, first_line, named
from personal_avatar.problems import stated
from personal_avatar.training.compute import trim

RUN = "personal_avatar.training.run"
# What loading a checkpoint, attaching a method and making a picture take; any of the families, any of the methods.
LIBRARIES = (
    "diffusers.models.unets.unet_2d_condition",
    "diffusers.models.autoencoders.autoencoder_kl",
    "diffusers.loaders.single_file_utils",
    "diffusers.schedulers.scheduling_dpmsolver_multistep",
    "transformers.models.clip.modeling_clip",
    "transformers.models.clip.tokenization_clip",
    "peft",
)


def load(*names: str) -> None:
    """Import modules that are not there yet.

    Python would search the hundred thousands of objects that they consist of for garbage again and again, a fifth of
    a second each time in the end, and find nothing: none of it ever goes. It looks once, and then never again.
    """
    missing = [name for name in names if name not in sys.modules]
    if not missing:
        return
    gc.disable()
    try:
        for name in missing:
            import_module(name)
    finally:
        gc.collect()  # errors on the way know who called, and would keep a checkpoint that comes there for ever
        gc.freeze()
        gc.enable()


def needed() -> None:
    """`LIBRARIES` are there. Raises `TrainerMissing`, or a checkpoint would be blamed for what they stumble over."""
    try:
        load(*LIBRARIES)
    except Exception as error:
        if not isinstance(named(error), Crashed):
            raise  # of memory
        raise stated(TrainerMissing, "trainer.libraries", cause=_first_cause(error)) from error


def _first_cause(error: BaseException) -> str:
    """What was wrong in the end: libraries tell of one another's failures, each in more words than the one before."""
    *_, first = causes(error)
    return f"{first_line(first, CHARACTERS)} ({type(first).__name__})"


@contextmanager
def meanwhile() -> Iterator[None]:
    """`LIBRARIES` are imported by another thread; at the end they are there. One that fails says so where it is needed.

    Two threads that import the same library at a time can find it half made: nothing within may need one of these.
    """
    thread = Thread(target=_load_quietly, name="libraries")
    thread.start()
    try:
        yield
    finally:
        thread.join()
        trim()  # what this thread and those within have freed, which the training could not use


def _load_quietly() -> None:
    with suppress(Exception):
        load(*LIBRARIES)
