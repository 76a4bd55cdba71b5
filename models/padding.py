"""Pictures made larger by a border, so that their sides suit a network's strides."""

from __future__ import annotations

from typing import NamedTuple

from models.zoom import Size


class Border(NamedTuple):
    """Pixels added on each side, in the order that `torch.nn.functional.pad` wants."""

    left: int
    right: int
    top: int
    bottom: int

    def around(self, size: Size) -> Size:
        """The size with the border."""
        return size[0] + self.top + self.bottom, size[1] + self.left + self.right


def border_to_multiple(size: Size, divisor: int) -> Border:
    """The least border that makes both sides multiples of `divisor`.

    It is shared by the two ends of a side, the odd pixel at the right and at the bottom. Sides
    that are multiples already get none.
    """
    down, across = (-side % divisor for side in size)
    return Border(across // 2, across - across // 2, down // 2, down - down // 2)
