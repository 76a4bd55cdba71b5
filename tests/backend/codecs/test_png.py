"""Masks as picture files."""

from __future__ import annotations

import io

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image

from backend.codecs import png
from backend.errors import BodyTooLarge, ImageTooLarge, InvalidImage, InvalidRequest
from backend.masks import Mask
from backend.pictures import PictureLimits

LIMITS = PictureLimits(max_bytes=1 << 20, max_pixels=1_000_000)
pictures = arrays(
    np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=20), elements=st.booleans()
)
SHAPE = np.array([[0, 1, 1], [0, 0, 1]], np.bool_)


def encoded(image: Image.Image, name: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, name, **options)
    return stream.getvalue()


@given(pictures)
def test_round_trip_by_way_of_pillow(array: np.ndarray) -> None:
    data = png.encode(Mask.of(array))
    image = Image.open(io.BytesIO(data))
    assert (image.format, image.mode) == ("PNG", "L")
    np.testing.assert_array_equal(np.asarray(image), array * 255)
    np.testing.assert_array_equal(png.decode(data, array.shape, LIMITS).full, array)


def rgba(array: np.ndarray) -> Image.Image:
    return Image.fromarray(np.dstack([np.full((*array.shape, 3), 9), array * 255]).astype(np.uint8))


def palette(array: np.ndarray) -> Image.Image:
    image = Image.fromarray(array.astype(np.uint8) * 3, "P")
    image.putpalette([7] * 12)
    return image


@pytest.mark.parametrize(
    "image",
    [
        Image.fromarray(SHAPE),
        Image.fromarray(SHAPE.astype(np.uint8)),
        Image.fromarray(SHAPE.astype(np.uint8) * 255),
        Image.fromarray(SHAPE.astype(np.uint16) * 65535),
        Image.fromarray(np.repeat(SHAPE[..., None] * np.uint8(200), 3, axis=2)),
        rgba(SHAPE),
        palette(SHAPE),
        Image.fromarray(
            np.dstack([SHAPE * 255] * 3 + [np.full(SHAPE.shape, 255)]).astype(np.uint8)
        ),
    ],
    ids=["1", "0/1", "0/255", "16 bits", "RGB", "RGBA", "P", "opaque RGBA"],
)
def test_the_ways_people_save_masks(image: Image.Image) -> None:
    np.testing.assert_array_equal(png.decode(encoded(image), (2, 3), LIMITS).full, SHAPE)


def test_a_black_picture_is_an_empty_mask() -> None:
    assert not png.decode(encoded(Image.new("L", (5, 4))), (4, 5), LIMITS)


def test_another_size_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="hint is 3 x 2 pixels, but the picture is 4 x 2"):
        png.decode(encoded(Image.fromarray(SHAPE)), (2, 4), LIMITS, field="hint")


@pytest.mark.parametrize(
    ("data", "limits", "error"),
    [
        (b"", LIMITS, InvalidImage),
        (b"no picture", LIMITS, InvalidImage),
        (png.encode(Mask.of(SHAPE))[:50], LIMITS, InvalidImage),
        (png.encode(Mask.of(SHAPE)), PictureLimits(10, 100), BodyTooLarge),
        (png.encode(Mask.of(SHAPE)), PictureLimits(1000, 5), ImageTooLarge),
    ],
)
def test_errors_name_the_field(data: bytes, limits: PictureLimits, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"^hint ") as raised:
        png.decode(data, (2, 3), limits, field="hint")
    assert raised.value.field == "hint"
