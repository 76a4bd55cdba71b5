"""Borders: as little as needed, and the odd pixel at the end."""

from __future__ import annotations

import pytest

from models.padding import Border, border_to_multiple


@pytest.mark.parametrize(
    ("size", "border"),
    [
        ((48, 64), Border(0, 0, 0, 0)),
        ((37, 50), Border(7, 7, 5, 6)),
        ((480, 854), Border(5, 5, 0, 0)),
        ((1, 15), Border(0, 1, 7, 8)),
        ((17, 31), Border(0, 1, 7, 8)),
    ],
)
def test_the_border_is_shared_by_both_ends(size: tuple[int, int], border: Border) -> None:
    assert border_to_multiple(size, 16) == border
    height, width = border.around(size)
    assert height % 16 == width % 16 == 0
    assert 0 <= height - size[0] < 16
    assert 0 <= width - size[1] < 16
