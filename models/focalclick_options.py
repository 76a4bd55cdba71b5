"""How FocalClick is used click by click: what serving needs, and what the authors' code does."""

from __future__ import annotations

from dataclasses import dataclass, fields

COARSEST_STRIDE = 64
"""The side of the network's input is a multiple of this: stride 32 of an input at half the size."""

LONGEST_INPUT = 512
"""A larger input would make states too large to keep by the thousand."""


@dataclass(frozen=True)
class FocalClickOptions:
    """Defaults serve users; every value of the original is reachable.

    Target crop. With `zoom_in`, from the click after the first `skip_clicks` on the network sees a
    crop around the object: the box of the previous mask (pixels above `zoom_threshold`) and the
    positive clicks, its sides `expansion_ratio` times as long and at least `min_crop_size`. With
    `begin_zoomed` an initial mask is zoomed in on at its first click. Whatever it sees, the
    network sees `infer_size` x `infer_size` pixels of it.

    Focus crop. The refiner sees what the click changed, `focus_ratio` times as large. Changed is
    where the coarse logit above `focus_logit` disagrees with the previous probability above
    `focus_threshold`. From the click after the first `whole_answers` on, the mask changes in the
    focus crop alone.

    Answer. With an initial mask and `progressive_merge`, the mask changes where the new one
    differs in one piece under the click, and nowhere else. A mask is where the probability exceeds
    `threshold`. With a box, it is confined to that box with `box_margin` of its sides all around.

    Speed. `fast_arithmetic` folds norms into convolutions and lays channels innermost: the same
    sums in another order, within 1e-4.

    The original's ways. `full_size_state` remembers the previous map at the picture's size (not
    for serving: such a state is large); `keep_stale_roi` puts the answer for the whole picture
    into an outdated crop; `merge_unchanged` takes all pixels that stayed for the piece under a
    click that changed nothing.
    """

    zoom_in: bool = True
    skip_clicks: int = 1
    expansion_ratio: float = 1.4
    min_crop_size: int = 10
    zoom_threshold: float = 0.49
    begin_zoomed: bool = True
    infer_size: int = 256
    focus_ratio: float = 1.4
    focus_logit: float = 0.49
    focus_threshold: float = 0.49
    whole_answers: int = 10
    progressive_merge: bool = True
    threshold: float = 0.5
    box_margin: float = 0.1
    fast_arithmetic: bool = True
    full_size_state: bool = False
    keep_stale_roi: bool = False
    merge_unchanged: bool = False

    def __post_init__(self) -> None:
        side = self.infer_size
        good = side % COARSEST_STRIDE == 0 and COARSEST_STRIDE <= side <= LONGEST_INPUT
        allowed = f"a multiple of {COARSEST_STRIDE} up to {LONGEST_INPUT}"
        self._require("infer_size", good, allowed)
        for name in ("expansion_ratio", "focus_ratio", "min_crop_size"):
            self._require(name, getattr(self, name) >= 1, ">= 1")
        for name in ("skip_clicks", "whole_answers", "box_margin"):
            self._require(name, getattr(self, name) >= 0, ">= 0")
        for name in ("threshold", "zoom_threshold", "focus_threshold"):
            self._require(name, 0 <= getattr(self, name) <= 1, "within 0..1")

    def _require(self, name: str, holds: bool, allowed: str) -> None:
        if not holds:
            raise ValueError(
                f"the FocalClick option {name} is {getattr(self, name)}; it must be {allowed}"
            )

    @property
    def text(self) -> str:
        """All options in one line; equal for equal options only."""
        return " ".join(f"{field.name}={getattr(self, field.name)}" for field in fields(self))


FAITHFUL = FocalClickOptions(
    begin_zoomed=False,
    fast_arithmetic=False,
    full_size_state=True,
    keep_stale_roi=True,
    merge_unchanged=True,
)
"""The settings of the published evaluation."""
