"""How RITM is used click by click: what serving needs, and what the paper's code did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from models.brs_options import BrsOptions
from models.zoom import Size

LEAST_SIDE = 32
"""A side shorter than this is a single pixel at the network's coarsest stride."""


@dataclass(frozen=True)
class RitmOptions(BrsOptions):
    """Defaults serve users; every value of the original is reachable.

    Zoom-in. With `zoom_in`, from the click after the first `skip_clicks` on the network sees a
    crop around the object at `zoom_target`: its long side, or (height, width). The crop is the
    box of the previous mask (pixels above `zoom_threshold`) and the positive clicks, its sides
    `expansion_ratio` times as long and at least `min_crop_size`; it stays where it is while its
    IoU with a new one is at least `recompute_iou` and no positive click leaves it. `skip_clicks`
    of 0 runs a small object's first click twice, -1 zooms in on the whole picture at once.

    Size. Where there is no crop the whole picture is seen, its long side limited to
    `first_click_side` (None: as it is). `max_size` limits all that the network sees, with the
    original's habit of sending later answers through the first picture's size.

    Answer. `flip` averages the logits with those of the mirrored picture. A mask is where the
    probability exceeds `threshold`. With a box, it is confined to that box with `box_margin`
    of its sides all around. `net_clicks_limit` shows the network only the first so many clicks.

    Speed. `fast_arithmetic` folds norms into convolutions, lays channels innermost and reads
    crops straight from the picture: the same sums in another order, within 1e-4.

    The original's ways. `cpu_maps` rounds clicks to whole pixels as its demo does, and
    `cpu_maps_overrun` adds the pixel that its unchecked write marks for a click beyond the crop;
    `full_size_state` remembers the previous map at the picture's size (not for serving: such a
    state is large); `keep_stale_roi` puts the answer for the whole picture into an outdated
    crop; `one_shot` forgets everything before each prompt; `mask_every_click` shows the
    initial mask in place of the previous one, at every click.

    Backpropagating refinement, off by default: see `BrsOptions`.
    """

    system: ClassVar[str] = "RITM"
    zooms_in_blindly: ClassVar[bool] = True
    """Whether a `skip_clicks` of -1 zooms in on the whole picture where no object is known."""

    zoom_in: bool = True
    zoom_target: int | Size = 400
    skip_clicks: int = 1
    expansion_ratio: float = 1.4
    min_crop_size: int = 200
    recompute_iou: float = 0.5
    zoom_threshold: float = 0.5
    first_click_side: int | None = 800
    max_size: int | None = None
    flip: bool = True
    threshold: float = 0.5
    box_margin: float = 0.1
    net_clicks_limit: int | None = None
    fast_arithmetic: bool = True
    cpu_maps: bool = False
    cpu_maps_overrun: bool = False
    full_size_state: bool = False
    keep_stale_roi: bool = False
    one_shot: bool = False
    mask_every_click: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        target = self.zoom_target
        sides = (target, target) if isinstance(target, int) else tuple(target)
        if not isinstance(target, int):
            object.__setattr__(self, "zoom_target", sides)
        good = len(sides) == 2 and all(side >= LEAST_SIDE for side in sides)
        self._require("zoom_target", good, f"one side or (height, width), each >= {LEAST_SIDE}")
        for name in ("first_click_side", "max_size"):
            side = getattr(self, name)
            self._require(name, side is None or side >= LEAST_SIDE, f"None or >= {LEAST_SIDE}")
        self._require("expansion_ratio", self.expansion_ratio >= 1, ">= 1")
        self._require("min_crop_size", self.min_crop_size >= 1, ">= 1")
        self._require("box_margin", self.box_margin >= 0, ">= 0")
        limit = self.net_clicks_limit
        self._require("net_clicks_limit", limit is None or limit >= 1, "None or >= 1")
        for name in ("threshold", "zoom_threshold", "recompute_iou"):
            self._require(name, 0 <= getattr(self, name) <= 1, "within 0..1")


FAITHFUL = RitmOptions(
    first_click_side=None,
    threshold=0.49,
    fast_arithmetic=False,
    full_size_state=True,
    keep_stale_roi=True,
    brs_wrapping_squares=True,
    brs_keep_features=True,
)
"""The settings of the published evaluation; with refinement, see also `CLICKS_LIMIT`."""
