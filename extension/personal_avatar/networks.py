"""LoRA and embedding files as prompts name them, and which checkpoints they are for.

Only the headers of safetensors files and the lists of contents of pickles are read, so that asking is quick and needs
no torch.
"""
from __future__ import annotations

import json
import os
import re
import struct
import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, TypeVar

from personal_avatar.avatars import AvatarStore
from personal_avatar.domain import BaseModelFile, Family
from personal_avatar.domain.families import OF_WIDTH
from personal_avatar.errors import BaseUnsupported, NotFound
from personal_avatar.host import Folders
from personal_avatar.pickles import read_contents
from personal_avatar.prompts import emphasis, split_networks
from personal_avatar.storage import files_below, opened, state_of
from personal_avatar.wording import FAMILIES, text

LORA_SUFFIXES = (".safetensors", ".pt", ".ckpt")
EMBEDDING_SUFFIXES = (".safetensors", ".pt", ".bin")
PICKLE_SUFFIXES = (".pt", ".bin", ".ckpt")
MAX_HEADER_BYTES = 64 * 2**20
SETTLED_NS = 2 * 10**9  # after a change of a file a second one may come that its time does not tell
REMEMBERED, REMEMBERED_BYTES = 8, 2 * 2**20  # headers, each no longer: those of the checkpoints that a page is about
ALIAS = "ss_output_name"  # among the texts of a file: what it calls itself
_ALIAS = re.compile(rb'"%s"\s*:\s*("(?:[^"\\]|\\.)*")' % ALIAS.encode())
BASE_VERSION, ARCHITECTURE = "ss_base_model_version", "modelspec.architecture"  # among the texts of a file
Known = TypeVar("Known", Family, str)

VERSIONS = {"sdxl": Family.SDXL, "sd_v1": Family.SD1, "sd_v2": Family.SD2}
ARCHITECTURES = {
    "stable-diffusion-xl": Family.SDXL, "stable-diffusion-v1": Family.SD1, "stable-diffusion-v2": Family.SD2,
}
CERTAIN_MARKS = {
    "lora_te2_": Family.SDXL, "text_encoder_2.": Family.SDXL, "conditioner.embedders.": Family.SDXL,
    "cond_stage_model.model.": Family.SD2, "cond_stage_model.transformer.": Family.SD1,
}
# Names that SDXL's tools write; those of the older families hardly ever.
LIKELY_MARKS = {
    "lora_te1_": Family.SDXL, "lora_unet_input_blocks_": Family.SDXL, "lora_unet_output_blocks_": Family.SDXL,
}
# Models that are none of ours, by the beginning of what such a file says of itself, or of its tensors' names.
OTHER_MODELS = {
    "flux": "Flux", "sd3": "Stable Diffusion 3", "stable-diffusion-3": "Stable Diffusion 3",
    "stable-cascade": "Stable Cascade", "lumina": "Lumina", "hunyuan": "Hunyuan",
    "pixart": "PixArt", "auraflow": "AuraFlow", "chroma": "Chroma", "qwen": "Qwen",
}
OTHER_MARKS = {
    "lora_unet_double_blocks_": "Flux", "lora_unet_single_blocks_": "Flux",
    "transformer.single_transformer_blocks.": "Flux", "lora_unet_joint_blocks_": "Stable Diffusion 3",
    "lora_te3_": "Stable Diffusion 3 or Flux",
    "transformer.transformer_blocks.": "another kind of model (a transformer)",
}
# Stable Diffusion XL has several such blocks in one place, the older families one.
SEVERAL_BLOCKS = re.compile(r"attentions[_.]\d+[_.]transformer_blocks[_.]1[_.]")
TEXT_READER = re.compile(r"(attn2[_.]to_[kv]|lora_te_\w+_self_attn_[qkv]_proj)\.(lora_down|lora_A|lora\.down)\.weight$")
# What an avatar's embedding may be called: `pa-` and the avatar's id.
OWN_EMBEDDING = re.compile(r"(?<![\w-])pa-([a-z0-9]+(?:-[a-z0-9]+)*)(?![\w-])", re.IGNORECASE)
# What the tokenisers of CLIP take apart before anything else: letters, single digits, runs of other signs.
WORD = re.compile(r"[^\W\d_]+|\d|(?:[^\s\w]|_)+")


