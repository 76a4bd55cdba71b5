"""From the bytes of a picture or of an index mask to arrays, no larger than they are needed.

A photograph of many megapixels is decoded at a half, a quarter or an eighth of its size where
that is still enough: JPEG gives those at a fraction of the cost.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import PIL.Image

from backend.errors import InvalidImage
from backend.training.data.source import IGNORE, Image, Layer

MAX_PIXELS = 80_000_000
"""What a training picture may have at most: one of more is a mistake or an attack."""

REDUCED = {
    2: cv2.IMREAD_REDUCED_COLOR_2,
    4: cv2.IMREAD_REDUCED_COLOR_4,
    8: cv2.IMREAD_REDUCED_COLOR_8,
}

IGNORED_ID = {np.dtype(np.uint8): 255, np.dtype(np.uint16): 65535}
"""The stored value that means IGNORE, by the depth of an index mask."""


def read_bytes(path: Path) -> bytes:
    """The whole file. Raises `InvalidImage` for one that is not there or cannot be read."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise InvalidImage(f"{path} cannot be read ({error.strerror}); complete the set") from error


def decode_rgb(data: bytes, name: str, longest: int | None = None) -> Image:
    """uint8 HxWx3 RGB, turned upright as its EXIF entry says.

    With `longest` the long side has at most that many pixels. `name` is what errors call it.
    Raises `InvalidImage`, also for more than MAX_PIXELS, which are not decoded.
    """
    side = max(_size(data, name))
    factor = 1
    if longest is not None:
        factor = next((factor for factor in (8, 4, 2) if side // factor >= longest), 1)
    flag = REDUCED.get(factor, cv2.IMREAD_COLOR_RGB)
    image = cv2.imdecode(np.frombuffer(data, np.uint8), flag)
    if image is None:
        raise InvalidImage(f"{name}: not a readable picture; fetch it again")
    if factor > 1:
        image = cv2.cvtColor(image, cv2.COLOR_BGR2RGB)
    return fitted(np.asarray(image, np.uint8), longest)


def fitted(image: Image, longest: int | None) -> Image:
    """The image with its long side reduced to `longest` by averaging; never enlarged."""
    height, width = image.shape[:2]
    if longest is None or max(height, width) <= longest:
        return image
    scale = longest / max(height, width)
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), np.uint8)


def decode_ids(data: bytes, name: str) -> Layer:
    """int32 HxW: an index mask of 8 or 16 bits as a layer; its highest value becomes IGNORE.

    Palettes are not resolved. Raises `InvalidImage`, also for a picture in colour.
    """
    _size(data, name)
    stored = _stored(data, name)
    if stored.ndim != 2 or stored.dtype not in IGNORED_ID:
        raise InvalidImage(
            f"{name}: object ids need a palette or grey picture of 8 or 16 bits, "
            f"not {stored.dtype} of shape {stored.shape}"
        )
    layer = stored.astype(np.int32)
    layer[stored == IGNORED_ID[stored.dtype]] = IGNORE
    return layer


def same_size(layer: Layer, image: Image, name: str) -> Layer:
    """The layer at the image's size: a reduced image takes its mask with it.

    Raises `InvalidImage` where the two have not the same aspect ratio.
    """
    size = image.shape[:2]
    if layer.shape == size:
        return layer
    (height, width), (rows, columns) = size, layer.shape
    if abs(height * columns - width * rows) > max(rows, columns):
        raise InvalidImage(
            f"{name}: the mask is {columns} x {rows} pixels, the picture {width} x {height}; "
            "a mask needs the size of its upright picture"
        )
    resized = cv2.resize(layer, (width, height), interpolation=cv2.INTER_NEAREST_EXACT)
    return np.asarray(resized, np.int32)


def _stored(data: bytes, name: str) -> npt.NDArray[Any]:
    """The values as they are stored. OpenCV is the faster reader, but resolves palettes."""
    grey_png = data[:4] == b"\x89PNG" and len(data) > 25 and data[25] == 0
    if grey_png:
        stored = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
        if stored is not None and data[24] >= 8:
            return np.asarray(stored)
    try:
        with PIL.Image.open(io.BytesIO(data)) as file:
            values = np.array(file)
    except (OSError, SyntaxError, ValueError) as error:
        raise InvalidImage(f"{name}: not a readable mask ({error}); fetch it again") from error
    if values.dtype == np.bool_:
        return values.astype(np.uint8)
    return values


def _size(data: bytes, name: str) -> tuple[int, int]:
    """Width and height from the header."""
    try:
        with PIL.Image.open(io.BytesIO(data)) as file:
            width, height = file.size
    except PIL.Image.DecompressionBombError as error:
        raise InvalidImage(f"{name}: {error}") from error
    except (OSError, SyntaxError, ValueError) as error:
        raise InvalidImage(f"{name}: not a readable picture ({error}); fetch it again") from error
    if width * height > MAX_PIXELS:
        raise InvalidImage(
            f"{name} has {width} x {height} pixels, more than the {MAX_PIXELS} that a training "
            "picture may have; reduce it"
        )
    return width, height
