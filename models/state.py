"""What the next click needs from the previous one, as bytes that any worker can take up."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
from safetensors import SafetensorError
from safetensors.numpy import load, save

SCHEMA = 1
"""Raised whenever the meaning of a stored state changes; older states are then misses."""

MAX_STATE_BYTES = 4 << 20
"""A state larger than this is a defect of its segmenter: sessions are kept by the thousand."""


@dataclass(frozen=True, slots=True)
class State:
    """The state of one object after one prompt.

    `version` is the model version id and `picture` the picture id the state belongs to. `arrays`
    (a map at the network's own resolution, say) and the JSON values in `values` (a region of
    interest) mean something to the segmenter that made them, and to nobody else.
    """

    version: str
    picture: str
    arrays: Mapping[str, npt.NDArray[Any]] = field(default_factory=dict)
    values: Mapping[str, Any] = field(default_factory=dict)

    def belongs_to(self, version: str, picture: str) -> bool:
        """Whether a segmenter of this version may continue from here on this picture."""
        return self.version == version and self.picture == picture

    def to_bytes(self) -> bytes:
        """The state in safetensors form, with schema, version and picture in its header.

        Raises ValueError where the state exceeds `MAX_STATE_BYTES`.
        """
        header = {
            "schema": str(SCHEMA),
            "version": self.version,
            "picture": self.picture,
            "values": json.dumps(self.values, sort_keys=True),
        }
        arrays = {name: np.ascontiguousarray(array) for name, array in self.arrays.items()}
        data = save(arrays, metadata=header)
        if len(data) > MAX_STATE_BYTES:
            raise ValueError(f"a state of {len(data)} bytes exceeds the limit of {MAX_STATE_BYTES}")
        return data

    @classmethod
    def from_bytes(cls, data: bytes) -> State | None:
        """The state in `data`, or None where it is damaged or of another schema: a miss."""
        try:
            length = int.from_bytes(data[:8], "little")
            header = json.loads(data[8 : 8 + length])["__metadata__"]
            if header["schema"] != str(SCHEMA):
                return None
            values = json.loads(header["values"])
            return cls(header["version"], header["picture"], load(data), values)
        except (SafetensorError, ValueError, KeyError, TypeError):
            return None
