"""An embedding is tried: the WebUI must have taken it under its name, and its name must change a picture."""
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from modules import sd_hijack, shared

from personal_avatar.errors import NotTaken, SelfTestFailed
from personal_avatar.problems import stated
from personal_avatar.webui import generation, trial


def verify(file: Path) -> bool:
    """Make an embedding known and try it on the chosen checkpoint; False when it was trained on another one.

    Raises `SelfTestFailed` when the WebUI does not take it, or it changes nothing; `NotTaken` when it takes another
    file for its name.
    """
    with generation.turn():
        base = trial.base()
        sd_hijack.model_hijack.embedding_db.load_textual_inversion_embeddings(force_reload=True)
        if not trial.trained_on(trial.metadata_of(file), base):
            return False
        _verify_taken(file)
        prompt = f"portrait of {file.stem}"
        with _forgotten(file.stem):
            without = trial.picture(prompt, base)
        with trial.blamed(file):
            with_it = trial.picture(prompt, base)
        trial.demand_difference(file, without, with_it)
    return True


def _verify_taken(file: Path) -> None:
    known = sd_hijack.model_hijack.embedding_db
    if file.stem in known.skipped_embeddings:
        raise stated(
            SelfTestFailed, "failure.skipped", trial.HINT, file=file.name,
            found=known.skipped_embeddings[file.stem].shape, expected=known.expected_shape,
        )
    taken = known.word_embeddings.get(file.stem)
    if taken is None:
        raise stated(SelfTestFailed, "failure.embedding_unread", trial.HINT, file=file.name)
    if not file.samefile(taken.filename):
        raise stated(NotTaken, "failure.other_word", other_file=taken.filename, word=file.stem, place=file)


@contextmanager
def _forgotten(name: str) -> Iterator[None]:
    """The word means what it means without the embedding."""
    known = sd_hijack.model_hijack.embedding_db
    known.register_embedding_by_name(None, shared.sd_model, name)
    try:
        yield
    finally:
        known.load_textual_inversion_embeddings(force_reload=True)
