"""How ClickAttention is used click by click: what serving needs, and what its authors do."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import get_args

from models.clickattention_config import Mode, Version

COARSEST_STRIDE = 32
"""The side of the network's input is a multiple of this."""

LONGEST_INPUT = 1024
"""A larger input would make states too large to keep by the thousand."""

PUBLISHED_SIZE = 768
"""The side that the authors' numbers belong to."""

TRAINED_SIZE = 512
"""The side of the training crops."""


@dataclass(frozen=True)
class ClickAttentionOptions:
    """Defaults serve users; every value of the original is reachable.

    `mode` is `released`, the authors' code and numbers, or `paper`, where the weights of
    similarity multiply the attention.

    View. The network sees the whole picture, stretched to `infer_size` x `infer_size`; None means
    768, for B3 on a CPU 512. An object's first click runs `first_click_passes` times, each time
    with the last answer as the previous mask. With a box it sees the box, its sides
    `expansion_ratio` times as long and at least `min_crop_size`. With `zoom_in`, which the authors
    left for later, it sees the box of the previous mask and the positive clicks in the same way,
    from the second click on.

    Answer. With an initial mask and `progressive_merge`, the mask changes where the new one
    differs in one piece under the click, and nowhere else. A mask is where the probability exceeds
    `threshold`. With a box, it is confined to that box with `box_margin` of its sides all around.

    Speed. `fast_arithmetic` makes one of the decoder's linear layers and lays channels innermost:
    the same sums in another order, within 1e-4.

    The original's ways. `drop_border_clicks` ignores clicks on row 0 or column 0;
    `full_size_state` remembers the previous map at the picture's size (not for serving: such a
    state is large); `merge_unchanged` takes all pixels that stayed for the piece under a click
    that changed nothing.
    """

    mode: Mode = "released"
    infer_size: int | None = None
    first_click_passes: int = 2
    zoom_in: bool = False
    expansion_ratio: float = 1.4
    min_crop_size: int = 200
    progressive_merge: bool = True
    threshold: float = 0.5
    box_margin: float = 0.1
    fast_arithmetic: bool = True
    drop_border_clicks: bool = False
    full_size_state: bool = False
    merge_unchanged: bool = False

    def __post_init__(self) -> None:
        self._require("mode", self.mode in get_args(Mode), " or ".join(get_args(Mode)))
        side = self.infer_size
        good = side is None or (side % COARSEST_STRIDE == 0 and 0 < side <= LONGEST_INPUT)
        allowed = f"None or a multiple of {COARSEST_STRIDE} up to {LONGEST_INPUT}"
        self._require("infer_size", good, allowed)
        for name in ("first_click_passes", "expansion_ratio", "min_crop_size"):
            self._require(name, getattr(self, name) >= 1, ">= 1")
        self._require("box_margin", self.box_margin >= 0, ">= 0")
        self._require("threshold", 0 <= self.threshold <= 1, "within 0..1")

    def _require(self, name: str, holds: bool, allowed: str) -> None:
        if not holds:
            raise ValueError(
                f"the ClickAttention option {name} is {getattr(self, name)}; it must be {allowed}"
            )

    def resolved(self, version: Version, device: str) -> ClickAttentionOptions:
        """The same with the side that None stands for, on a type of device ("cpu", "cuda")."""
        if self.infer_size is not None:
            return self
        slow = version == "b3" and device == "cpu"
        return replace(self, infer_size=TRAINED_SIZE if slow else PUBLISHED_SIZE)

    @property
    def text(self) -> str:
        """All options in one line; equal for equal options only."""
        return " ".join(f"{field.name}={getattr(self, field.name)}" for field in fields(self))


FAITHFUL = ClickAttentionOptions(
    infer_size=PUBLISHED_SIZE,
    fast_arithmetic=False,
    drop_border_clicks=True,
    full_size_state=True,
    merge_unchanged=True,
)
"""The settings of the published evaluation."""
