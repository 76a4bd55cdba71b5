"""Jobs are small JSON, and deadlines are told by one clock."""

from __future__ import annotations

import json

import pytest

from backend.errors import DeadlineExceeded
from backend.prompt_record import PromptRecord, compact
from backend.queue.interface import Deadline, SegmentJob
from models.prompts import Click, Scribble

PROMPT = PromptRecord(
    (Click(1.5, 2.25), Click(0.1, 1e-7, False)),
    (0.0, 0.5, 3.0, 4.0),
    (Scribble(((1.0, 2.0), (3.0, 4.0)), False, 2.5),),
    "ab" * 32,
)
JOB = SegmentJob("r", "i" * 64, "mobilesam", PROMPT, 1500, "pear", 1, "ann's pear")


def test_the_way_through_json() -> None:
    assert SegmentJob.from_json(json.loads(compact(JOB.to_json()))) == JOB
    assert len(compact(JOB.to_json())) < 1000


@pytest.mark.parametrize(
    "data",
    [{}, {**JOB.to_json(), "prompt": None}, {**JOB.to_json(), "milliseconds": "soon"}, [], "x"],
)
def test_other_data_is_refused(data: object) -> None:
    with pytest.raises((KeyError, TypeError, ValueError)):
        SegmentJob.from_json(data)  # type: ignore[arg-type]


def job(key: str | None, *clicks: Click) -> SegmentJob:
    return SegmentJob("r", "i", "m", PromptRecord(clicks), 1, "o", 0, key)


def test_superseding_needs_the_same_key_and_more_clicks() -> None:
    a, b = Click(1, 1), Click(2, 2)
    assert job("k", a, b).supersedes(job("k", a))
    assert not job("k", a, b).supersedes(job("l", a))
    assert not job(None, a, b).supersedes(job(None, a))
    assert not job("k", a).supersedes(job("k", a, b))
    assert not job("k", b, a).supersedes(job("k", a))


def test_a_deadline_passes() -> None:
    now = [100.0]
    deadline = Deadline(2.5, lambda: now[0])
    deadline.check()
    assert deadline.remaining == 2.5
    now[0] = 102.5
    with pytest.raises(DeadlineExceeded, match="MASKLOOP_DEADLINE_SECONDS"):
        deadline.check()
