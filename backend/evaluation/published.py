"""Our numbers beside the published ones: `evaluate --compare`."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from rich.box import SIMPLE
from rich.table import Table

from backend.errors import InvalidRequest
from backend.evaluation.run import Protocol
from backend.evaluation.summary import Summary
from models import zoo
from models.zoo import Published
from models.zoo.entries import CORRECTING

SETS: Mapping[str, tuple[str, int]] = {
    "grabcut": (r"grabcut", 50),
    "berkeley": (r"berkeley", 100),
    "sbd": (r"sbd([-_]?val)?", 6671),
    "davis585": (r"davis[-_]?585", 585),
    "davis": (r"davis([-_]?345)?", 345),
    "voc": (r"(pascal[-_]?)?voc.*", 3417),
    "coco_mval": (r"coco[-_]?mval", 800),
}
"""What folders of the published sets are called, in lower case, and how many objects they have."""


@dataclass(frozen=True)
class Comparison:
    """One number measured here beside the published one. `whole` counts the published objects."""

    name: str
    metric: str
    ours: float
    published: Published
    objects: int
    whole: int

    @property
    def difference(self) -> float:
        """Ours less the published; below zero we need fewer clicks."""
        return self.ours - self.published.value


def check(protocol: Protocol) -> None:
    """Raise InvalidRequest for a protocol under which nothing was published."""
    if protocol.clicks != 20 or protocol.box or protocol.random_clicks:
        raise InvalidRequest(
            "--compare needs the published protocol: 20 clicks, no box, the standard annotator;"
            " leave out --clicks, --box and --random-clicks",
            field="compare",
        )
    if protocol.until is not None and protocol.until < 0.9:
        raise InvalidRequest(
            f"--compare needs clicks up to an IoU of 0.9, and --until is {protocol.until}",
            field="until",
        )


def compare(summaries: Mapping[str, Summary]) -> list[Comparison]:
    """Every published number of the model and way of running that was measured, set by set."""
    found = []
    for name, summary in summaries.items():
        dataset = published_set(name)
        for number in numbers(summary.version, summary.settings, summary.protocol.start):
            if number.dataset == dataset:
                quality = int(number.metric.partition("@")[2])
                ours, whole = summary.noc[quality], SETS[dataset][1]
                row = Comparison(name, number.metric, ours, number, summary.objects, whole)
                found.append(row)
    return found


def published_set(name: str) -> str | None:
    """The published set that a folder of this name holds; None for another."""
    stem = re.split(r"[/\\]", name.rstrip("/\\"))[-1].lower()
    return next((known for known, (form, _) in SETS.items() if re.fullmatch(form, stem)), None)


def numbers(version: str, settings: str, start: str | None = None) -> tuple[Published, ...]:
    """What was published of a model version, run with these settings of its segmenter.

    Where refinement has modes, that of the settings counts. With a `start` the annotator
    corrected given masks.
    """
    entry, weights = zoo.parse(version.partition(":")[0])
    file = next((file for file in entry.weights if file.name == weights), None)
    mode = re.search(r"\bbrs_mode=(\S+)", settings)
    modes = {CORRECTING} if start else {"", mode[1]} if mode else {""}
    return tuple(number for number in file.published if number.mode in modes) if file else ()


def table(rows: list[Comparison], *, faithful: bool) -> Table:
    """The comparison for a terminal of 80 characters."""
    grid = Table(box=SIMPLE)
    grid.add_column("set", overflow="fold")
    grid.add_column("metric", no_wrap=True)
    for head in ("ours", "published", "difference", "objects"):
        grid.add_column(head, justify="right", no_wrap=True)
    for row in rows:
        told_by = "*" if row.published.told_by else ""
        cells = (f"{row.ours:.2f}", f"{row.published.value:.2f}{told_by}", f"{row.difference:+.2f}")
        grid.add_row(row.name, row.metric, *cells, f"{row.objects} of {row.whole}")
    grid.caption = "\n".join(remarks(rows, faithful=faithful)) or None
    return grid


def remarks(rows: list[Comparison], *, faithful: bool) -> list[str]:
    """What keeps the two columns from being comparable."""
    if not rows:
        return ["nothing was published of this model on these sets"]
    found = []
    if not faithful:
        found.append("ours with the served settings; --faithful takes the paper's")
    if any(row.objects != row.whole for row in rows):
        found.append("not all objects of the published set were measured")
    whose = dict.fromkeys(row.published.told_by for row in rows if row.published.told_by)
    return found + [f"* told by {name}" for name in whose]