_BROKEN = (  # what reading bytes that are no header may end in
    struct.error, LookupError, TypeError, AttributeError, RecursionError, OverflowError, UnicodeDecodeError,
    json.JSONDecodeError,
)


@dataclass(frozen=True)
class Header:
    """Shapes of a safetensors file's tensors by name, the texts that it carries, and for each tensor its number format
    as the file names it ("F16") and its first byte and the one behind its last, counted from the file's beginning."""

    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, str] = field(default_factory=dict)
    spans: Mapping[str, tuple[str, int, int]] = field(default_factory=dict)


def header_of(path: Path) -> Header:
    """The header of a safetensors file: 8 bytes little-endian length, then JSON; then the data, one tensor behind the
    other up to the file's end. Raises `ValueError` with what is wrong, `OSError`. A page asks many times whenever it is
    refreshed: the file is opened once while it stays the same.
    """
    try:
        found = path.stat()
        is_settled = found.st_mtime_ns < time.time_ns() - SETTLED_NS
        kept = _remembered(path, state_of(found)) if is_settled else None
        header = kept or _read(path, MAX_HEADER_BYTES)
    except _BROKEN as error:
        raise ValueError(text("content.header", detail=error)) from None
    if header is None:
        raise ValueError(text("content.long_header"))
    return header


@lru_cache(maxsize=REMEMBERED)
def _remembered(path: Path, state: tuple[int, ...]) -> Header | None:
    return _read(path, REMEMBERED_BYTES)


def _read(path: Path, most: int) -> Header | None:
    """None of a header of more than so many bytes."""
    with opened(path) as file:
        (length,) = struct.unpack("<Q", file.read(8))
        if length > most:
            return None
        written, size = file.read(length), os.fstat(file.fileno()).st_size
    if len(written) < length:
        raise ValueError(text("content.end"))
    return _checked(json.loads(written), 8 + length, size)


def _checked(header: dict[str, Any], start: int, size: int) -> Header:
    """Takes nothing in a header on trust. `start`: where the data begin; `size`: of the file, in bytes."""
    texts = header.pop("__metadata__", None) or {}
    if not all(isinstance(text, str) for text in texts.values()):
        raise ValueError(text("content.header_text"))
    shapes, spans = {}, {}
    for name, entry in header.items():
        first, end = _counts(entry["data_offsets"])
        if first > end:
            raise ValueError(text("content.backwards", tensor=name))
        shapes[name], spans[name] = _counts(entry["shape"]), (str(entry["dtype"]), start + first, start + end)
    _refuse_uncovered(spans, start, size)
    return Header(shapes, texts, spans)


def _refuse_uncovered(spans: Mapping[str, tuple[str, int, int]], start: int, size: int) -> None:
    """Raises `ValueError` where the safetensors library opens no file: bytes belong to no tensor, or to two."""
    if max((end for _, _, end in spans.values()), default=0) > size:
        raise ValueError(text("content.end"))
    covered = start
    for name, (_, first, end) in sorted(spans.items(), key=lambda item: item[1][1:]):
        if first != covered:
            raise ValueError(text("content.gap" if first > covered else "content.shared", tensor=name))
        covered = end
    if covered < size:
        raise ValueError(text("content.rest", size=size - covered))


def _counts(numbers: Any) -> tuple[int, ...]:
    """A list of whole numbers from 0 up."""
    if not isinstance(numbers, list) or any(type(number) is not int or number < 0 for number in numbers):
        raise ValueError("its header has something else where numbers belong")
    return tuple(numbers)


def read_header(path: Path) -> Header | None:
    """None for a file that is no safetensors file, is damaged, or is not there."""
    try:
        return header_of(path)
    except (OSError, ValueError):
        return None


