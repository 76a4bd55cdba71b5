"""The one way in for pictures: from received bytes to an upright RGB array.

The header is read and checked before anything is decoded, only the formats in `FORMATS` are
tried, and whatever a decoder stumbles over becomes an `InvalidImage` that names the field.

What becomes of the less usual pictures:

- Orientation 1 to 8 of EXIF is applied, so pixels are in the frame that people see.
- Transparency is dropped and the colours beneath it are kept, as Pillow's `convert("RGB")` does.
- 16-bit and 32-bit integers are shifted down from the smallest usual depth (8, 10, 12, 14, 16,
  24, 31 bits) that holds their brightest value: twelve bits in a sixteen-bit file stay visible.
- Floats in [0, 1] are scaled to 255, those in [0, 255] rounded, others stretched from their least
  to their greatest finite value; integers with negative values are stretched likewise.
- CMYK becomes RGB without a colour profile. Of several frames or pages the first one counts.

Pillow decodes, as evaluation does. OpenCV gave the same pixels of every JPEG tried, 40 ms instead
of 60 for 12 megapixels: too little, once a picture, for a second decoder that may differ elsewhere.
"""

from __future__ import annotations

import hashlib
import io
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
from PIL import ExifTags, Image, TiffImagePlugin, UnidentifiedImageError

from backend.errors import BodyTooLarge, ImageTooLarge, InvalidImage
from backend.settings import Settings

FORMATS = ("JPEG", "PNG", "WEBP", "BMP", "TIFF", "GIF")
"""What is tried, in Pillow's names. Exotic decoders are where the defects are."""

INTEGER_DEPTHS = (8, 10, 12, 14, 16, 24, 31)
BITS_PER_SAMPLE = 258
PNG_DEPTH_BYTE = 24
TRANSPOSITIONS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


@dataclass(frozen=True, slots=True)
class PictureLimits:
    """The largest picture that is accepted: encoded bytes, and width times height."""

    max_bytes: int
    max_pixels: int

    @classmethod
    def of(cls, settings: Settings) -> PictureLimits:
        """The limits that the settings name."""
        return cls(settings.max_image_bytes, settings.max_pixels)


@dataclass(frozen=True, slots=True)
class PictureInfo:
    """What the header says: the format's name, and the size in pixels of the upright picture."""

    format: str
    width: int
    height: int


def image_id(data: bytes) -> str:
    """The hex sha256 of the received bytes: what a picture is recognised by."""
    return hashlib.sha256(data).hexdigest()


def inspect(data: bytes, limits: PictureLimits, field: str = "image") -> PictureInfo:
    """Read the header of an encoded picture and hold it against the limits.

    `field` is what errors call it. Raises BodyTooLarge, ImageTooLarge, and InvalidImage for bytes
    that are no picture.
    """
    image = _open(data, limits, field)
    width, height = image.size
    if _orientation(image) >= 5:
        width, height = height, width
    name = image.format or ""
    return PictureInfo("JPEG" if name == "MPO" else name, width, height)


def decode(data: bytes, limits: PictureLimits) -> npt.NDArray[np.uint8]:
    """Decode a picture to uint8 HxWx3 RGB, upright, contiguous and the caller's own.

    Raises what `inspect` raises, and InvalidImage for a picture that is truncated or damaged.
    """
    image = _open(data, limits, "image")
    transposition = TRANSPOSITIONS.get(_orientation(image))
    try:
        image.load()
        colours = _colours(image, data)
        if transposition is not None:
            colours = colours.transpose(transposition)
        return np.array(colours)
    except MemoryError:
        raise
    except Exception as error:  # a decoder fed with hostile bytes may raise anything
        raise InvalidImage(
            f"image is a damaged or truncated {image.format} file ({error}); "
            "open it in a picture editor and save it anew",
            field="image",
        ) from error


