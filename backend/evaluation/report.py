"""The report of an evaluation: a table for the terminal, a JSON file, a folder of pictures."""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from rich.box import SIMPLE
from rich.console import Group
from rich.table import Table

from backend.evaluation.run import Evaluation
from backend.evaluation.summary import NOC_TARGETS, NOF_TARGETS, Summary, summarise

SHOWN_CLICKS = (1, 2, 3, 5, 10, 20)
"""Clicks whose mean IoU the table shows; JSON has all."""


def tables(summaries: Mapping[str, Summary]) -> Group:
    """NoC, NoF and time, then mean IoU after some clicks; one row a set.

    All sets were measured with the same limit of clicks. Fits a terminal of 80 characters.
    """
    noc = [f"NoC@{target}" for target in NOC_TARGETS]
    nof = [f"NoF@{target}" for target in NOF_TARGETS]
    counts = _grid("objects", *noc, *nof, "s/click")
    most = max(summary.protocol.clicks for summary in summaries.values())
    shown = sorted({click for click in SHOWN_CLICKS if click <= most} | {most})
    with_box = any(summary.box_iou is not None for summary in summaries.values())
    before = "box" if any(summary.protocol.box for summary in summaries.values()) else "start"
    curve = _grid(*[before] * with_box, *(f"IoU {click}" for click in shown))
    for name, summary in summaries.items():
        cells = [str(summary.objects), *(f"{mean:.2f}" for mean in summary.noc.values())]
        cells += [str(count) for count in summary.nof.values()]
        counts.add_row(name, *cells, f"{summary.timing.per_click:.3f}")
        box = ["" if summary.box_iou is None else f"{summary.box_iou:.3f}"] * with_box
        curve.add_row(name, *box, *(f"{summary.miou[click - 1]:.3f}" for click in shown))
    return Group(counts, curve)


def _grid(*heads: str) -> Table:
    grid = Table(box=SIMPLE)
    grid.add_column("set", overflow="fold")
    for head in heads:
        grid.add_column(head, justify="right", no_wrap=True)
    return grid


def as_json(summaries: Mapping[str, Summary], **shared: Any) -> dict[str, dict[str, Any]]:
    """One entry a set; `shared` (model, machine, ...) is repeated in every entry."""
    return {name: {**summary.as_json(), **shared} for name, summary in summaries.items()}


def write_json(path: Path, document: Mapping[str, Any]) -> None:
    """Write `document` with its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")


def write_pictures(folder: Path, evaluations: Mapping[str, Evaluation]) -> None:
    """Write `iou.png`, and for each set `worst-SET.png` and `objects-SET.csv`."""
    from backend.evaluation.plot import write_plot
    from backend.evaluation.sheet import write_sheet

    folder.mkdir(parents=True, exist_ok=True)
    summaries = {name: summarise(evaluation) for name, evaluation in evaluations.items()}
    versions = sorted({evaluation.version for evaluation in evaluations.values()})
    write_plot(folder / "iou.png", summaries, ", ".join(versions))
    for name, evaluation in evaluations.items():
        stem = re.sub(r"[^\w.-]+", "-", name).strip("-")
        title = f"{name}: the worst of {len(evaluation.records)}, {evaluation.version}"
        write_sheet(folder / f"worst-{stem}.png", evaluation, title)
        write_objects(folder / f"objects-{stem}.csv", evaluation)


def write_objects(path: Path, evaluation: Evaluation) -> None:
    """One line an object: its key, the IoU of the box if given and after every click made."""
    first = evaluation.records[0].first
    last = evaluation.protocol.clicks
    before = "box" if evaluation.protocol.box else "start"
    heads = [before] * (first == 0) + [f"click {click}" for click in range(1, last + 1)]
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["object", *heads])
        for record in evaluation.records:
            writer.writerow([record.sample.key, *(f"{value:.4f}" for value in record.answers)])
