"""Masks as Label Studio's brush and bitmask controls hold them.

The brush's run lengths are thi.ng's rle-pack of the picture's RGBA values in row order. A bit
stream, most significant bit first: the number of values (32 bits), the bits of a value less one
(5), the bits of the four lengths less one (4 each); then packets of a flag, the choice of a length
field (2 bits), a length less one, and one value to repeat (flag 1) or as many values as said
(flag 0). Values are written as its editor does, with all four channels alike; alpha is what counts.
"""

from __future__ import annotations

import base64
import binascii
import io
from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from PIL import Image

from backend.codecs import png
from backend.codecs.runs import Runs, picture_runs
from backend.errors import InvalidRequest
from backend.masks import Mask
from backend.pictures import PictureLimits

CHANNELS = 4
ALPHA = 3
VALUE_BITS = 8
LENGTH_BITS = (3, 4, 8, 16)
LONGEST_RUN = 1 << LENGTH_BITS[-1]
HEADER_BITS = 32 + 5 + 4 * 4
SET_ABOVE = 127
DATA_URL = "data:image/png;base64,"


def encode_rle(mask: Mask) -> list[int]:
    """The `rle` of a brush region: bytes as integers, alpha 255 in the mask and 0 outside."""
    lengths = picture_runs(mask) * CHANNELS
    values = (np.arange(len(lengths)) & 1) * 255
    lengths, values = lengths[lengths > 0], values[lengths > 0]
    pieces = (lengths + LONGEST_RUN - 1) // LONGEST_RUN
    split = np.repeat(pieces > 1, pieces)
    values = np.repeat(values, pieces)
    ends = np.cumsum(pieces) - 1
    rest = lengths - (pieces - 1) * LONGEST_RUN
    lengths = np.full(len(values), LONGEST_RUN)
    lengths[ends] = rest
    size = mask.size[0] * mask.size[1] * CHANNELS
    rle: list[int] = _packed(size, lengths, values, split).tolist()
    return rle


def _packed(
    size: int, lengths: Runs, values: npt.NDArray[np.int64], split: npt.NDArray[np.bool_]
) -> npt.NDArray[np.uint8]:
    """The bit stream as bytes. Pieces of a `split` run all have the widest length field."""
    field = np.searchsorted([1 << bits for bits in LENGTH_BITS], lengths)
    field[split] = len(LENGTH_BITS) - 1
    bits = np.array(LENGTH_BITS)[field]
    packet_bits = 1 + 2 + bits + VALUE_BITS
    packets = (0b100 | field) << bits | (lengths - 1)
    packets = packets << VALUE_BITS | values
    header = size
    for number, width in ((VALUE_BITS, 5), *((bits, 4) for bits in LENGTH_BITS)):
        header = header << width | (number - 1)
    head = np.unpackbits(np.frombuffer(header.to_bytes(8, "big"), np.uint8))[-HEADER_BITS:]
    aligned = (packets << (32 - packet_bits)).astype(">u4")
    body = np.unpackbits(aligned.view(np.uint8)).reshape(-1, 32)
    used = np.arange(32) < packet_bits[:, None]
    return np.packbits(np.concatenate([head, body[used]]))


def decode_rle(rle: Sequence[int], size: tuple[int, int], field: str = "rle") -> Mask:
    """The mask of a brush region's `rle` on a picture of `size` (height, width).

    Strokes painted by hand have soft edges: set is what has alpha above 127. Raises
    InvalidRequest, naming `field`, where the stream is malformed or of another size.
    """
    try:
        data = bytes(rle)
    except (TypeError, ValueError) as error:
        raise InvalidRequest(
            f"{field} must be a list of integers from 0 to 255 ({error})", field=field
        ) from error
    stream = _Stream(data)
    expected = size[0] * size[1] * CHANNELS
    try:
        if (count := stream.read(32)) != expected:
            raise InvalidRequest(
                f"{field} holds {count} values, but a picture of {size[1]} x {size[0]} pixels "
                f"has {expected}",
                field=field,
            )
        values = _unpacked(stream, count)
    except _EndOfStream:
        raise InvalidRequest(f"{field} is cut off or damaged", field=field) from None
    return Mask.of(np.greater(values[ALPHA::CHANNELS], SET_ABOVE).reshape(size))


class _EndOfStream(Exception):
    """Fewer bits than promised, or more values."""


class _Stream:
    """Bits of bytes, most significant first."""

    def __init__(self, data: bytes) -> None:
        self._data = data
        self._bits = len(data) * 8
        self._position = 0

    def read(self, bits: int) -> int:
        """The next number of up to 32 bits."""
        start, end = self._position, self._position + bits
        if end > self._bits:
            raise _EndOfStream
        last = (end + 7) >> 3
        self._position = end
        window = int.from_bytes(self._data[start >> 3 : last], "big")
        return window >> (last * 8 - end) & ((1 << bits) - 1)

    def read_values(self, count: int) -> npt.NDArray[np.uint8]:
        """The next `count` numbers of eight bits."""
        start, end = self._position, self._position + count * VALUE_BITS
        if end > self._bits:
            raise _EndOfStream
        self._position = end
        data = np.frombuffer(self._data[start >> 3 : (end + 7) >> 3], np.uint8)
        shift = start & 7
        if not shift:
            return data
        return data[:-1] << np.uint8(shift) | data[1:] >> np.uint8(8 - shift)


def _unpacked(stream: _Stream, count: int) -> npt.NDArray[np.uint8]:
    """All values, uint8 of `count` elements, of a stream read up to behind its first number."""
    if stream.read(5) + 1 != VALUE_BITS:
        raise _EndOfStream
    length_bits = [stream.read(4) + 1 for _ in LENGTH_BITS]
    values = np.zeros(count, np.uint8)
    done = 0
    while done < count:
        repeated = stream.read(1)
        end = done + 1 + stream.read(length_bits[stream.read(2)])
        if end > count:
            raise _EndOfStream
        if not repeated:
            values[done:end] = stream.read_values(end - done)
        elif value := stream.read(VALUE_BITS):
            values[done:end] = value
        done = end
    return values


def png_data_url(mask: Mask) -> str:
    """The `imageDataURL` of a bitmask region: a PNG of the picture's size, opaque in the mask."""
    image = Image.fromarray(mask.full.view(np.uint8), "P")
    image.putpalette(bytes(6))
    stream = io.BytesIO()
    image.save(stream, "PNG", bits=1, transparency=b"\x00\xff", compress_level=1)
    return DATA_URL + base64.b64encode(stream.getvalue()).decode("ascii")


def decode_png_data_url(
    url: str, size: tuple[int, int], limits: PictureLimits, field: str = "imageDataURL"
) -> Mask:
    """The mask in a bitmask region's `imageDataURL`: opaque pixels; see `backend.codecs.png`.

    Raises InvalidRequest, naming `field`, for another kind of address and what
    `backend.codecs.png.decode` raises.
    """
    head, comma, body = url.partition(",")
    if not comma or not head.startswith("data:image/") or not head.endswith(";base64"):
        raise InvalidRequest(
            f"{field} must be a picture as a base64 data address, not {url[:40]!r}", field=field
        )
    try:
        data = base64.b64decode(body, validate=True)
    except (binascii.Error, ValueError) as error:
        raise InvalidRequest(f"{field} is not base64 ({error})", field=field) from error
    return png.decode(data, size, limits, field)
