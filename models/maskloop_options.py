"""How our own network is used click by click."""

from __future__ import annotations

from dataclasses import dataclass, fields

from models.maskloop_network import STRIDE


@dataclass(frozen=True)
class MaskloopOptions:
    """The network sees squares of `side` pixels, whatever the crop's own shape.

    The first look is at the whole picture. The next is at the box of what was found and of the
    positive clicks, its sides `expansion_ratio` times as long, at least `min_crop_size` and not
    further apart than `stretch` where the picture allows it. With `second_look` that happens
    within the first click already, unless the object fills more than `large` of the picture. What
    cannot be found at all is looked for in a crop of `search` of the picture's sides around the
    click. With `flip` the logits are averaged with those of the mirrored crop. A mask is where
    the probability exceeds `threshold`.
    """

    side: int = 320
    expansion_ratio: float = 1.4
    min_crop_size: int = 48
    stretch: float = 2.0
    second_look: bool = True
    large: float = 0.6
    search: float = 0.25
    flip: bool = False
    threshold: float = 0.5

    def __post_init__(self) -> None:
        self._require("side", self.side > 0 and self.side % STRIDE == 0, f"a multiple of {STRIDE}")
        self._require("expansion_ratio", self.expansion_ratio >= 1, ">= 1")
        self._require("min_crop_size", self.min_crop_size >= 1, ">= 1")
        self._require("stretch", self.stretch >= 1, ">= 1")
        for name in ("large", "search", "threshold"):
            self._require(name, 0 < getattr(self, name) <= 1, "above 0 and at most 1")

    def _require(self, name: str, holds: bool, allowed: str) -> None:
        if not holds:
            raise ValueError(
                f"the maskloop option {name} is {getattr(self, name)}; it must be {allowed}"
            )

    @property
    def text(self) -> str:
        """All options in one line; equal for equal options only."""
        return " ".join(f"{field.name}={getattr(self, field.name)}" for field in fields(self))
