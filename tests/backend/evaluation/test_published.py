"""Our numbers beside the published ones."""

from __future__ import annotations

import io
from dataclasses import replace

import pytest
from rich.console import Console

from backend.errors import InvalidRequest
from backend.evaluation.published import SETS, check, compare, numbers, published_set, table
from backend.evaluation.run import Protocol
from backend.evaluation.summary import Summary, Timing
from models import zoo


def summary(version: str, settings: str = "flip=True", objects: int = 50) -> Summary:
    return Summary(
        objects=objects,
        noc={80: 1.5, 85: 2.0, 90: 3.0},
        nof={85: 0, 90: 1},
        unreached={85: 0, 90: 1},
        miou=(0.9,) * 20,
        box_iou=None,
        timing=Timing(0.1, 0.1, 0.1),
        skipped=(),
        protocol=Protocol(),
        version=version,
        settings=settings,
    )


def printed(version: str, *, faithful: bool = True, **sets: Summary) -> str:
    text = io.StringIO()
    Console(file=text, width=80).print(table(compare(sets), faithful=faithful))
    return text.getvalue()


RITM = "ritm-hrnet18s@coco-lvis:0123456789ab"


def test_every_number_of_a_set_and_its_difference() -> None:
    first, second = compare({"GrabCut": summary(RITM), "birds": summary(RITM)})
    assert (first.name, first.metric, first.ours, first.published.value) == (
        "GrabCut",
        "noc@85",
        2.0,
        1.54,
    )
    assert first.difference == pytest.approx(0.46)
    assert (second.metric, second.difference) == ("noc@90", pytest.approx(3.0 - 1.68))
    assert (first.objects, first.whole) == (50, 50)


def test_refinement_is_compared_with_its_own_mode() -> None:
    version = "fbrs-resnet50@sbd:0123456789ab"
    values = {}
    for mode in ("f-BRS-B", "RGB-BRS", "f-BRS-C"):
        rows = compare({"berkeley": summary(version, f"brs_mode={mode} flip=True")})
        values[mode] = [row.published.value for row in rows]
    assert values == {"f-BRS-B": [2.17, 4.22], "RGB-BRS": [2.17, 4.27], "f-BRS-C": []}


def test_starts_from_given_masks_are_compared_with_their_own_kind() -> None:
    version = "focalclick-segformerb0-s2@coco-lvis:0123456789ab"
    rows = compare({"davis585": summary(version)})
    assert [row.published.value for row in rows] == [5.01, 7.22]
    corrected = replace(summary(version), protocol=Protocol(start="sp"))
    rows = compare({"davis585": corrected, "davis": corrected})
    assert [row.published.value for row in rows] == [2.21, 3.08]


def test_weights_of_ones_own_have_no_published_numbers() -> None:
    assert numbers("ritm-hrnet18s@mine:0123456789ab", "") == ()
    assert "nothing was published" in printed(RITM, birds=summary(RITM))


@pytest.mark.parametrize(
    ("name", "known"),
    [
        ("GrabCut", "grabcut"),
        ("/data/Berkeley/", "berkeley"),
        ("davis345", "davis"),
        ("DAVIS", "davis"),
        ("DAVIS-585", "davis585"),
        ("PascalVOC", "voc"),
        ("voc2012val_2007part", "voc"),
        ("COCO_MVal", "coco_mval"),
        ("SBD", "sbd"),
        ("davis_video", None),
        ("birds", None),
    ],
)
def test_folders_are_known_by_name(name: str, known: str | None) -> None:
    assert published_set(name) == known


def test_every_published_set_can_be_compared() -> None:
    files = [file for entry in zoo.SEGMENTERS.values() for file in entry.weights]
    assert {number.dataset for file in files for number in file.published} <= SETS.keys()


def test_the_table_says_what_keeps_it_from_being_a_comparison() -> None:
    whole = printed(RITM, grabcut=summary(RITM))
    assert "50 of 50" in whole
    assert "+0.46" in whole
    assert "not all objects" not in whole
    part = printed(RITM, faithful=False, grabcut=summary(RITM, objects=19))
    assert "not all objects" in part
    assert "--faithful takes the paper's" in part
    simple = "simpleclick-vit-b@coco-lvis:0123456789ab"
    assert "ClickAttention's README" in printed(simple, grabcut=summary(simple))


def test_another_protocol_is_refused() -> None:
    check(Protocol(until=0.9))
    for wrong in (Protocol(clicks=5), Protocol(box=True), Protocol(random_clicks=True)):
        with pytest.raises(InvalidRequest, match="published protocol"):
            check(wrong)
    with pytest.raises(InvalidRequest, match=r"--until is 0\.85"):
        check(Protocol(until=0.85))
