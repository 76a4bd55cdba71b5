"""An evaluation boiled down to the numbers that are published, and their JSON form."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from backend.evaluation.metrics import (
    clicks_to_reach,
    mean_clicks,
    mean_iou_per_click,
    over_limit,
    unreached,
)
from backend.evaluation.run import Evaluation, ObjectRecord, Protocol

NOC_TARGETS = (80, 85, 90)
"""IoU in per cent at which NoC is counted."""

NOF_TARGETS = (85, 90)
"""IoU in per cent at which NoF is counted."""


@dataclass(frozen=True)
class Timing:
    """Seconds of the segmenter alone: reading files, IoU and the annotator are not in them.

    `per_click` shares the preparing of pictures out over the clicks; `per_answer` leaves it out
    and `per_picture` is its mean. A box counts as one click.
    """

    per_click: float
    per_answer: float
    per_picture: float


@dataclass(frozen=True)
class Summary:
    """The numbers of one set. `noc`, `nof` and `unreached` are keyed by the target in per cent.

    `nof` counts objects whose NoC is the limit, as papers do, and so also those that got there at
    the very last click; `unreached` those that never got there. `miou` has one value per click.
    """

    objects: int
    noc: Mapping[int, float]
    nof: Mapping[int, int]
    unreached: Mapping[int, int]
    miou: tuple[float, ...]
    box_iou: float | None
    timing: Timing
    skipped: tuple[str, ...]
    protocol: Protocol
    version: str
    settings: str

    def as_json(self) -> dict[str, Any]:
        """The entry of a set in the report's JSON file."""
        return {
            **{f"noc@{target}": value for target, value in self.noc.items()},
            **{f"nof@{target}": value for target, value in self.nof.items()},
            **{f"unreached@{target}": value for target, value in self.unreached.items()},
            "miou": list(self.miou),
            "box_iou": self.box_iou,
            "objects": self.objects,
            "skipped": list(self.skipped),
            "seconds_per_click": self.timing.per_click,
            "seconds_per_answer": self.timing.per_answer,
            "seconds_per_picture": self.timing.per_picture,
            "clicks": self.protocol.clicks,
            "until": self.protocol.until,
            "start": self.protocol.start,
            "clicker": "random" if self.protocol.random_clicks else "centre",
            "version": self.version,
            "settings": self.settings,
        }


def summarise(evaluation: Evaluation) -> Summary:
    """The numbers of a set with at least one record."""
    records, most = evaluation.records, evaluation.protocol.clicks
    first = records[0].first
    # An initial mask is corrected by one click at least, however good it is.
    skipped = 1 if evaluation.protocol.start else 0
    counted, begin = [record.answers[skipped:] for record in records], first + skipped
    noc = {
        target: [clicks_to_reach(answers, target / 100, most, begin) for answers in counted]
        for target in NOC_TARGETS
    }
    curve = mean_iou_per_click([record.answers for record in records], most + 1 - first)
    return Summary(
        objects=len(records),
        noc={target: mean_clicks(counts) for target, counts in noc.items()},
        nof={target: over_limit(noc[target], most) for target in NOF_TARGETS},
        unreached={
            target: unreached([record.answers for record in records], target / 100)
            for target in NOF_TARGETS
        },
        miou=tuple(curve[1 - first :]),
        box_iou=curve[0] if first == 0 else None,
        timing=_timing(records),
        skipped=evaluation.skipped,
        protocol=evaluation.protocol,
        version=evaluation.version,
        settings=evaluation.settings,
    )


def _timing(records: tuple[ObjectRecord, ...]) -> Timing:
    preparing = [r.prepare_seconds for r in records if r.prepare_seconds is not None]
    answers = [seconds for record in records for seconds in record.segment_seconds]
    return Timing(
        per_click=(sum(preparing) + sum(answers)) / len(answers),
        per_answer=float(np.mean(answers)),
        per_picture=float(np.mean(preparing)),
    )
