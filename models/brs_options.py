"""How backpropagating refinement is used: which mode, and how far it goes."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, Literal, get_args

BrsMode = Literal["NoBRS", "RGB-BRS", "DistMap-BRS", "f-BRS-A", "f-BRS-B", "f-BRS-C"]

CLICKS_LIMIT: Mapping[BrsMode, int | None] = {
    "NoBRS": None,
    "RGB-BRS": 5,
    "DistMap-BRS": 5,
    "f-BRS-A": 8,
    "f-BRS-B": 8,
    "f-BRS-C": 8,
}
"""`net_clicks_limit` of the published evaluation."""


@dataclass(frozen=True)
class BrsOptions:
    """Options of backpropagating refinement, shared by f-BRS and RITM.

    `brs_mode` says what is corrected until the answer agrees with the clicks: nothing, the
    picture (RGB), the click maps (DistMap), or the channels of features inside the network, early
    (A), in between (B) or late (C). Correction begins with the click after the first
    `brs_after_clicks`. It ends when every click is right, when the IoU of two successive masks
    exceeds 1 - `brs_iou_change`, or at the first step after `brs_max_evaluations` passes; one
    step takes at most 20. `brs_deadline_ms` ends it early, with the best answer so far, and the
    answer says so (`Result.aborted`): the only option under which an answer depends on the clock.

    The original's ways. `brs_wrapping_squares` lets the square of a click in the first row or
    column be empty, and that of a click beyond the crop appear at the opposite edge.
    `brs_keep_features` leaves the features as they were at the last click that the network saw
    (`net_clicks_limit`), though crop or previous mask are others by now.
    """

    system: ClassVar[str] = "BRS"

    brs_mode: BrsMode = "NoBRS"
    brs_after_clicks: int = 1
    brs_max_evaluations: int = 20
    brs_iou_change: float = 0.01
    brs_deadline_ms: float | None = None
    brs_wrapping_squares: bool = False
    brs_keep_features: bool = False

    def __post_init__(self) -> None:
        modes = get_args(BrsMode)
        self._require("brs_mode", self.brs_mode in modes, f"one of {', '.join(modes)}")
        self._require("brs_after_clicks", self.brs_after_clicks >= 0, ">= 0")
        self._require("brs_max_evaluations", self.brs_max_evaluations >= 1, ">= 1")
        self._require("brs_iou_change", 0 <= self.brs_iou_change <= 1, "within 0..1")
        deadline = self.brs_deadline_ms
        self._require("brs_deadline_ms", deadline is None or deadline >= 0, "None or >= 0")

    def _require(self, name: str, holds: bool, allowed: str) -> None:
        if not holds:
            value = getattr(self, name)
            raise ValueError(f"the {self.system} option {name} is {value}; it must be {allowed}")

    @property
    def text(self) -> str:
        """All options in one line; equal for equal options only."""
        return " ".join(f"{field.name}={getattr(self, field.name)}" for field in fields(self))
