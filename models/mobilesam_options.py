"""How MobileSAM is used: what serves people best, and what its authors do."""

from __future__ import annotations

from dataclasses import dataclass, fields

from models.heads.sam_decoder import MASKS
from models.heads.sam_prompt import STRIDE

SMALLEST_SIDE = 64


@dataclass(frozen=True)
class MobileSamOptions:
    """Defaults serve users; `FAITHFUL` is the authors' way of clicking.

    `input_side` is the long side at which the network sees a picture, a multiple of 16; 1024 is
    the authors'. `first_masks` and `later_masks` say which of the four masks are candidates for
    the first answer about an object and for those that follow; mask 0 is what the authors call
    the single mask, 1 to 3 their three. With `feedback` the chosen mask's logits are fed back at
    the next click.

    Among the candidates the one with the highest sum wins, where each weight of 0 leaves only the
    network's own score: `centre_weight` rewards masks in whose difference to the previous mask
    the newest click lies in the middle, as people click; `area_weight` times the logarithm of the
    mask's share of the picture rewards whole objects before their parts, in the first answer to
    clicks alone; `box_weight` times the IoU of the mask's own box with the prompt's rewards masks
    that fill the box; `consistency_weight` times the IoU with the previous mask rewards
    corrections that leave the rest alone; `stability_weight` rewards masks that a shift of the
    threshold changes little, where a box or a previous mask says what is meant; and
    `settled_weight` rewards mask 0 from the third click on.
    """

    input_side: int = 1024
    first_masks: tuple[int, ...] = (0, 1, 2, 3)
    later_masks: tuple[int, ...] = (0, 1, 2, 3)
    feedback: bool = True
    centre_weight: float = 0.1
    area_weight: float = 0.03
    consistency_weight: float = 0.3
    stability_weight: float = 0.1
    settled_weight: float = 0.05
    box_weight: float = 0.5
    keep_when_lost: bool = True

    def __post_init__(self) -> None:
        if self.input_side < SMALLEST_SIDE or self.input_side % STRIDE:
            raise ValueError(
                f"input_side is {self.input_side}; it must be a multiple of {STRIDE} and at least"
                f" {SMALLEST_SIDE}"
            )
        for name in ("first_masks", "later_masks"):
            masks = getattr(self, name)
            if not masks or not set(masks) <= set(range(MASKS)):
                raise ValueError(f"{name} is {masks!r}; it names some of the masks 0 to 3")

    @property
    def text(self) -> str:
        """A short text that differs whenever an option does."""
        return " ".join(f"{field.name}={getattr(self, field.name)!r}" for field in fields(self))


FAITHFUL = MobileSamOptions(
    first_masks=(1, 2, 3),
    later_masks=(0,),
    centre_weight=0.0,
    area_weight=0.0,
    consistency_weight=0.0,
    stability_weight=0.0,
    settled_weight=0.0,
    box_weight=0.0,
    keep_when_lost=False,
)
"""Three masks at first and the best-scored of them, then one mask, logits fed back."""
