"""Masks as picture files."""

from __future__ import annotations

import io
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image

from backend.errors import InvalidImage, InvalidRequest
from backend.masks import Mask
from backend.pictures import FORMATS, PictureLimits, inspect

OPAQUE = 255
HALF_OPAQUE = 127


def encode(mask: Mask) -> bytes:
    """An 8-bit grey PNG of the whole picture: 255 in the mask, 0 outside."""
    done, data = cv2.imencode(".png", mask.full.view(np.uint8) * np.uint8(255))
    if not done:
        raise ValueError(f"OpenCV could not write a PNG of {mask.size}")
    return data.tobytes()


def decode(data: bytes, size: tuple[int, int], limits: PictureLimits, field: str = "mask") -> Mask:
    """The mask in a picture file of any format that `backend.pictures` reads.

    Set are, in a picture with transparency, the pixels that are more than half opaque; in one
    with a palette, all indices but 0; in any other, the pixels brighter than half of the
    brightest one, so 0 and 1 serve as well as 0 and 255. `size` is the (height, width) of the
    picture the mask belongs to. Raises InvalidRequest, naming `field`, for another size, and what
    `backend.pictures.inspect` raises.
    """
    inspect(data, limits, field)
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
        image.load()
        array = _set_pixels(image)
    except MemoryError:
        raise
    except Exception as error:  # a decoder fed with hostile bytes may raise anything
        raise InvalidImage(f"{field} is damaged or truncated ({error})", field=field) from error
    if array.shape != size:
        raise InvalidRequest(
            f"{field} is {array.shape[1]} x {array.shape[0]} pixels, but the picture is "
            f"{size[1]} x {size[0]}; send a mask of the upright picture's size",
            field=field,
        )
    return Mask.of(array)


def _set_pixels(image: Image.Image) -> npt.NDArray[np.bool_]:
    """bool HxW of a loaded picture by the rule of `decode`."""
    if image.has_transparency_data:
        opacity = np.array(image.convert("RGBA"))[..., 3]
        if (opacity < OPAQUE).any():
            return _above(opacity, HALF_OPAQUE)
    if image.mode == "P":
        return _above(np.array(image), 0)
    values = np.array(image if image.mode.startswith(("I", "F")) else image.convert("L"))
    return _above(values, float(values.max()) / 2)


def _above(values: npt.NDArray[Any], limit: float) -> npt.NDArray[np.bool_]:
    chosen: npt.NDArray[np.bool_] = values > limit
    return chosen
