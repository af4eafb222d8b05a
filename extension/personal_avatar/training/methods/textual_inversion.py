"""Textual inversion: new words for the text encoders, saved as the WebUI and everybody else reads embeddings."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from personal_avatar.errors import SelfTestFailed
from personal_avatar.problems import stated
from personal_avatar.training.families.model import DiffusionModel
from personal_avatar.training.files import refuse_infinite, write_tensors
from personal_avatar.training.methods.base import State, Subject
from personal_avatar.training.planning.plan import TextualInversionPlan

if TYPE_CHECKING:
    import torch

    from personal_avatar.training.methods.new_words import NewWords

ALONE = "emb_params"
TOGETHER = {"lora_te1": "clip_l", "lora_te2": "clip_g"}


def file_key(prefix: str) -> str:
    """Kohya prefix of a text encoder -> name of its vectors in the file."""
    return TOGETHER.get(prefix, ALONE)


class TextualInversion:
    """The subject's token (`sks`) becomes `plan.vectors` new tokens of every text encoder; see `TrainingMethod`.

    State keys are those of the saved file: `emb_params` (vectors, width), or `clip_l` and `clip_g` of SDXL.
    """

    trains_text, heavy, moves_others = True, False, False

    def __init__(self, model: DiffusionModel, plan: TextualInversionPlan, subject: Subject) -> None:
        from personal_avatar.training.methods.new_words import ExpandingTokenizer

        self._plan = plan
        self._words: dict[str, NewWords] = {}
        self._tokenizers: list[ExpandingTokenizer] = []
        for place, (prefix, encoder) in enumerate(model.text_encoders.items()):
            word = plan.init_word.strip() or subject.class_noun
            began = list(model.tokenizers[place](word, add_special_tokens=False).input_ids)
            tokenizer = ExpandingTokenizer(model.tokenizers[place], subject.token, plan.vectors)
            self._words[file_key(prefix)] = _new_words(encoder, began, tokenizer.new_ids[0], plan)
            self._tokenizers.append(tokenizer)
        model.tokenizers[:] = self._tokenizers
        self._begin = self.state()

    def parameter_groups(self) -> list[dict[str, Any]]:
        """Without weight decay: words must not shrink towards nothing."""
        rows = [words.rows for words in self._words.values()]
        return [{"params": rows, "lr": self._plan.learning_rate, "weight_decay": 0.0}]

    def aside(self) -> tuple[torch.Tensor, ...]:
        return ()

    def state(self) -> State:
        return {key: words.rows.detach().float().cpu().clone() for key, words in self._words.items()}

    def load(self, state: State) -> None:
        self._put({key: state[key] for key in self._words})

    def _put(self, rows: State) -> None:
        for key, tensor in rows.items():
            self._words[key].rows.data.copy_(tensor)

    @contextmanager
    def strength(self, weight: float) -> Iterator[None]:
        """0: the word is an ordinary one again. Between: so much of the way from the words that it began as."""
        import torch

        enabled = [tokenizer.enabled for tokenizer in self._tokenizers]
        trained = {} if weight in (0, 1) else self.state()
        for tokenizer in self._tokenizers:
            tokenizer.enabled &= weight != 0
        self._put({key: torch.lerp(self._begin[key], rows, weight) for key, rows in trained.items()})
        try:
            yield
        finally:
            self._put(trained)
            for tokenizer, before in zip(self._tokenizers, enabled, strict=True):
                tokenizer.enabled = before

    def save(self, path: Path, metadata: dict[str, str]) -> None:
        write_tensors(path, self.state(), metadata)

    def read(self, path: Path) -> State:
        from safetensors.torch import load_file

        read = {key: tensor.float() for key, tensor in load_file(path).items()}
        expected = {key: tuple(words.rows.shape) for key, words in self._words.items()}
        found = {key: tuple(tensor.shape) for key, tensor in read.items()}
        if found != expected:
            raise stated(SelfTestFailed, "failure.vectors", file=path.name, found=found, expected=expected)
        return read

    def matched(self, path: Path) -> int:
        """The vectors of each text encoder: as many, as wide as its table, and numbers."""
        read = self.read(path)
        refuse_infinite(path, read)
        return sum(len(rows) for rows in read.values())


def _new_words(encoder: Any, began: list[int], first_id: int, plan: TextualInversionPlan) -> NewWords:
    """Put the new rows into the encoder's table."""
    from personal_avatar.training.methods.new_words import NewWords, first_rows

    table = encoder.get_input_embeddings()
    rows = first_rows(table.weight, began, plan.vectors, plan.seed)
    words = NewWords(table, rows.to(table.weight.device), first_id)
    encoder.set_input_embeddings(words)
    return words
