"""How TransT is used frame by frame: what serving needs, and what its authors do."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import Literal, get_args

TEMPLATE_SIDE, SEARCH_SIDE = 128, 256
"""Sides in pixels of what the network is shown, as it was trained."""

Channels = Literal["rgb", "bgr"]


@dataclass(frozen=True)
class TransTOptions:
    """Defaults serve users; every value of the original is reachable.

    Crops. Around a box of width w and height h with m = (w + h) / 2 the template shows a square of
    side sqrt((w + k)(h + k)) with k = (`template_context` - 1) m, and the search region the same
    with `search_context`. The network gets `channels` in the order in which it was trained, `rgb`;
    `bgr` is what CVAT's own function feeds it.

    Choice. A cell's score counts with a share of `window` less, and a Hann window over the search
    region with that share. No side of a box is shorter than `least_side` pixels.

    Speed. `fast_arithmetic` folds norms into convolutions and lays channels innermost: the same
    sums in another order. `objects_per_pass` search regions share a pass of the network; None means
    one on a CPU, where more save nothing and an object's answer then does not depend on its
    company, and 32 elsewhere.
    """

    template_context: float = 2.0
    search_context: float = 4.0
    window: float = 0.49
    least_side: float = 10.0
    channels: Channels = "rgb"
    fast_arithmetic: bool = True
    objects_per_pass: int | None = None

    def __post_init__(self) -> None:
        for name in ("template_context", "search_context"):
            self._require(name, 1 <= getattr(self, name) <= 16, "within 1..16")
        self._require("window", 0 <= self.window <= 1, "within 0..1")
        self._require("least_side", self.least_side >= 1, ">= 1")
        several = self.objects_per_pass
        self._require("objects_per_pass", several is None or several >= 1, "None or >= 1")
        allowed = get_args(Channels)
        self._require("channels", self.channels in allowed, " or ".join(allowed))

    def _require(self, name: str, holds: bool, allowed: str) -> None:
        if not holds:
            raise ValueError(
                f"the TransT option {name} is {getattr(self, name)}; it must be {allowed}"
            )

    def resolved(self, device: str) -> TransTOptions:
        """The same with the number that None stands for, on a type of device ("cpu", "cuda")."""
        if self.objects_per_pass is not None:
            return self
        return replace(self, objects_per_pass=1 if device == "cpu" else 32)

    @property
    def text(self) -> str:
        """All options in one line; equal for equal options only."""
        return " ".join(f"{field.name}={getattr(self, field.name)}" for field in fields(self))


FAITHFUL = TransTOptions(fast_arithmetic=False)
"""The authors' own tracker, which differs from the default by the order of its sums alone."""
