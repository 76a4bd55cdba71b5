"""How SimpleClick is used click by click: what serving needs, and what the paper's code did."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar, Literal, get_args

from models.backbones.vit import WINDOW_PIXELS
from models.ritm_options import RitmOptions
from models.zoom import Size

Precision = Literal["float32", "bfloat16"]


@dataclass(frozen=True)
class ViewOptions(RitmOptions):
    """SimpleClick's predictor is a setting of RITM's, whose code it grew from."""

    system: ClassVar[str] = "SimpleClick"


@dataclass(frozen=True)
class SimpleClickOptions:
    """Defaults serve users; every value of the original is reachable.

    Zoom-in. The network sees one size, `input_side`: the side of a square, or (height, width),
    multiples of 224; a region of the picture is stretched to it. The first click shows the whole
    picture. Later ones show the box of the previous mask (pixels above `zoom_threshold`) and the
    positive clicks, its sides `expansion_ratio` times as long and at least `min_crop_size`; the
    region stays where it is while its IoU with a new one is at least `recompute_iou` and no
    positive click leaves it.

    Answer. `flip` averages the logits with those of the mirrored picture, for twice the time. A
    mask is where the probability exceeds `threshold`. With a box, it is confined to that box with
    `box_margin` of its sides all around. `net_clicks_limit` shows the network only the first so
    many clicks.

    Speed. `fast_arithmetic` reads crops straight from the picture: the same sums in another
    order, within 1e-4. A `precision` of "bfloat16" lets the transformer, nine tenths of the work,
    compute with three digits: a third of its time on a processor that has such arithmetic.

    The original's ways. `full_size_state` remembers the previous map at the picture's size (not
    for serving: such a state is large); `mask_every_click` shows the initial mask in place of the
    previous one, at every click.
    """

    input_side: int | Size = 448
    expansion_ratio: float = 1.4
    min_crop_size: int = 200
    recompute_iou: float = 0.5
    zoom_threshold: float = 0.5
    flip: bool = False
    threshold: float = 0.5
    box_margin: float = 0.1
    net_clicks_limit: int | None = None
    fast_arithmetic: bool = True
    precision: Precision = "float32"
    full_size_state: bool = False
    mask_every_click: bool = False

    def __post_init__(self) -> None:
        side = self.input_side
        sides = (side, side) if isinstance(side, int) else tuple(side)
        if len(sides) != 2 or any(s < 1 or s % WINDOW_PIXELS for s in sides):
            raise ValueError(
                f"the SimpleClick option input_side is {side}; it must be a multiple of"
                f" {WINDOW_PIXELS}, or (height, width) of such"
            )
        object.__setattr__(self, "input_side", sides)
        if self.precision not in get_args(Precision):
            raise ValueError(
                f"the SimpleClick option precision is {self.precision!r}; it must be one of"
                f" {', '.join(get_args(Precision))}"
            )
        self.view()

    @property
    def text(self) -> str:
        """All options in one line; equal for equal options only."""
        return " ".join(f"{field.name}={getattr(self, field.name)}" for field in fields(self))

    def view(self) -> ViewOptions:
        """The same in the words of the predictor. Raises ValueError for a value out of range."""
        own = {field.name: getattr(self, field.name) for field in fields(self)}
        target = own.pop("input_side")
        del own["precision"]
        return ViewOptions(
            zoom_target=target, skip_clicks=-1, first_click_side=None, max_size=None, **own
        )


FAITHFUL = SimpleClickOptions(
    flip=True, threshold=0.49, fast_arithmetic=False, full_size_state=True
)
"""The settings of the published evaluation; `input_side` is 672 for DAVIS there."""
