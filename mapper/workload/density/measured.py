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

import numpy as np
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
        found = np.load(BytesIO(read_bytes(path)), allow_pickle=False)
    except OSError as error:
        raise ValueError(f"{path} cannot be read: {error.strerror or error}; {_EXPECTED}") from None
    except Exception as error:                   # whatever a broken file makes of numpy and zipfile
        raise ValueError(f"{path} holds no array of numbers ({error}); {_EXPECTED}") from None
    if isinstance(found, np.ndarray):
        array = found
        if name is not None:
            raise ValueError(f"{path} holds a single array; expected no member name")
    else:
        with found:
            array = _member(found, path, name)
    if array.dtype.kind not in "biufc":
        raise ValueError(f"{path} holds values of type {array.dtype}; expected numbers")
    return array


def _member(archive: Any, path: Path, name: str | None) -> NDArray[Any]:
    members = list(archive.files)
    if name is None and len(members) == 1:
        name = members[0]
    if name is None or name not in members:
        what = "no member chosen" if name is None else f"no member {name!r}"
        raise ValueError(f"{path}: {what}; expected one of {', '.join(members) or 'none'}")
    try:
        size = max(part.file_size for part in archive.zip.infolist())
        if size > MOST_BYTES:
            raise ValueError(f"{size} bytes are too many")
        return np.asarray(archive[name])
    except Exception as error:
        raise ValueError(f"{path}: member {name!r} is no array of numbers ({error})") from None
