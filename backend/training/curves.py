"""The numbers of a training over its steps, kept as a file of one JSON object a line."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

FILE = "curves.jsonl"
MOST_POINTS = 400
"""Points of the curves in a run's summary."""


def append(out: Path, row: Mapping[str, Any]) -> None:
    """Add a row; it has a `step`. What is not finite becomes null, which JSON can say."""
    with (out / FILE).open("a", encoding="utf-8") as file:
        file.write(json.dumps(finite(row)) + "\n")


def read(out: Path) -> list[dict[str, Any]]:
    """All rows. A last line that a kill has cut short is left out."""
    path = out / FILE
    rows = []
    for line in path.read_text(encoding="utf-8").splitlines() if path.is_file() else []:
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            continue
    return rows


def rewind(out: Path, step: int) -> None:
    """Drop the rows after `step`: the training goes on from there, and writes them anew."""
    kept = [row for row in read(out) if row["step"] <= step]
    path = out / FILE
    unfinished = path.with_suffix(".part")
    unfinished.write_text("".join(json.dumps(row) + "\n" for row in kept), encoding="utf-8")
    unfinished.replace(path)


def thinned(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """At most `MOST_POINTS` of the rows, evenly spread, the last one among them."""
    every = max(1, math.ceil(len(rows) / MOST_POINTS))
    return rows[::-1][::every][::-1]


def finite(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with None for every number that is not finite."""
    return {
        key: None if isinstance(value, float) and not math.isfinite(value) else value
        for key, value in row.items()
    }
