from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

from backend.evaluation import plot, report, sheet
from backend.evaluation.datasets import DataSet, Sample
from backend.evaluation.run import Evaluation, ObjectRecord, Protocol, evaluate
from backend.evaluation.summary import summarise
from backend.masks import Mask
from models.prompts import Click, Prompt
from tests.backend.evaluation.synthetic import RegionGrower, picture


def record(
    key: str, *answers: float, prepare: float | None = 1.0, box: bool = False
) -> ObjectRecord:
    image, labels = picture()
    clicks = tuple(Click(16 + n, 24, True) for n in range(len(answers) - box))
    return ObjectRecord(
        Sample(key, key, lambda: image, lambda: labels),
        Prompt(clicks, box=(0.0, 0.0, 9.0, 9.0) if box else None),
        answers,
        Mask.of(labels > 0),
        prepare,
        (0.5,) * len(answers),
    )


def evaluation(protocol: Protocol, *records: ObjectRecord) -> Evaluation:
    samples = tuple(record.sample for record in records)
    dataset = DataSet("set", "packed", Path(), samples)
    return Evaluation(dataset, protocol, "net@weights:0123", "size=64", records, ("blank",))


@pytest.fixture
def three() -> Evaluation:
    return evaluation(
        Protocol(clicks=4),
        record("good", 0.95, 0.96, 0.97, 0.98),
        record("late", 0.10, 0.81, 0.86, 0.91, prepare=None),
        record("never", 0.10, 0.20, 0.30, 0.40, prepare=2.0),
    )


def test_summary_by_hand(three: Evaluation) -> None:
    summary = summarise(three)
    assert summary.noc == {80: (1 + 2 + 4) / 3, 85: (1 + 3 + 4) / 3, 90: (1 + 4 + 4) / 3}
    assert summary.nof == {85: 1, 90: 2}
    assert summary.unreached == {85: 1, 90: 1}
    assert summary.miou == pytest.approx((1.15 / 3, 1.97 / 3, 2.13 / 3, 2.29 / 3))
    assert (summary.objects, summary.skipped, summary.box_iou) == (3, ("blank",), None)


def test_seconds_by_hand(three: Evaluation) -> None:
    timing = summarise(three).timing
    assert timing.per_click == (1.0 + 2.0 + 12 * 0.5) / 12
    assert timing.per_answer == 0.5
    assert timing.per_picture == 1.5


def test_box_is_click_zero() -> None:
    records = (record("a", 0.92, 0.95, box=True), record("b", 0.5, 0.7, box=True))
    summary = summarise(evaluation(Protocol(clicks=2, box=True), *records))
    assert summary.box_iou == pytest.approx(0.71)
    assert summary.miou == pytest.approx((0.825, 0.825))
    assert summary.noc[90] == (0 + 2) / 2


def test_json_has_one_entry_a_set_with_the_promised_keys(three: Evaluation, tmp_path: Path) -> None:
    document = report.as_json({"set": summarise(three)}, model="net", machine={"cores": 2})
    report.write_json(tmp_path / "new" / "result.json", document)
    entry = json.loads((tmp_path / "new" / "result.json").read_text())["set"]
    assert entry["noc@90"] == 3.0
    assert entry["nof@85"] == 1
    assert len(entry["miou"]) == entry["clicks"] == 4
    assert (entry["objects"], entry["skipped"]) == (3, ["blank"])
    assert (entry["version"], entry["settings"]) == ("net@weights:0123", "size=64")
    assert (entry["model"], entry["machine"]) == ("net", {"cores": 2})
    assert entry["seconds_per_click"] == 0.75


def test_tables_show_every_set_and_fit_a_terminal(three: Evaluation) -> None:
    summary = summarise(three)
    console = Console(width=80, file=io.StringIO())
    console.print(report.tables({"voc2012val_2007part": summary, "cells": summary}))
    rows = [line.split() for line in console.file.getvalue().splitlines()]
    heads = ["set", "objects", "NoC@80", "NoC@85", "NoC@90", "NoF@85", "NoF@90", "s/click"]
    assert heads in rows
    assert ["cells", "3", "2.33", "2.67", "3.00", "1", "2", "0.750"] in rows
    assert ["voc2012val_2007part", "0.383", "0.657", "0.710", "0.763"] in rows


def test_tables_show_the_box(three: Evaluation) -> None:
    boxed = evaluation(Protocol(clicks=4, box=True), record("a", 0.5, 0.75, box=True))
    console = Console(width=80, file=io.StringIO())
    console.print(report.tables({"boxed": summarise(boxed), "plain": summarise(three)}))
    rows = [line.split() for line in console.file.getvalue().splitlines()]
    assert ["boxed", "0.500", "0.750", "0.750", "0.750", "0.750"] in rows
    assert ["plain", "0.383", "0.657", "0.710", "0.763"] in rows


def test_objects_are_listed_with_every_iou(three: Evaluation, tmp_path: Path) -> None:
    report.write_objects(tmp_path / "objects.csv", three)
    rows = list(csv.reader((tmp_path / "objects.csv").open()))
    assert rows[0] == ["object", "click 1", "click 2", "click 3", "click 4"]
    assert rows[2] == ["late", "0.1000", "0.8100", "0.8600", "0.9100"]


def test_plot_is_a_picture_with_a_colour_for_each_set(three: Evaluation, tmp_path: Path) -> None:
    low = replace(three, records=three.records[2:])
    path = tmp_path / "iou.png"
    plot.write_plot(path, {"all": summarise(three), "low": summarise(low)}, "title")
    image = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB)
    for colour in plot.COLOURS[:2]:
        wanted = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
        assert np.count_nonzero((image == wanted).all(axis=2)) > 500


def test_worst_objects_come_first(three: Evaluation) -> None:
    assert [r.sample.key for r in sheet.worst(three, most=2)] == ["never", "late"]


@pytest.mark.parametrize("count", [1, 5])
def test_sheet_shows_outline_mask_and_clicks(tmp_path: Path, count: int) -> None:
    image, labels = picture((96, 128), hidden=True)
    samples = tuple(
        Sample(f"object {number}", "p", lambda: image, lambda: labels) for number in range(count)
    )
    dataset = DataSet("set", "packed", Path(), samples)
    path = tmp_path / "worst.png"
    sheet.write_sheet(path, evaluate(RegionGrower(), dataset, Protocol(clicks=4)), "worst")
    pixels = cv2.imread(str(path), cv2.IMREAD_COLOR_RGB).astype(int)
    for colour in (sheet.TRUTH, sheet.POSITIVE, sheet.NEGATIVE):
        wanted = [int(colour[start : start + 2], 16) for start in (1, 3, 5)]
        assert np.count_nonzero(np.abs(pixels - wanted).max(axis=2) < 12) > 30 * count