def alias_of(path: Path) -> str:
    """What a safetensors file calls itself, "" where it does not say, is damaged, or is not there. The bytes of its
    header are searched: taking thousands of headers apart takes half a minute."""
    try:
        with opened(path) as file:
            (length,) = struct.unpack("<Q", file.read(8))
            found = _ALIAS.search(file.read(length)) if length <= MAX_HEADER_BYTES else None
        return str(json.loads(found[1])) if found else ""
    except (OSError, ValueError, struct.error):
        return ""


def _contents_of(path: Path) -> Header | None:
    """The header, or of a pickle what one would say; None for a file that is damaged, holds code, or is not there."""
    if path.suffix.lower() not in PICKLE_SUFFIXES:
        return read_header(path)
    try:
        return Header({name.removeprefix("state_dict."): shape for name, shape in read_contents(path).items()})
    except (OSError, BaseUnsupported):
        return None


def family_of_file(path: Path) -> Family | None:
    """The family that a LoRA, an embedding or a checkpoint is for; None when its file does not tell."""
    header = _contents_of(path)
    if header is None:
        return None
    return (
        _by_metadata(header.metadata)
        or _by_marks(header.shapes, CERTAIN_MARKS)
        or _by_width(header.shapes)
        or _by_marks(header.shapes, LIKELY_MARKS)
        or (Family.SDXL if any(map(SEVERAL_BLOCKS.search, header.shapes)) else None)
    )


def made_for(path: Path) -> str:
    """What a LoRA, an embedding or a checkpoint is for, in words, also where it is no family of ours; "" when its file
    does not tell."""
    header = _contents_of(path)
    if header is None:
        return ""
    said = (header.metadata.get(key, "").lower() for key in (BASE_VERSION, ARCHITECTURE))
    other = _by_marks(said, OTHER_MODELS) or _by_marks(header.shapes, OTHER_MARKS)
    if other:
        return other
    family = family_of_file(path)
    return FAMILIES[family] if family else ""


def _by_metadata(texts: Mapping[str, str]) -> Family | None:
    said = ((BASE_VERSION, VERSIONS), (ARCHITECTURE, ARCHITECTURES))
    return next((found for key, known in said if (found := _by_marks([texts.get(key, "")], known))), None)


def _by_marks(names: Iterable[str], marks: Mapping[str, Known]) -> Known | None:
    """What a name of these begins with."""
    return next((known for name in names for mark, known in marks.items() if name.startswith(mark)), None)


def _by_width(shapes: Mapping[str, tuple[int, ...]]) -> Family | None:
    """By how wide the words of an embedding are, or what the LoRA's modules that read text take in."""
    if {"clip_l", "clip_g"} <= shapes.keys():
        return Family.SDXL
    if len(shapes) == 1:
        (shape,) = shapes.values()
        return OF_WIDTH.get(shape[-1]) if len(shape) in (1, 2) else None
    widths = (shape[1] for name, shape in shapes.items() if len(shape) > 1 and TEXT_READER.search(name))
    return next((OF_WIDTH[width] for width in widths if width in OF_WIDTH), None)


def loras_in(folder: Path) -> dict[str, Path]:
    """LoRA files by name, anywhere under `folder`; of several with one name the last, which the WebUI takes, too."""
    return _by_name(folder, LORA_SUFFIXES)


def embeddings_in(folder: Path) -> dict[str, Path]:
    """Embedding files by the word that stands for them in a prompt."""
    return _by_name(folder, EMBEDDING_SUFFIXES)


def _by_name(folder: Path, suffixes: tuple[str, ...]) -> dict[str, Path]:
    found = (path for path in files_below(folder) if path.suffix.lower() in suffixes)
    return {path.stem: path for path in found if not path.name.startswith(".") and path.is_file()}


def find_lora(name: str, files: Mapping[str, Path]) -> Path | None:
    """The file that `<lora:name:...>` means: of this name, else the one that calls itself so (`ss_output_name`)."""
    if name in files:
        return files[name]
    return next((path for path in files.values() if alias_of(path) == name), None) if name else None


