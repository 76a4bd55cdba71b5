"""One loader for every picture a tool may send."""

from __future__ import annotations

import hashlib
import io
import struct
import warnings
import zlib

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from backend.errors import BodyTooLarge, ImageTooLarge, InvalidImage
from backend.pictures import PictureInfo, PictureLimits, decode, image_id, inspect
from backend.settings import Settings

LIMITS = PictureLimits(max_bytes=8 << 20, max_pixels=1_000_000)


def colours(height: int = 40, width: int = 60) -> np.ndarray:
    """A smooth picture without any symmetry: uint8 HxWx3."""
    rows, columns = np.mgrid[:height, :width]
    return np.stack(
        [rows * 255 // height, columns * 255 // width, (rows + 2 * columns) % 256], -1
    ).astype(np.uint8)


def encoded(image: Image.Image, name: str, **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, name, **options)
    return stream.getvalue()


def by_opencv(array: np.ndarray, suffix: str = ".png") -> bytes:
    return cv2.imencode(suffix, array)[1].tobytes()


@pytest.mark.parametrize("name", ["PNG", "BMP", "TIFF", "GIF", "JPEG", "WEBP"])
def test_every_format_decodes_as_pillow_does(name: str) -> None:
    data = encoded(Image.fromarray(colours()), name)
    assert inspect(data, LIMITS) == PictureInfo(name, 60, 40)
    array = decode(data, LIMITS)
    assert array.dtype == np.uint8
    assert array.flags.c_contiguous
    assert array.flags.writeable
    np.testing.assert_array_equal(array, np.asarray(Image.open(io.BytesIO(data)).convert("RGB")))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_modes_of_png_decode_as_pillow_does(mode: str) -> None:
    data = encoded(Image.fromarray(colours()).convert(mode), "PNG")
    expected = np.asarray(Image.open(io.BytesIO(data)).convert("RGB"))
    np.testing.assert_array_equal(decode(data, LIMITS), expected)


def test_colours_under_transparency_are_kept() -> None:
    image = Image.fromarray(colours()).convert("RGBA")
    image.putalpha(0)
    np.testing.assert_array_equal(decode(encoded(image, "PNG"), LIMITS), colours())


def test_transparent_palette_is_read_without_a_warning() -> None:
    image = Image.fromarray(colours()).quantize(16)
    data = encoded(image, "PNG", transparency=bytes(range(0, 256, 16)))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        array = decode(data, LIMITS)
    np.testing.assert_array_equal(array, np.asarray(image.convert("RGB")))


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("name", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_exif_orientation_is_applied(name: str, orientation: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"lossless": True} if name == "WEBP" else {}
    if name == "JPEG":
        options = {"quality": 100, "subsampling": 0}
    data = encoded(Image.fromarray(colours()), name, exif=exif, **options)
    upright = {
        1: lambda a: a,
        2: lambda a: a[:, ::-1],
        3: lambda a: a[::-1, ::-1],
        4: lambda a: a[::-1],
        5: lambda a: a.transpose(1, 0, 2),
        6: lambda a: np.rot90(a, -1),
        7: lambda a: np.rot90(a, 2).transpose(1, 0, 2),
        8: np.rot90,
    }[orientation](colours())
    array = decode(data, LIMITS)
    assert array.shape == upright.shape
    np.testing.assert_allclose(array, upright, atol=4 if name == "JPEG" else 0)
    assert inspect(data, LIMITS) == PictureInfo(name, array.shape[1], array.shape[0])


def test_orientation_behind_the_pixels_of_a_png_is_ignored_by_both() -> None:
    data = encoded(Image.fromarray(colours()), "PNG")
    exif = Image.Exif()
    exif[0x0112] = 6
    body = exif.tobytes()[6:]
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body
    chunk += struct.pack(">I", zlib.crc32(chunk[4:]))
    late = data[:-12] + chunk + data[-12:]
    assert inspect(late, LIMITS) == PictureInfo("PNG", 60, 40)
    np.testing.assert_array_equal(decode(late, LIMITS), colours())


def test_damaged_exif_leaves_the_picture_as_it_lies() -> None:
    data = encoded(Image.fromarray(colours()), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff")
    assert decode(data, LIMITS).shape == (40, 60, 3)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("factor", [257, 256])
def test_sixteen_bit_grey_of_full_range(suffix: str, factor: int) -> None:
    grey = colours()[..., 1]
    array = decode(by_opencv(grey.astype(np.uint16) * factor, suffix), LIMITS)
    np.testing.assert_array_equal(array, np.repeat(grey[..., None], 3, axis=2))


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
def test_sixteen_bit_grey_is_scaled_from_the_depth_it_uses(bits: int) -> None:
    grey = colours()[..., 1]
    values = grey.astype(np.uint16) << (bits - 8)
    np.testing.assert_array_equal(decode(by_opencv(values), LIMITS)[..., 0], grey)


@pytest.mark.parametrize("bits", [8, 10, 12, 14, 16])
@pytest.mark.parametrize("suffix", [".png", ".tiff"])
@pytest.mark.parametrize("alpha", [False, True])
def test_sixteen_bit_colours(bits: int, suffix: str, alpha: bool) -> None:
    values = colours()[..., ::-1].astype(np.uint16) << (bits - 8)
    if alpha:
        opaque = np.full((*values.shape[:2], 1), 65535, np.uint16)
        values = np.concatenate([values, opaque], axis=2)
    np.testing.assert_array_equal(decode(by_opencv(values, suffix), LIMITS), colours())


def test_twelve_bits_with_a_rotation() -> None:
    values = colours()[..., ::-1].astype(np.uint16) << 4
    exif = Image.Exif()
    exif[0x0112] = 6
    body = exif.tobytes()[6:]
    chunk = struct.pack(">I", len(body)) + b"eXIf" + body
    chunk += struct.pack(">I", zlib.crc32(chunk[4:]))
    data = by_opencv(values)
    np.testing.assert_array_equal(
        decode(data[:33] + chunk + data[33:], LIMITS), np.rot90(colours(), -1)
    )


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([[0.0, 0.5, 1.0]], [[0, 128, 255]]),
        ([[0.0, 100.0, 255.0]], [[0, 100, 255]]),
        ([[-10.0, 0.0, 10.0]], [[0, 128, 255]]),
        ([[1000.0, 2000.0, 3000.0]], [[0, 128, 255]]),
        ([[np.nan, 0.0, np.inf]], [[0, 0, 0]]),
        ([[np.nan, np.nan, np.nan]], [[0, 0, 0]]),
        ([[7000.0, 7000.0, 7000.0]], [[0, 0, 0]]),
    ],
)
def test_float_tiff(values: list[list[float]], expected: list[list[int]]) -> None:
    data = encoded(Image.fromarray(np.array(values, np.float32)), "TIFF")
    assert decode(data, LIMITS)[..., 0].tolist() == expected


@pytest.mark.parametrize(
    ("values", "expected"),
    [([[0, 1 << 19, (1 << 20) - 1]], [[0, 8, 15]]), ([[-5, 0, 5]], [[0, 128, 255]])],
)
def test_thirty_two_bit_tiff(values: list[list[int]], expected: list[list[int]]) -> None:
    data = encoded(Image.fromarray(np.array(values, np.int32)), "TIFF")
    assert decode(data, LIMITS)[..., 0].tolist() == expected


def test_cmyk_jpeg_is_not_inverted() -> None:
    red = Image.new("CMYK", (32, 32), (0, 255, 255, 0))
    array = decode(encoded(red, "JPEG", quality=100), LIMITS)
    np.testing.assert_allclose(array.reshape(-1, 3).mean(axis=0), [255, 0, 0], atol=4)


@pytest.mark.parametrize("name", ["GIF", "WEBP", "TIFF"])
def test_first_frame_of_several(name: str) -> None:
    first = Image.new("RGB", (20, 10), (255, 0, 0))
    second = Image.new("RGB", (20, 10), (0, 0, 255))
    options = {"lossless": True} if name == "WEBP" else {}
    data = encoded(first, name, save_all=True, append_images=[second], **options)
    assert (decode(data, LIMITS) == (255, 0, 0)).all()


def test_jpeg_of_several_pictures() -> None:
    first = Image.new("RGB", (32, 16), (255, 255, 255))
    data = encoded(first, "MPO", save_all=True, append_images=[Image.new("RGB", (32, 16))])
    assert inspect(data, LIMITS) == PictureInfo("JPEG", 32, 16)
    assert (decode(data, LIMITS) == 255).all()


def test_pictures_of_other_formats_are_refused_by_name() -> None:
    data = encoded(Image.fromarray(colours()), "PPM")
    with pytest.raises(InvalidImage, match=r"image is not a picture .*JPEG, PNG, WEBP") as raised:
        inspect(data, LIMITS)
    assert raised.value.field == "image"


@pytest.mark.parametrize("data", [b"", b"no picture", b"\x89PNG\r\n\x1a\n", b"GIF89a", b"II*\0"])
def test_bytes_that_are_no_picture(data: bytes) -> None:
    for function in (inspect, decode):
        with pytest.raises(InvalidImage, match="image"):
            function(data, LIMITS)


@pytest.mark.parametrize("name", ["PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF"])
def test_truncated_pictures(name: str) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    data = encoded(Image.fromarray(noise), name)
    with pytest.raises(InvalidImage, match="image"):
        decode(data[: len(data) // 2], LIMITS)


def test_pixels_are_counted_before_decoding() -> None:
    header = struct.pack(">IIBBBBB", 50_000, 50_000, 8, 2, 0, 0, 0)
    chunk = b"IHDR" + header
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + chunk
    data += struct.pack(">I", zlib.crc32(chunk)) + struct.pack(">I", 100) + b"IDAT" + bytes(104)
    for function in (inspect, decode):
        with pytest.raises(ImageTooLarge, match=r"1000000.*MASKLOOP_MAX_PIXELS"):
            function(data, LIMITS)


def test_a_picture_just_at_the_limit_passes_and_one_beyond_does_not() -> None:
    at = encoded(Image.new("L", (1000, 1000)), "PNG")
    beyond = encoded(Image.new("L", (1001, 1000)), "PNG")
    assert inspect(at, LIMITS).width == 1000
    with pytest.raises(ImageTooLarge, match="1001 x 1000"):
        inspect(beyond, LIMITS)


def test_bytes_are_counted_first() -> None:
    with pytest.raises(BodyTooLarge, match=r"5 bytes.*MASKLOOP_MAX_IMAGE_BYTES"):
        inspect(b"12345", PictureLimits(max_bytes=4, max_pixels=100))


def test_limits_come_from_the_settings() -> None:
    limits = PictureLimits.of(Settings(max_image_bytes=7, max_pixels=8))
    assert limits == PictureLimits(7, 8)


def test_image_id_is_the_sha256_of_the_bytes() -> None:
    assert image_id(b"abc") == hashlib.sha256(b"abc").hexdigest()


SEEDS = [
    encoded(Image.fromarray(colours(8, 9)), name)
    for name in ("PNG", "JPEG", "WEBP", "TIFF", "BMP", "GIF")
]


@settings(max_examples=150, deadline=None)
@given(st.sampled_from(SEEDS), st.lists(st.tuples(st.integers(0, 2000), st.integers(0, 255))))
def test_damaged_bytes_give_a_picture_or_an_error_of_ours(
    data: bytes, damage: list[tuple[int, int]]
) -> None:
    changed = bytearray(data)
    for position, value in damage:
        changed[position % len(data)] = value
    try:
        array = decode(bytes(changed), LIMITS)
    except (InvalidImage, ImageTooLarge):
        return
    assert array.ndim == 3
    assert array.dtype == np.uint8