def _open(data: bytes, limits: PictureLimits, field: str) -> Image.Image:
    """The picture with its header read and checked, its pixels not yet decoded."""
    if not data:
        raise InvalidImage(f"{field} is empty; send the bytes of a picture file", field=field)
    if len(data) > limits.max_bytes:
        raise BodyTooLarge(
            f"{field} has {len(data)} bytes, more than the limit of {limits.max_bytes}; send a "
            "smaller file or raise MASKLOOP_MAX_IMAGE_BYTES",
            field=field,
        )
    try:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        raise _too_large(f"{field}: {error}", limits, field) from error
    except UnidentifiedImageError as error:
        raise InvalidImage(
            f"{field} is not a picture of a known format (it starts with {data[:8]!r}); send one "
            f"of {', '.join(FORMATS)}",
            field=field,
        ) from error
    except Exception as error:  # a damaged header may raise anything
        raise InvalidImage(f"{field} has a damaged header ({error})", field=field) from error
    width, height = image.size
    if width * height > limits.max_pixels:
        raise _too_large(f"{field} has {width} x {height} pixels", limits, field)
    return image


def _too_large(what: str, limits: PictureLimits, field: str) -> ImageTooLarge:
    return ImageTooLarge(
        f"{what}, more than the limit of {limits.max_pixels}; send a smaller picture or raise "
        "MASKLOOP_MAX_PIXELS",
        field=field,
    )


def _orientation(image: Image.Image) -> int:
    """The EXIF orientation, 1 to 8, as written before the pixels.

    Asked of the base class: PNG's own `getexif` decodes the whole picture to find an entry behind
    the pixels, which browsers ignore. TIFF is turned upright by Pillow itself.
    """
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return 1
    try:
        value = Image.Image.getexif(image).get(ExifTags.Base.Orientation, 1)
    except Exception:  # damaged EXIF leaves the picture as it lies
        return 1
    return value if value in TRANSPOSITIONS else 1


def _colours(image: Image.Image, data: bytes) -> Image.Image:
    """The loaded picture in mode RGB."""
    if image.mode == "F" or image.mode.startswith("I"):
        return Image.fromarray(_to_8_bits(np.asarray(image))).convert("RGB")
    if image.mode == "La":
        image = image.convert("LA")
    # Pillow warns of palettes with transparency, which is dropped here in any case.
    image.info.pop("transparency", None)
    colours = image.convert("RGB")
    if _sample_bits(image, data) == 16:
        return _brightened(colours, data)
    return colours


def _sample_bits(image: Image.Image, data: bytes) -> int:
    """Bits of one colour sample in the file; Pillow decodes sixteen of them to the upper eight."""
    if image.format == "PNG":
        return data[PNG_DEPTH_BYTE]
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return int(max(image.tag_v2.get(BITS_PER_SAMPLE, (8,))))
    return 8


def _brightened(colours: Image.Image, data: bytes) -> Image.Image:
    """A 16-bit colour picture at the depth its values use; `colours` where they use it all."""
    if max(high for _, high in colours.getextrema()) >= 1 << (14 - 8):  # type: ignore[misc]
        return colours
    wide = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    if wide is None or wide.dtype != np.uint16 or wide.shape[:2] != colours.size[::-1]:
        return colours
    if wide.ndim == 2:
        wide = wide[..., None]
    wide = wide[..., :3][..., ::-1]
    return Image.fromarray(np.ascontiguousarray(_to_8_bits(wide))).convert("RGB")


def _to_8_bits(values: npt.NDArray[Any]) -> npt.NDArray[np.uint8]:
    """Integers or floats of any range as uint8 of the same shape; see the module's docstring."""
    if values.dtype.kind == "f":
        finite = np.isfinite(values)
        low = float(values[finite].min()) if finite.any() else 0.0
        values = np.where(finite, values, low)
    low, high = float(values.min()), float(values.max())
    if low < 0 or (values.dtype.kind == "f" and high > 255):
        return _stretched(values, low, high)
    if values.dtype.kind == "f":
        return _stretched(values, 0.0, 1.0 if high <= 1 else 255.0)
    depth = next(bits for bits in INTEGER_DEPTHS if high < 1 << bits)
    shifted: npt.NDArray[np.uint8] = (values >> (depth - 8)).astype(np.uint8)
    return shifted


def _stretched(values: npt.NDArray[Any], low: float, high: float) -> npt.NDArray[np.uint8]:
    """The values with `low` at 0 and `high` at 255; all 0 where the two are one."""
    if high <= low:
        return np.zeros(values.shape, np.uint8)
    scaled = (values.astype(np.float64) - low) * (255.0 / (high - low))
    return np.rint(scaled).astype(np.uint8)
