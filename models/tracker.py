"""The contract of every tracker: a box on one frame, then a box on each frame after it.

Nothing is remembered between calls but the state, which the caller keeps: it is small, JSON, and
any process that has the same weights goes on from it. Signing it against forgery is the caller's.
"""

from __future__ import annotations

import base64
import hashlib
import json
import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from models.prompts import Box

Image = npt.NDArray[np.uint8]

SCHEMA = 1
"""Raised whenever the meaning of a stored state changes; older states are then refused."""

MOST_PICTURES, LONGEST_SIDE = 4, 512
"""A state is small: it holds no more pictures, and no larger ones."""

PNG_MAGIC = b"\x89PNG\r\n\x1a\n"


class StateRefused(ValueError):
    """A state that is damaged, or of other weights or another schema; the message says which."""


@dataclass(frozen=True, slots=True, eq=False)
class TrackState:
    """What the next frame needs from those before it.

    `version` is the model version id. `values` are JSON values and `pictures` uint8 [h, w, 3] RGB;
    both mean something to the tracker that made them, and to nobody else.
    """

    version: str
    values: Mapping[str, Any] = field(default_factory=dict)
    pictures: Mapping[str, Image] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """The state as JSON values: equal states give equal texts."""
        return {
            "schema": SCHEMA,
            "version": self.version,
            "values": dict(self.values),
            "pictures": {name: _text(picture) for name, picture in self.pictures.items()},
        }

    @classmethod
    def from_json(cls, document: Any) -> TrackState:
        """The state that `to_json` described. Raises StateRefused."""
        match document:
            case {"schema": schema} if schema != SCHEMA:
                raise StateRefused(
                    f"the tracker's state has the schema {str(schema)[:20]!r}, and this program"
                    f" reads {SCHEMA}; start the track again"
                )
            case {"version": str(version), "values": dict(values), "pictures": dict(pictures)}:
                pass
            case _:
                raise StateRefused("the tracker's state is none of this program; start again")
        if len(pictures) > MOST_PICTURES:
            raise StateRefused(f"the tracker's state holds {len(pictures)} pictures; start again")
        return cls(version, values, {str(key): _picture(text) for key, text in pictures.items()})

    def digest(self, name: str) -> str:
        """Hex sha256 of one of the pictures, for caches of what was computed from it."""
        picture = self.pictures[name]
        found = hashlib.sha256(f"{self.version} {picture.shape}".encode())
        found.update(np.ascontiguousarray(picture).data)
        return found.hexdigest()


@dataclass(frozen=True)
class Step:
    """One object to be found on one frame, uint8 [H, W, 3] RGB."""

    image: Image
    state: TrackState


@dataclass(frozen=True)
class Tracked:
    """Where an object was found, and the state for the next frame.

    `box` may reach beyond the frame. `score` in [0, 1] is the network's own opinion; no tracker
    here takes a low one for an object that is gone.
    """

    box: Box
    state: TrackState
    score: float


class Tracker(ABC):
    """Network and rules as two pure functions.

    `version` is the model version id, `settings` a short text that differs whenever an option that
    changes answers differs. Calls come from one thread at a time.
    """

    version: str
    settings: str

    @abstractmethod
    def start(self, image: Image, box: Box) -> TrackState:
        """Begin with the object inside `box` of `image`, uint8 [H, W, 3] RGB.

        Raises ValueError for a box without area or beside the picture.
        """

    @abstractmethod
    def track_batch(self, steps: Sequence[Step]) -> list[Tracked]:
        """Find several objects, on one frame or on several, in as few passes as possible.

        Raises StateRefused for a state that this tracker has not made.
        """

    def track(self, image: Image, state: TrackState) -> Tracked:
        """Find one object on the frame that follows that of `state`, forwards or backwards."""
        return self.track_batch([Step(image, state)])[0]

    def track_many(self, image: Image, states: Sequence[TrackState]) -> list[Tracked]:
        """Find several objects on one frame."""
        return self.track_batch([Step(image, state) for state in states])


def checked_image(image: Image) -> Image:
    """The picture itself. Raises ValueError where it is none."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(
            f"a frame is uint8 [H, W, 3]; this one is {image.dtype} {list(image.shape)}"
        )
    return image


def checked_box(box: Box, image: Image) -> Box:
    """The box itself. Raises ValueError where it shows nothing of the picture."""
    left, top, right, bottom = box
    height, width = image.shape[:2]
    if not all(math.isfinite(value) and abs(value) < 1e6 for value in box):
        raise ValueError(f"the box {list(box)} has sides that are no positions in a picture")
    if right <= left or bottom <= top:
        raise ValueError(f"the box {list(box)} has no area; right and bottom must be the larger")
    if right <= 0 or bottom <= 0 or left >= width or top >= height:
        raise ValueError(f"the box {list(box)} lies beside the frame of {width} x {height} pixels")
    return box


def numbers(values: Mapping[str, Any], name: str, count: int) -> tuple[float, ...]:
    """A list of `count` finite numbers among a state's values. Raises StateRefused."""
    found = values.get(name)
    if not isinstance(found, list | tuple) or len(found) != count:
        raise StateRefused(f"the tracker's state has no {count} numbers {name!r}; start again")
    usable = (isinstance(value, int | float) and math.isfinite(value) for value in found)
    if not all(usable) or any(abs(value) > 1e7 for value in found):
        raise StateRefused(f"the tracker's state has impossible numbers {name!r}; start again")
    return tuple(float(value) for value in found)


def _text(picture: Image) -> str:
    """A picture as PNG in base64. OpenCV is imported where it is needed: it takes its time."""
    import cv2

    done, data = cv2.imencode(".png", np.ascontiguousarray(picture[..., ::-1]))
    assert done  # noqa: S101 - any uint8 picture can be written
    return base64.b64encode(data.tobytes()).decode("ascii")


def _picture(text: object) -> Image:
    """The picture of `_text`. Its size is read before anything is unpacked."""
    try:
        data = base64.b64decode(text, validate=True) if isinstance(text, str) else b""
    except ValueError:
        data = b""
    sides = [int.from_bytes(data[at : at + 4], "big") for at in (16, 20)]
    if not data.startswith(PNG_MAGIC) or not all(0 < side <= LONGEST_SIDE for side in sides):
        raise StateRefused("the tracker's state holds a damaged picture; start again")
    import cv2

    found = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_COLOR)
    if found is None or [found.shape[1], found.shape[0]] != sides:
        raise StateRefused("the tracker's state holds a damaged picture; start again")
    return np.ascontiguousarray(found[..., ::-1])


def stored(state: TrackState) -> str:
    """A state as one line of JSON."""
    return json.dumps(state.to_json(), sort_keys=True, separators=(",", ":"), allow_nan=False)


def restored(text: str | bytes) -> TrackState:
    """The state of `stored`. Raises StateRefused."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        raise StateRefused("the tracker's state is no JSON; start the track again") from None
    return TrackState.from_json(document)
