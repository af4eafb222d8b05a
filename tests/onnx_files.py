"""Small ONNX files with random weights, written byte by byte: protobuf as onnx.proto lays it out."""
from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

_FLOAT = 1
_INT, _INTS = 2, 7


def _varint(number: int) -> bytes:
    found = bytearray()
    while number > 0x7F:
        found.append(number & 0x7F | 0x80)
        number >>= 7
    return bytes([*found, number])


def _number(field: int, value: int) -> bytes:
    return _varint(field << 3) + _varint(value)


def _bytes(field: int, value: bytes) -> bytes:
    return _varint(field << 3 | 2) + _varint(len(value)) + value


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def node(kind: str, inputs: Sequence[str], output: str, **attributes: int | Sequence[int]) -> bytes:
    """A NodeProto with one output."""
    found = b"".join(_text(1, name) for name in inputs) + _text(2, output) + _text(4, kind)
    for name, value in attributes.items():
        numbers = [value] if isinstance(value, int) else value
        field, form = (3, _INT) if isinstance(value, int) else (8, _INTS)
        inside = _text(1, name) + b"".join(_number(field, number) for number in numbers) + _number(20, form)
        found += _bytes(5, inside)
    return found


def _tensor(name: str, values: np.ndarray) -> bytes:
    data = np.ascontiguousarray(values, dtype="<f4")
    dims = b"".join(_number(1, size) for size in data.shape)
    return dims + _number(2, _FLOAT) + _text(8, name) + _bytes(9, data.tobytes())


def _value(name: str, shape: Sequence[int | str]) -> bytes:
    dims = b"".join(_bytes(1, _number(1, size) if isinstance(size, int) else _text(2, size)) for size in shape)
    return _text(1, name) + _bytes(2, _bytes(1, _number(1, _FLOAT) + _bytes(2, dims)))


def write(
    path: Path, nodes: Sequence[bytes], weights: Mapping[str, np.ndarray],
    given: tuple[str, Sequence[int | str]], answered: tuple[str, Sequence[int | str]],
) -> Path:
    """A model of opset 13 with one input and one output, each (name, shape), all float32."""
    graph = b"".join(_bytes(1, one) for one in nodes) + _text(2, "miniature")
    graph += b"".join(_bytes(5, _tensor(name, values)) for name, values in weights.items())
    graph += _bytes(11, _value(*given)) + _bytes(12, _value(*answered))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(_number(1, 8) + _bytes(7, graph) + _bytes(8, _text(1, "") + _number(2, 13)))
    return path
