"""A prompt as text: for the queue, for the keys of sessions and for the log.

Everything but the initial mask is written out; of the mask only its id is, and its pixels lie in
the picture store. Numbers survive the way through JSON bit for bit.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from models.prompts import Box, Click, Prompt, Scribble


def compact(value: object) -> str:
    """The one JSON text of a value: sorted keys, no spaces, no NaN."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), allow_nan=False)


def mask_id(mask: npt.NDArray[np.bool_]) -> str:
    """The hex sha256 of a bool HxW mask: of its size, then of its bits row by row."""
    digest = hashlib.sha256(f"{mask.shape[0]}x{mask.shape[1]}:".encode())
    digest.update(np.packbits(mask).data)
    return digest.hexdigest()


@dataclass(frozen=True)
class PromptRecord:
    """A prompt whose mask is known by its id. The fields are those of `models.Prompt`."""

    clicks: tuple[Click, ...] = ()
    box: Box | None = None
    scribbles: tuple[Scribble, ...] = ()
    mask: str | None = None

    @classmethod
    def of(cls, prompt: Prompt) -> PromptRecord:
        """The record of a prompt."""
        mask = None if prompt.mask is None else mask_id(prompt.mask)
        return cls(prompt.clicks, prompt.box, prompt.scribbles, mask)

    def prompt(self, mask: npt.NDArray[np.bool_] | None) -> Prompt:
        """The prompt, with the pixels of its mask."""
        return Prompt(self.clicks, self.box, self.scribbles, mask)

    @property
    def has_base(self) -> bool:
        """Whether anything but clicks was given."""
        return self.box is not None or bool(self.scribbles) or self.mask is not None

    @cached_property
    def base(self) -> str:
        """The JSON text of everything but the clicks."""
        return compact({key: value for key, value in self.to_json().items() if key != "clicks"})

    def extends(self, earlier: PromptRecord) -> bool:
        """Whether this is the earlier prompt and at least one click more."""
        count = len(earlier.clicks)
        return (
            len(self.clicks) > count
            and self.clicks[:count] == earlier.clicks
            and self.base == earlier.base
        )

    def to_json(self) -> dict[str, Any]:
        """Numbers, lists and texts; `clicks` are [x, y, 1 for positive and 0 for negative]."""
        return {
            "clicks": [click_row(click) for click in self.clicks],
            "box": None if self.box is None else [float(edge) for edge in self.box],
            "scribbles": [
                {
                    "points": [[float(x), float(y)] for x, y in scribble.points],
                    "positive": int(scribble.positive),
                    "radius": float(scribble.radius),
                }
                for scribble in self.scribbles
            ],
            "mask": self.mask,
        }

    @classmethod
    def from_json(cls, data: Mapping[str, Any]) -> PromptRecord:
        """The inverse of `to_json`. Raises KeyError, TypeError or ValueError for other data."""
        box = data["box"]
        left, top, right, bottom = box or (0.0, 0.0, 0.0, 0.0)
        return cls(
            tuple(Click(float(x), float(y), bool(positive)) for x, y, positive in data["clicks"]),
            None if box is None else (float(left), float(top), float(right), float(bottom)),
            tuple(
                Scribble(
                    tuple((float(x), float(y)) for x, y in scribble["points"]),
                    bool(scribble["positive"]),
                    float(scribble["radius"]),
                )
                for scribble in data["scribbles"]
            ),
            data["mask"],
        )


def click_row(click: Click) -> list[float]:
    """A click as [x, y, 1 for positive and 0 for negative]."""
    return [float(click.x), float(click.y), int(click.positive)]