def split_embeddings(text: str, names: Iterable[str]) -> list[tuple[str, str | None]]:
    """`text` in pieces: (what was written, the embedding that it names or None), in order; nothing is lost.

    As the WebUI compares tokens: in any case of letters, whole words, the longest name first.
    """
    known = sorted(((_words(name), name) for name in names), key=lambda pair: -len(pair[0]))
    found = list(WORD.finditer(text))
    words = [match.group().casefold() for match in found]
    pieces: list[tuple[str, str | None]] = []
    position, done = 0, 0
    while position < len(words):
        hit = next(((key, name) for key, name in known if key and words[position : position + len(key)] == key), None)
        if hit is None:
            position += 1
            continue
        start, end = found[position].start(), found[position + len(hit[0]) - 1].end()
        pieces += [(text[done:start], None), (text[start:end], hit[1])]
        position, done = position + len(hit[0]), end
    return [piece for piece in [*pieces, (text[done:], None)] if piece[0]]


def _words(text: str) -> list[str]:
    return [word.casefold() for word in WORD.findall(text)]


def mismatches(prompt: str, base: BaseModelFile, folders: Folders, negative_prompt: str = "") -> list[str]:
    """A sentence for each LoRA and embedding that is missing, cannot be read, or was made for another family than
    `base`; each once. LoRAs of the negative prompt are words there, to the WebUI as to us."""
    (words, tags), (_, idle) = split_networks(prompt), split_networks(negative_prompt)
    wanted = [tag.name for tag in tags if tag.is_used]
    return list(dict.fromkeys([
        *_lora_complaints(wanted, base, (folders.loras, *folders.more_loras)),
        *(text("log.idle_lora", who=tag.name) for tag in idle),
        *_embedding_complaints([words, negative_prompt], base, folders),
    ]))


def _lora_complaints(names: list[str], base: BaseModelFile, folders: Iterable[Path]) -> Iterator[str]:
    files = {name: path for folder in folders for name, path in loras_in(folder).items()}
    for name in names:
        path = find_lora(name, files)
        yield from [text("failure.lora_not_there", names=name)] if path is None else _unfit("lora", name, path, base)


def _embedding_complaints(texts: list[str], base: BaseModelFile, folders: Folders) -> Iterator[str]:
    files = embeddings_in(folders.embeddings)
    pieces = _pieces(texts, files)
    for name in _named(pieces):
        yield from _unfit("embedding", name, files[name], base)
    words = (found for part, name in pieces if not name for found in OWN_EMBEDDING.finditer(part))
    for word, avatar_id in dict.fromkeys(found.group(0, 1) for found in words):
        if _is_avatar(avatar_id.lower(), folders):
            yield text("log.no_embedding", who=word)


def named_embeddings(texts: Iterable[str], files: Mapping[str, Path]) -> list[Path]:
    """The files that prompts name, each once. `files`: embeddings by name."""
    return [files[name] for name in _named(_pieces(texts, files))]


def _pieces(texts: Iterable[str], files: Mapping[str, Path]) -> list[tuple[str, str | None]]:
    parts = [part for text in texts for part, _ in emphasis(text)]
    return [piece for part in parts for piece in split_embeddings(part, files)]


def _named(pieces: Iterable[tuple[str, str | None]]) -> list[str]:
    return list(dict.fromkeys(name for _, name in pieces if name))


def _is_avatar(avatar_id: str, folders: Folders) -> bool:
    try:
        return AvatarStore(folders.data / "avatars").folder(avatar_id).is_dir()
    except NotFound:
        return False


def _unfit(kind: str, who: str, path: Path, base: BaseModelFile) -> list[str]:
    if _contents_of(path) is None:
        return [text(f"log.broken_{kind}", who=who)]
    model, ours = made_for(path), FAMILIES[base.family]
    if model in ("", ours):
        return []
    return [text(f"log.other_{kind}", who=who, format=model, file=base.title, family=ours)]
