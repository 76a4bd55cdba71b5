"""COCO's run lengths: down the columns of the whole picture, beginning with background.

Encoding is pycocotools'. Decoding is ours: pycocotools gives a mask from uninitialised memory
where the counts do not fill the picture, and counts come from other people.
"""

from __future__ import annotations

from typing import Any, TypedDict

import numpy as np
import numpy.typing as npt
from pycocotools import mask as pycocotools_mask

from backend.codecs.runs import Runs, from_run_lengths
from backend.errors import InvalidRequest
from backend.masks import Mask

# A compressed count is written in characters of six bits above "0": five of the number, least
# significant first, and one that says that more follow.
OFFSET, DIGIT, MORE, SIGN = 48, 0x1F, 0x20, 0x10
DIGIT_BITS = 5
LONGEST_COUNT = 12


class Rle(TypedDict):
    """COCO's compressed form: `size` is [height, width]."""

    size: list[int]
    counts: str


def encode(mask: Mask) -> Rle:
    """The mask in COCO's compressed form."""
    rle = pycocotools_mask.encode(np.asfortranarray(mask.full.view(np.uint8)))
    return {"size": list(mask.size), "counts": rle["counts"].decode("ascii")}


def decode(value: Any, size: tuple[int, int], field: str = "mask") -> Mask:
    """The mask of a COCO object, compressed (`counts` is text) or not (a list of integers).

    `size` is the (height, width) of the picture it belongs to. Raises InvalidRequest, naming
    `field`, where the object is malformed, of another size, or does not fill the picture.
    """
    if not isinstance(value, dict) or "size" not in value or "counts" not in value:
        raise InvalidRequest(
            f'{field} must be an object with "size" ([height, width]) and "counts"', field=field
        )
    if value["size"] != list(size):
        raise InvalidRequest(
            f"{field} has the size {value['size']!r}, but the picture is {list(size)} "
            "(height, width); send a mask of the upright picture's size",
            field=field,
        )
    if not isinstance(value["counts"], str | list) or len(value["counts"]) > _longest(size):
        raise InvalidRequest(
            f"{field} must have counts as text or as integers, no more than the picture has pixels",
            field=field,
        )
    counts = _counts(value["counts"], field)
    if not len(counts) or counts.min() < 0 or counts.max() > size[0] * size[1]:
        raise InvalidRequest(f"{field} has counts outside the picture", field=field)
    if counts.sum() != size[0] * size[1]:
        raise InvalidRequest(
            f"{field} has counts that sum to {counts.sum()}, not to the picture's "
            f"{size[0] * size[1]} pixels",
            field=field,
        )
    columns = from_run_lengths(counts).reshape(size[1], size[0])
    return Mask.of(np.ascontiguousarray(columns.T))


def _longest(size: tuple[int, int]) -> int:
    """No mask needs more characters or numbers: a longer one is another file or an attack."""
    return size[0] * size[1] + 64


def _counts(counts: str | list[Any], field: str) -> Runs:
    """The run lengths, not yet checked against a picture."""
    try:
        if isinstance(counts, str):
            return decompressed(np.frombuffer(counts.encode("ascii"), np.uint8))
        if all(type(count) is int for count in counts):
            return np.array(counts, np.int64)
    except (UnicodeEncodeError, OverflowError, ValueError) as error:
        raise InvalidRequest(f"{field} has malformed counts ({error})", field=field) from error
    raise InvalidRequest(f"{field} has counts that are not whole numbers", field=field)


def decompressed(text: npt.NDArray[np.uint8]) -> Runs:
    """The counts of a compressed text, uint8: numbers, from the fourth on relative to the last but
    one.

    Raises ValueError for text that pycocotools would not write.
    """
    digits = text.astype(np.int64) - OFFSET
    if not len(digits) or digits.min() < 0 or digits.max() > DIGIT | MORE:
        raise ValueError("a character outside the alphabet, or none at all")
    last = (digits & MORE) == 0
    if not last[-1]:
        raise ValueError("the last number is cut off")
    ends = np.flatnonzero(last) + 1
    starts = np.concatenate([[0], ends[:-1]])
    lengths = ends - starts
    if lengths.max() > LONGEST_COUNT:
        raise ValueError("a number is too long")
    place = np.arange(len(digits)) - np.repeat(starts, lengths)
    numbers = np.add.reduceat((digits & DIGIT) << (DIGIT_BITS * place), starts)
    negative = (digits[ends - 1] & SIGN) != 0
    numbers[negative] -= np.int64(1) << (DIGIT_BITS * lengths[negative])
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers
