"""A mask as it travels through the backend: the part of the picture that it touches.

A person's object is small beside a 12-megapixel photograph. Everything after the network works
on the cropped mask, so its cost follows the object and not the picture.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import numpy.typing as npt

BoolArray = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Mask:
    """A binary mask of a picture of `size` (height, width).

    `box` is (left, top, right, bottom), half-open, and `crop` bool of that height x width; all
    outside is background. An empty mask has the box (0, 0, 0, 0). The box is tight.
    """

    size: tuple[int, int]
    box: tuple[int, int, int, int]
    crop: BoolArray

    @classmethod
    def of(
        cls, array: BoolArray, offset: tuple[int, int] = (0, 0), size: tuple[int, int] | None = None
    ) -> Mask:
        """The mask whose pixels are `array`, bool, laid at `offset` (left, top) of the picture.

        `size` is the picture's (height, width); the array's own by default.
        """
        size = size or (array.shape[0], array.shape[1])
        rows = np.flatnonzero(array.any(axis=1))
        if not rows.size:
            return cls(size, (0, 0, 0, 0), np.zeros((0, 0), np.bool_))
        columns = np.flatnonzero(array.any(axis=0))
        top, bottom = int(rows[0]), int(rows[-1]) + 1
        left, right = int(columns[0]), int(columns[-1]) + 1
        x, y = offset
        box = (left + x, top + y, right + x, bottom + y)
        return cls(size, box, np.ascontiguousarray(array[top:bottom, left:right]))

    @classmethod
    def empty(cls, size: tuple[int, int]) -> Mask:
        """The mask without a pixel."""
        return cls(size, (0, 0, 0, 0), np.zeros((0, 0), np.bool_))

    def __bool__(self) -> bool:
        """Whether any pixel is set."""
        return bool(self.crop.size)

    @cached_property
    def area(self) -> int:
        """Pixels set."""
        return int(np.count_nonzero(self.crop))

    @cached_property
    def full(self) -> BoolArray:
        """bool HxW of the whole picture."""
        left, top, right, bottom = self.box
        whole = np.zeros(self.size, np.bool_)
        whole[top:bottom, left:right] = self.crop
        return whole

    def to_bytes(self) -> bytes:
        """Six little-endian uint32 (height, width, box) and the crop's bits, compressed."""
        header = np.array([*self.size, *self.box], "<u4").tobytes()
        return header + zlib.compress(np.packbits(self.crop).tobytes(), 1)

    @classmethod
    def from_bytes(cls, data: bytes) -> Mask:
        """The inverse of `to_bytes`."""
        height, width, left, top, right, bottom = np.frombuffer(data[:24], "<u4").tolist()
        shape = (bottom - top, right - left)
        bits = np.frombuffer(zlib.decompress(data[24:]), np.uint8)
        crop = np.unpackbits(bits, count=shape[0] * shape[1]).reshape(shape).astype(np.bool_)
        return cls((height, width), (left, top, right, bottom), crop)
