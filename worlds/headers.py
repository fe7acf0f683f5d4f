"""What .npy and .safetensors files claim to hold, read from their headers. Without NumPy and torch: the gateway looks
too, at untrusted files.
"""

from __future__ import annotations

import ast
from math import prod
from pathlib import Path
from typing import IO

from pydantic import BaseModel, TypeAdapter, ValidationError

MAX_NPY_HEADER = 1000  # bytes; an array of plain numbers needs about 100
MAX_TENSORS_HEADER = 2**24


def check_npy(stream: IO[bytes], shape: tuple[int, ...], dtype: str, size: int, where: str) -> int:
    """The offset of the data. ValueError unless the `size` bytes of `stream` are an array of this shape and dtype
    (`|u1`, `<f4`)."""
    try:
        found_shape, found_dtype, start = _npy_header(stream)
    except (ValueError, TypeError, KeyError, SyntaxError, MemoryError, RecursionError):
        raise ValueError(f"{where} is not a .npy file") from None
    if (found_shape, found_dtype) != (shape, dtype):
        raise ValueError(f"{where} is {found_dtype!r} {found_shape}, expected {dtype!r} {shape}")
    expected = start + prod(shape) * int(dtype[-1])
    if size != expected:
        raise ValueError(f"{where} has {size} bytes, expected {expected}: it was cut short or added to")
    return start


def _npy_header(stream: IO[bytes]) -> tuple[tuple[int, ...], str, int]:
    """Shape, dtype and the offset of the data (numpy.lib.format)."""
    start = stream.read(8)
    if start[:6] != b"\x93NUMPY" or start[6] not in (1, 2, 3):
        raise ValueError
    width = 2 if start[6] == 1 else 4
    length = int.from_bytes(stream.read(width), "little")
    if length > MAX_NPY_HEADER:
        raise ValueError
    header = ast.literal_eval(stream.read(length).decode())
    shape, dtype = header["shape"], header["descr"]
    return shape, dtype, 8 + width + length


class _Tensor(BaseModel):
    dtype: str
    shape: list[int]
    data_offsets: tuple[int, int]


_TENSORS = TypeAdapter(dict[str, _Tensor | dict[str, str]])  # the second is that of __metadata__


def check_safetensors(file: Path) -> None:
    """ValueError unless the file is a safetensors file whose tensors fill it without a gap."""
    size = file.stat().st_size
    with file.open("rb") as stream:
        length = int.from_bytes(stream.read(8), "little")
        if size < 8 or length > min(size - 8, MAX_TENSORS_HEADER):
            raise ValueError(f"{file.name} is not a safetensors file: other weight formats are refused")
        header = stream.read(length)
    try:
        tensors = _TENSORS.validate_json(header)
    except ValidationError:
        raise ValueError(f"{file.name} is not a safetensors file: its header cannot be read") from None
    spans = sorted(tensor.data_offsets for tensor in tensors.values() if isinstance(tensor, _Tensor))
    end = 0
    for begin, after in spans:
        if begin != end or after < begin:
            raise ValueError(f"{file.name} is not a safetensors file: its tensors overlap or leave gaps")
        end = after
    if 8 + length + end != size:
        raise ValueError(f"{file.name} has {size} bytes, expected {8 + length + end}: it was cut short or added to")
