"""Rows that wait on the disk."""

from __future__ import annotations

import multiprocessing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from backend.store.overflow import Overflow, Row

ROW: Row = {
    "text": "ä\ud800\n",
    "none": None,
    "number": 1.5,
    "flag": True,
    "bytes": b"\0\xff",
    "moment": datetime(2024, 5, 1, 12, 30, tzinfo=UTC),
    "json": {"clicks": [[1.0, 2.0, 1]], "box": None},
}


def drained(overflow: Overflow) -> list[Row]:
    rows: list[Row] = []
    assert overflow.drain(rows.extend) == len(rows)
    return rows


def test_rows_come_back_once_and_as_they_were(tmp_path: Path) -> None:
    overflow = Overflow(tmp_path / "new" / "rows.jsonl")
    assert not overflow
    overflow.append(ROW)
    overflow.append({"n": 1}, {"n": 2})
    assert overflow
    assert drained(overflow) == [ROW, {"n": 1}, {"n": 2}]
    assert not overflow
    assert drained(overflow) == []


def test_rows_that_could_not_be_written_stay(tmp_path: Path) -> None:
    def fail(rows: list[Row]) -> None:
        raise ConnectionError

    overflow = Overflow(tmp_path / "rows.jsonl")
    overflow.append({"n": 1})
    with pytest.raises(ConnectionError):
        overflow.drain(fail)
    assert overflow
    overflow.append({"n": 2})
    found = drained(Overflow(tmp_path / "rows.jsonl"))
    assert sorted(row["n"] for row in found) == [1, 2]


def test_a_line_cut_off_by_a_crash_costs_only_itself(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "rows.jsonl"
    overflow = Overflow(path)
    overflow.append({"n": 1})
    with path.open("ab") as file:
        file.write(b'\n{"n": 2, "te')
    overflow.append({"n": 3})
    assert drained(overflow) == [{"n": 1}, {"n": 3}]
    assert "damaged" in caplog.text


def test_other_files_beside_it_are_left_alone(tmp_path: Path) -> None:
    overflow = Overflow(tmp_path / "rows.jsonl")
    other = Overflow(tmp_path / "rows.jsonl.old")
    other.append({"n": 1})
    assert not overflow
    assert drained(overflow) == []
    assert other


def append_many(path: Path, process: int) -> None:
    overflow = Overflow(path)
    for number in range(40):
        overflow.append({"process": process, "number": number})


def test_processes_may_append_while_another_drains(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    context = multiprocessing.get_context("spawn")
    processes = [context.Process(target=append_many, args=(path, index)) for index in range(3)]
    for process in processes:
        process.start()
    overflow, rows = Overflow(path), []
    while any(process.is_alive() for process in processes):
        overflow.drain(rows.extend)
        processes[0].join(0.01)
    for process in processes:
        process.join()
        assert process.exitcode == 0
    overflow.drain(rows.extend)
    found = sorted((row["process"], row["number"]) for row in rows)
    assert found == [(index, number) for index in range(3) for number in range(40)]
