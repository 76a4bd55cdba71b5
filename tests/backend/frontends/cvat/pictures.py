"""One bright square on a dark ground, as every kind of file that CVAT's server may send."""

from __future__ import annotations

import io
from collections.abc import Callable

import cv2
import numpy as np
from PIL import Image

WIDTH, HEIGHT = 120, 80
LEFT, TOP, RIGHT, BOTTOM = 70, 15, 101, 41
SQUARE = np.zeros((HEIGHT, WIDTH), np.bool_)
SQUARE[TOP:BOTTOM, LEFT:RIGHT] = True
INSIDE = [85.4, 27.9]
OUTSIDE = [20.5, 60.5]
BOX = [[float(LEFT) - 3, float(TOP) - 3], [float(RIGHT) + 3, float(BOTTOM) + 3]]


def grey() -> Image.Image:
    return Image.fromarray(np.where(SQUARE, 220, 30).astype(np.uint8), "L")


def colour() -> Image.Image:
    pixels = np.where(SQUARE[..., None], [230, 200, 40], [20, 40, 60])
    return Image.fromarray(pixels.astype(np.uint8), "RGB")


def saved(image: Image.Image, kind: str, **options: object) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def transparent(image: Image.Image) -> Image.Image:
    """The same with an alpha channel that hides half of it."""
    alpha = np.full((HEIGHT, WIDTH), 255, np.uint8)
    alpha[:, WIDTH // 2 :] = 0
    image.putalpha(Image.fromarray(alpha, "L"))
    return image


def rotated(orientation: int) -> bytes:
    """A JPEG whose stored pixels are upright only after its EXIF orientation is applied."""
    undo = {
        3: Image.Transpose.ROTATE_180,
        6: Image.Transpose.ROTATE_90,
        8: Image.Transpose.ROTATE_270,
    }
    exif = Image.Exif()
    exif[0x0112] = orientation
    stored = colour().transpose(undo[orientation])
    return saved(stored, "JPEG", quality=95, subsampling=0, exif=exif)


def sixteen_bits(bright: int, channels: int) -> bytes:
    pixels = np.where(SQUARE, bright, bright // 8).astype(np.uint16)
    if channels > 1:
        pixels = np.repeat(pixels[..., None], channels, axis=2)
    done, data = cv2.imencode(".png", pixels)
    assert done
    return data.tobytes()


KINDS: dict[str, Callable[[], bytes]] = {
    "video frame": lambda: saved(colour(), "PNG"),
    "jpeg": lambda: saved(colour(), "JPEG", quality=95, subsampling=0),
    "progressive jpeg": lambda: saved(
        colour(), "JPEG", quality=95, subsampling=0, progressive=True
    ),
    "grey jpeg": lambda: saved(grey(), "JPEG", quality=95),
    "cmyk jpeg": lambda: saved(colour().convert("CMYK"), "JPEG", quality=95),
    "exif 3": lambda: rotated(3),
    "exif 6": lambda: rotated(6),
    "exif 8": lambda: rotated(8),
    "rgba": lambda: saved(transparent(colour()), "PNG"),
    "la": lambda: saved(transparent(grey()), "PNG"),
    "palette": lambda: saved(colour().convert("P", palette=Image.Palette.ADAPTIVE), "PNG"),
    "transparent palette": lambda: saved(
        colour().convert("P", palette=Image.Palette.ADAPTIVE), "PNG", transparency=0
    ),
    "one bit": lambda: saved(grey().convert("1", dither=Image.Dither.NONE), "PNG"),
    "16 bit": lambda: sixteen_bits(50_000, 1),
    "12 bits in 16": lambda: sixteen_bits(4_000, 1),
    "16 bit colour": lambda: sixteen_bits(50_000, 3),
    "webp": lambda: saved(colour(), "WEBP", lossless=True),
    "bmp": lambda: saved(colour(), "BMP"),
    "tiff": lambda: saved(colour(), "TIFF"),
    "gif": lambda: saved(colour(), "GIF"),
}
