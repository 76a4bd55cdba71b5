from __future__ import annotations

from itertools import pairwise
from pathlib import Path

from backend.training import curves


def test_rows_come_back_and_what_is_no_number_is_null(tmp_path: Path) -> None:
    curves.append(tmp_path, {"step": 1, "loss": float("nan"), "norm": float("inf")})
    curves.append(tmp_path, {"step": 2, "loss": 0.5})
    assert curves.read(tmp_path) == [
        {"step": 1, "loss": None, "norm": None},
        {"step": 2, "loss": 0.5},
    ]


def test_rewinding_drops_what_comes_after_and_a_line_cut_short(tmp_path: Path) -> None:
    for step in (10, 20, 30):
        curves.append(tmp_path, {"step": step})
    with (tmp_path / curves.FILE).open("a") as file:
        file.write('{"step": 3')
    curves.rewind(tmp_path, 20)
    curves.append(tmp_path, {"step": 25})
    assert [row["step"] for row in curves.read(tmp_path)] == [10, 20, 25]


def test_nothing_was_drawn_yet(tmp_path: Path) -> None:
    curves.rewind(tmp_path, 0)
    assert curves.read(tmp_path) == []


def test_long_curves_are_thinned_evenly_and_end_where_they_end() -> None:
    rows = [{"step": step} for step in range(1, 1002)]
    thin = curves.thinned(rows)
    steps = [row["step"] for row in thin]
    assert len(thin) <= curves.MOST_POINTS
    assert steps[-1] == 1001
    assert {after - before for before, after in pairwise(steps)} == {3}
    assert curves.thinned(rows[:5]) == rows[:5]
