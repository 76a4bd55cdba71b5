"""Label Studio's brush run lengths and bitmask pictures, checked by its own SDK."""

from __future__ import annotations

import base64
import io
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from label_studio_sdk.converter.brush import decode_rle, encode_rle, mask2rle
from PIL import Image

from backend.codecs import label_studio
from backend.errors import InvalidRequest
from backend.masks import Mask
from backend.pictures import PictureLimits

LIMITS = PictureLimits(max_bytes=1 << 20, max_pixels=1_000_000)
pictures = arrays(
    np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=20), elements=st.booleans()
)


def alpha(rle: list[int], shape: tuple[int, ...]) -> np.ndarray:
    return decode_rle(rle).reshape(*shape, 4)[..., 3]


@given(pictures)
def test_the_sdk_reads_what_is_encoded(array: np.ndarray) -> None:
    rle = label_studio.encode_rle(Mask.of(array))
    assert all(type(number) is int for number in rle)
    np.testing.assert_array_equal(alpha(rle, array.shape), array * 255)


@given(pictures)
def test_the_bytes_are_those_of_the_sdk(array: np.ndarray) -> None:
    rle = label_studio.encode_rle(Mask.of(array))
    theirs = mask2rle(array.astype(np.uint8) * 255)
    # The SDK appends a byte of padding where none is needed.
    assert theirs in (rle, [*rle, 0])


@settings(max_examples=20, deadline=None)
@given(st.lists(st.integers(0, 300 * 400), max_size=6))
def test_runs_beyond_the_widest_field_are_split(cuts: list[int]) -> None:
    lengths = np.diff([0, *sorted(cuts), 300 * 400])
    array = np.repeat(np.arange(len(lengths)) % 2 == 1, lengths).reshape(300, 400)
    rle = label_studio.encode_rle(Mask.of(array))
    assert mask2rle(array.astype(np.uint8) * 255) in (rle, [*rle, 0])


@pytest.mark.parametrize("pixels", [16384, 16385, 32768, 49152])
def test_whole_multiples_of_the_widest_field(pixels: int) -> None:
    array = np.zeros((2, 40_000), np.bool_)
    array.ravel()[100 : 100 + pixels] = True
    rle = label_studio.encode_rle(Mask.of(array))
    assert mask2rle(array.astype(np.uint8) * 255) in (rle, [*rle, 0])


@given(pictures)
def test_masks_survive_a_round_trip(array: np.ndarray) -> None:
    rle = label_studio.encode_rle(Mask.of(array))
    np.testing.assert_array_equal(label_studio.decode_rle(rle, array.shape).full, array)


@given(arrays(np.uint8, array_shapes(min_dims=2, max_dims=2, max_side=12)))
def test_soft_edges_are_cut_in_the_middle(values: np.ndarray) -> None:
    rle = encode_rle(np.repeat(values.ravel(), 4))
    np.testing.assert_array_equal(label_studio.decode_rle(rle, values.shape).full, values > 127)


def literal_stream(values: np.ndarray) -> list[int]:
    """A stream as the editor may write it: packets of several words, not repeated ones."""
    bits = f"{values.size:032b}" + f"{7:05b}" + "".join(f"{n - 1:04b}" for n in (3, 4, 8, 16))
    for start in range(0, values.size, 200):
        words = values[start : start + 200]
        bits += "0" + "10" + f"{len(words) - 1:08b}" + "".join(f"{word:08b}" for word in words)
    bits += "0" * (-len(bits) % 8)
    return [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)]


@given(st.integers(1, 9), st.integers(1, 30), st.randoms(use_true_random=False))
def test_literal_packets(height: int, width: int, random: Any) -> None:
    values = np.array([random.randrange(256) for _ in range(height * width * 4)], np.uint8)
    rle = literal_stream(values)
    np.testing.assert_array_equal(decode_rle(rle), values)
    expected = values[3::4].reshape(height, width) > 127
    np.testing.assert_array_equal(label_studio.decode_rle(rle, (height, width)).full, expected)


GOOD = mask2rle(np.eye(6, dtype=np.uint8) * 255)


@pytest.mark.parametrize(
    "rle",
    [
        [],
        [1, 2, 3],
        GOOD[: len(GOOD) // 2],
        [256, 0],
        [-1],
        ["a"],
        [1.5],
        None,
        [0, 0, 0, 16, *GOOD[4:]],
        [*GOOD[:4], 0xFF, *GOOD[5:]],
        [*GOOD[:-4], 255, 255, 255, 255],
    ],
)
def test_malformed_streams_are_refused(rle: Any) -> None:
    with pytest.raises(InvalidRequest, match=r"^value.rle ") as raised:
        label_studio.decode_rle(rle, (6, 6), field="value.rle")
    assert raised.value.field == "value.rle"


@given(st.binary(max_size=60))
def test_any_bytes_are_a_mask_or_an_error_of_ours(tail: bytes) -> None:
    try:
        mask = label_studio.decode_rle([*GOOD[:7], *tail], (6, 6))
    except InvalidRequest:
        return
    assert mask.full.shape == (6, 6)


@given(pictures)
def test_data_url_is_opaque_in_the_mask_alone(array: np.ndarray) -> None:
    url = label_studio.png_data_url(Mask.of(array))
    head, body = url.split(",")
    assert head == "data:image/png;base64"
    image = Image.open(io.BytesIO(base64.b64decode(body)))
    assert image.format == "PNG"
    np.testing.assert_array_equal(np.asarray(image.convert("RGBA"))[..., 3], array * 255)
    np.testing.assert_array_equal(
        label_studio.decode_png_data_url(url, array.shape, LIMITS).full, array
    )


@pytest.mark.parametrize(
    "url", ["", "http://host/a.png", "data:image/png,abc", "data:image/png;base64,$$"]
)
def test_other_addresses_are_refused(url: str) -> None:
    with pytest.raises(InvalidRequest, match="imageDataURL"):
        label_studio.decode_png_data_url(url, (4, 4), LIMITS)
