"""From a picture to Segment Anything's square input and back to a mask of the picture.

Kirillov et al., Segment Anything (arXiv 2304.02643), in the details of MobileSAM's predictor: the
picture is scaled to a long side of S, laid into the upper left corner of an SxS square, and the
rest of the square is zero.
"""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image as PillowImage

from models.segmenter import Image, Region

MEAN = np.array((123.675, 116.28, 103.53), np.float32)
STD = np.array((58.395, 57.12, 57.375), np.float32)

MASK_STRIDE = 4
"""Pixels of the square to one pixel of the network's masks."""

MASK_LOGIT = 10.0
"""A given mask enters as logits of this size, about those that the network itself gives."""

Logits = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Frame:
    """How a picture of `size` (height, width) lies in a square of `side` pixels.

    `scaled` is the picture's (height, width) inside the square.
    """

    size: tuple[int, int]
    side: int
    scaled: tuple[int, int]

    @classmethod
    def of(cls, size: tuple[int, int], side: int) -> Frame:
        """The frame of a picture; smaller pictures are enlarged.

        Raises ValueError for a picture so narrow that nothing of its short side remains.
        """
        scale = side / max(size)
        height, width = (int(length * scale + 0.5) for length in size)
        if not height or not width:
            raise ValueError(
                f"a picture of {size[1]}x{size[0]} pixels is too narrow for a network that sees"
                f" {side} pixels of its long side; cut it into parts"
            )
        return cls(size, side, (height, width))

    def points(self, xy: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
        """Pixels (..., 2) of (x, y) in the picture -> float32 in the square, not clipped."""
        ratio = np.array([self.scaled[1] / self.size[1], self.scaled[0] / self.size[0]])
        return np.asarray(xy * ratio, np.float32)

    def resize(self, image: Image) -> Image:
        """The uint8 picture at its size inside the square, by Pillow's antialiased filter."""
        height, width = self.scaled
        picture = PillowImage.fromarray(image)
        return np.asarray(picture.resize((width, height), PillowImage.Resampling.BILINEAR))

    def network_input(self, image: Image) -> Logits:
        """float32 (1, 3, S, S): resized, normalised, then padded with zeros."""
        square = np.zeros((1, self.side, self.side, 3), np.float32)
        height, width = self.scaled
        square[0, :height, :width] = (self.resize(image) - MEAN) / STD
        return square.transpose(0, 3, 1, 2)

    def logits(self, low: Logits) -> Logits:
        """Masks of the network, float32 (S/4, S/4), at the picture's size HxW.

        Two bilinear interpolations with the crop between them, as in the original: to the square
        and from there to the picture. In one step the mask's edge would move.
        """
        height, width = self.scaled
        square = cv2.resize(low, (self.side, self.side), interpolation=cv2.INTER_LINEAR)
        inside = np.ascontiguousarray(square[:height, :width])
        size = (self.size[1], self.size[0])
        return np.asarray(cv2.resize(inside, size, interpolation=cv2.INTER_LINEAR), np.float32)

    def region(self, low: Logits) -> Region:
        """The part of the picture outside of which `logits(low)` is nowhere positive."""
        rows, columns = (np.flatnonzero((low > 0).any(axis=axis)) for axis in (1, 0))
        if not rows.size:
            return (0, 0, 0, 0)
        left, right = _reach(columns, self.scaled[1], self.size[1])
        top, bottom = _reach(rows, self.scaled[0], self.size[0])
        return (left, top, right, bottom) if left < right and top < bottom else (0, 0, 0, 0)

    def inside(self, low: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """The part of maps (..., S/4, S/4) that shows the picture and not the padding."""
        height, width = (max(1, length // MASK_STRIDE) for length in self.scaled)
        return low[..., :height, :width]

    def map_position(self, xy: tuple[float, float]) -> tuple[int, int]:
        """(row, column) in `inside` of a position in the picture, the nearest one for others."""
        x, y = (self.points(np.array(xy, np.float64)) + 0.5) / MASK_STRIDE
        height, width = (max(1, length // MASK_STRIDE) for length in self.scaled)
        row, column = min(max(int(y), 0), height - 1), min(max(int(x), 0), width - 1)
        return row, column

    def mask_logits(self, mask: npt.NDArray[np.bool_]) -> Logits:
        """A mask of the picture, bool HxW, as logits (S/4, S/4); the padding is background."""
        height, width = self.scaled
        square = np.zeros((self.side, self.side), np.float32)
        shape = (width, height)
        shrinks = height < mask.shape[0]
        how = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
        square[:height, :width] = cv2.resize(mask.astype(np.float32), shape, interpolation=how)
        side = self.side // MASK_STRIDE
        share = square.reshape(side, MASK_STRIDE, side, MASK_STRIDE).mean(axis=(1, 3))
        return np.asarray(MASK_LOGIT * (2 * share - 1), np.float32)


def _reach(positive: npt.NDArray[np.intp], scaled: int, length: int) -> tuple[int, int]:
    """From the first to the last pixel that two interpolations carry a positive value to."""
    ratio = length / scaled
    first = ((int(positive[0]) - 1) * MASK_STRIDE - 1) * ratio - 1
    last = ((int(positive[-1]) + 2) * MASK_STRIDE + 1) * ratio + 1
    return max(0, int(np.floor(first))), min(length, int(np.ceil(last)))
