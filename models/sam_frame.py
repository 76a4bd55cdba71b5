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

from models.segmenter import Image

MEAN = np.array((123.675, 116.28, 103.53), np.float32)
STD = np.array((58.395, 57.12, 57.375), np.float32)

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
