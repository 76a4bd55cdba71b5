from __future__ import annotations

import io

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from backend.errors import InvalidImage
from backend.training.data import decoding
from backend.training.data.decoding import decode_ids, decode_rgb, fitted
from backend.training.data.source import IGNORE
from tests.backend.training.data.pictures import jpeg, png


def gradient(height: int, width: int) -> np.ndarray:
    """Red grows to the right, green downwards."""
    rows, columns = np.mgrid[:height, :width]
    image = np.zeros((height, width, 3), np.uint8)
    image[..., 0] = columns * 255 // width
    image[..., 1] = rows * 255 // height
    return image


@pytest.mark.parametrize("longest", [640, 400, 320, 200, 160, 90, 64])
def test_reduced_decoding_shows_the_same_picture(longest: int) -> None:
    image = gradient(480, 640)
    reduced = decode_rgb(jpeg(image), "a", longest)
    assert max(reduced.shape) == longest
    expected = cv2.resize(image, reduced.shape[1::-1], interpolation=cv2.INTER_AREA)
    assert np.abs(reduced.astype(int) - expected).mean() < 3


def test_pictures_are_never_enlarged() -> None:
    image = gradient(30, 40)
    np.testing.assert_array_equal(fitted(image, 100), image)
    assert decode_rgb(jpeg(image), "a", 100).shape == (30, 40, 3)


def test_pictures_are_turned_upright() -> None:
    image = gradient(40, 60)
    data = io.BytesIO()
    exif = PillowImage.Exif()
    exif[0x0112] = 6
    PillowImage.fromarray(image).save(data, "JPEG", quality=95, exif=exif)
    upright = decode_rgb(data.getvalue(), "a")
    assert np.abs(upright.astype(int) - np.rot90(image, -1)).mean() < 4
    small = decode_rgb(data.getvalue(), "a", 30)
    assert small.shape == (30, 20, 3)
    assert np.abs(small.astype(int) - fitted(np.rot90(image, -1).copy(), 30)).mean() < 5


@pytest.mark.parametrize("top", [200, 60_000])
def test_ids_of_either_depth(top: int) -> None:
    ids = np.array([[0, 1, top], [IGNORE, 2, 3]], np.int32)
    np.testing.assert_array_equal(decode_ids(png(ids), "a"), ids)


def test_ids_with_fewer_bits_than_eight() -> None:
    ids = np.array([[0, 1], [1, 0]], np.uint8)
    data = io.BytesIO()
    PillowImage.fromarray(ids * 255).convert("1").save(data, "PNG")
    np.testing.assert_array_equal(decode_ids(data.getvalue(), "a"), ids)


def test_too_many_pixels_are_not_decoded(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(decoding, "MAX_PIXELS", 1000)
    for decode in (decode_rgb, decode_ids):
        with pytest.raises(InvalidImage, match="40 x 30 pixels, more than the 1000"):
            decode(png(np.zeros((30, 40), np.uint8)), "a")


@pytest.mark.parametrize("data", [b"", b"\x89PNG", b"\xff\xd8\xff", b"GIF89a"])
def test_rubbish_is_named(data: bytes) -> None:
    for decode in (decode_rgb, decode_ids):
        with pytest.raises(InvalidImage, match="rubbish"):
            decode(data, "rubbish")
