"""The non-zeros of a real array."""

from __future__ import annotations

import base64
import zlib
from dataclasses import dataclass, field
from functools import cached_property
from io import BytesIO
from math import prod
from pathlib import Path
from typing import Any, Sequence
from zipfile import ZipFile

import numpy as np
from numpy.lib import format as npy
from numpy.typing import ArrayLike, NDArray

from ...files import MOST_BYTES, read_bytes
from .placed import Regions, whole
from .protocol import Integers, Tile

_EXPECTED = "expected a .npy or .npz file"


@dataclass(frozen=True)
class Measured:
    """Exactly the non-zeros that a given array has; make one with `of` or `load`.

    Every statistic is a count over all tiles of the array: no error but that of rounding.

    Attributes
    ----------
    shape : that of the array
    bits : one bit a word, 1 for a non-zero, the last axis fastest

    >>> import numpy as np
    >>> Measured.of(np.eye(4)).bind((4, 4)).pmf((2, 2)).values.tolist()
    [0, 2]
    """

    shape: Tile
    bits: bytes = field(repr=False)

    @classmethod
    def of(cls, array: ArrayLike) -> Measured:
        """Of an array in memory: a number other than 0 is a non-zero, and so is a NaN."""
        mask = np.asarray(array) != 0
        return cls(mask.shape, np.packbits(mask).tobytes())

    @classmethod
    def load(cls, path: str | Path, name: str | None = None, axes: Sequence[int] | None = None) -> Measured:
        """Of an array in a `.npy` file, or the member `name` of a `.npz` file.

        Parameters
        ----------
        name : needed where a `.npz` file has several members
        axes : for each axis of the tensor, the axis of the array in the file

        Raises
        ------
        ValueError
            The file cannot be read, is no file of numbers, or has no such member or axes.
        """
        array = _read(Path(path), name)
        order = tuple(range(array.ndim)) if axes is None else tuple(axes)
        if sorted(order) != list(range(array.ndim)):
            raise ValueError(f"axes {order} of an array with {array.ndim}; expected each of them once")
        return cls.of(array.transpose(order))

    @classmethod
    def decode(cls, shape: Tile, text: str) -> Measured:
        """The inverse of `encoded`; raises ValueError for a text that is none of that shape."""
        size = -(-prod(shape) // 8)
        try:
            unpack = zlib.decompressobj()
            bits = unpack.decompress(base64.b64decode(text, validate=True), size + 1)
        except (ValueError, zlib.error) as error:
            raise ValueError(f"bits that cannot be unpacked ({error}); expected zlib's in base64") from None
        if len(bits) != size:
            raise ValueError(f"bits of another size; expected one bit for each of {prod(shape)} words")
        return cls(shape, bits)

    @property
    def encoded(self) -> str:
        """The bits, compressed, as text."""
        return base64.b64encode(zlib.compress(self.bits, 9)).decode()

    @property
    def mask(self) -> NDArray[np.bool_]:
        """Whether each word is a non-zero, shape `shape`."""
        flat = np.unpackbits(np.frombuffer(self.bits, np.uint8), count=prod(self.shape))
        return flat.reshape(self.shape).astype(bool)

    def bind(self, shape: Tile) -> Regions:
        if tuple(shape) != self.shape:
            raise ValueError(f"an array of shape {self.shape} for a tensor of shape {tuple(shape)}; "
                             "expected the same extents in the same order")
        return Regions(shape, self._prefix, *whole(shape))

    @cached_property
    def _prefix(self) -> _Table:
        """A summed-area table with a border of zeros (F. Crow, SIGGRAPH 1984)."""
        kind: type[np.signedinteger[Any]] = np.int64 if prod(self.shape) >> 31 else np.int32
        table: NDArray[Any] = np.zeros([extent + 1 for extent in self.shape], kind)
        inside = table[...] if not self.shape else table[(slice(1, None),) * len(self.shape)]
        inside[...] = self.mask
        for axis in range(len(self.shape)):
            np.cumsum(inside, axis=axis, out=inside)
        return _Table(table)

    def __getstate__(self) -> dict[str, Any]:
        return {key: value for key, value in self.__dict__.items() if key != "_prefix"}   # it is large


@dataclass(frozen=True, eq=False)
class _Table:
    sums: NDArray[np.signedinteger[Any]]

    def __call__(self, *ends: Integers) -> Integers:
        return self.sums[ends].astype(np.int64) if ends else self.sums.astype(np.int64)


def _read(path: Path, name: str | None) -> NDArray[Any]:
    """The array in a file; raises ValueError."""
    try:
        data = read_bytes(path)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}; {_EXPECTED}") from None
    if data.startswith(b"PK"):
        return _member(data, path, name)
    found = _numbers(data, str(path))
    if name is not None:
        raise ValueError(f"{path} holds a single array; expected no member name")
    return found


def _numbers(data: bytes, what: str) -> NDArray[Any]:
    """The array that the bytes of a `.npy` file hold. Nothing is made that is not there: sizes are compared
    first, and objects are refused."""
    stream = BytesIO(data)
    try:
        version = npy.read_magic(stream)
        header = npy.read_array_header_1_0 if version == (1, 0) else npy.read_array_header_2_0
        shape, _, kind = header(stream)
    except Exception as error:                   # whatever a broken file makes of numpy
        raise ValueError(f"{what} holds no array of numbers ({error}); {_EXPECTED}") from None
    if kind.kind not in "biufc":
        raise ValueError(f"{what} holds values of type {kind}; expected numbers")
    size, there = prod(shape) * kind.itemsize, len(data) - stream.tell()
    if min(shape, default=0) < 0:
        raise ValueError(f"{what} holds an array of shape {shape}; expected extents of 0 or more")
    if size != there:
        raise ValueError(f"{what} has {there} bytes for an array of shape {shape} of {kind}; expected {size}")
    return npy.read_array(BytesIO(data), allow_pickle=False)


def _member(data: bytes, path: Path, name: str | None) -> NDArray[Any]:
    """The array in a `.npz` file, where it is the only one or has that name."""
    try:
        with ZipFile(BytesIO(data)) as archive:
            sizes = {part.filename.removesuffix(".npy"): part for part in archive.infolist()}
            if name is None and len(sizes) == 1:
                name = next(iter(sizes))
            found = sizes.get(name) if name is not None else None
            small = found is not None and found.file_size <= MOST_BYTES
            content = archive.read(found) if found is not None and small else b""
    except Exception as error:                   # whatever a broken file makes of zipfile
        raise ValueError(f"{path} cannot be unpacked ({error}); {_EXPECTED}") from None
    if found is None:
        what = "no member chosen" if name is None else f"no member {name!r}"
        raise ValueError(f"{path}: {what}; expected one of {', '.join(sizes) or 'none'}")
    if not small:
        raise ValueError(f"{path}: {name!r} has {found.file_size} bytes; expected at most {MOST_BYTES}")
    return _numbers(content, f"{path}: member {name!r}")
