from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from backend.errors import InvalidImage, InvalidRequest
from backend.evaluation.datasets import DataSet, Labels, Sample
from backend.evaluation.metrics import iou
from backend.evaluation.run import Protocol, bounding_box, evaluate
from backend.evaluation.summary import summarise
from backend.masks import Mask
from models.prompts import Prompt
from models.segmenter import Image, replay
from tests.backend.evaluation.synthetic import RegionGrower, picture


def dataset(*pairs: tuple[Image, Labels]) -> DataSet:
    samples = tuple(
        Sample(f"o{index}", f"p{index}", lambda image=image: image, lambda labels=labels: labels)
        for index, (image, labels) in enumerate(pairs)
    )
    return DataSet("set", "packed", Path(), samples)


def ticks(seconds: Sequence[float]) -> list[float]:
    """Readings of a clock between which these seconds pass in turn."""
    return [0.0, *itertools.accumulate(seconds)]


def test_clicks_find_both_parts_of_an_object() -> None:
    result = evaluate(RegionGrower(), dataset(picture()), Protocol(clicks=4))
    (record,) = result.records
    assert [click.positive for click in record.prompt.clicks[:2]] == [True, True]
    assert record.answers[0] < 0.75
    assert record.answers[1] > 0.95
    assert record.answers[-1] == iou(picture()[1], record.mask.full)
    assert (result.version, result.settings) == (RegionGrower.version, RegionGrower.settings)


def test_every_click_continues_from_the_state_before() -> None:
    segmenter = RegionGrower()
    evaluate(segmenter, dataset(picture()), Protocol(clicks=5))
    assert (segmenter.prepared, segmenter.continued) == (1, 4)


def test_answers_are_those_of_replaying_the_clicks() -> None:
    image, labels = picture(hidden=True)
    for protocol in (Protocol(clicks=5), Protocol(clicks=5, box=True)):
        (record,) = evaluate(RegionGrower(), dataset((image, labels)), protocol).records
        segmenter = RegionGrower()
        replayed = replay(segmenter, segmenter.prepare(image), record.prompt)
        assert [iou(labels, result.mask) for result in replayed] == list(record.answers)


def test_all_clicks_are_made_unless_told_to_stop() -> None:
    (record,) = evaluate(RegionGrower(), dataset(picture()), Protocol(clicks=6)).records
    assert len(record.answers) == len(record.prompt.clicks) == len(record.segment_seconds) == 6


def test_until_stops_at_the_first_good_answer() -> None:
    protocol = Protocol(clicks=6, until=0.9)
    (record,) = evaluate(RegionGrower(), dataset(picture()), protocol).records
    assert len(record.answers) == 2
    assert record.answers[0] < 0.9 <= record.answers[1]


def test_box_comes_before_the_clicks() -> None:
    image, labels = picture()
    protocol = Protocol(clicks=2, box=True)
    (record,) = evaluate(RegionGrower(), dataset((image, labels)), protocol).records
    assert record.prompt.box == bounding_box(labels)
    assert len(record.answers) == 3
    assert record.answers[0] > 0.95


def test_good_box_needs_no_click() -> None:
    protocol = Protocol(clicks=5, box=True, until=0.9)
    (record,) = evaluate(RegionGrower(), dataset(picture()), protocol).records
    assert record.prompt.clicks == ()
    assert len(record.answers) == 1


def with_start(mask: npt.NDArray[np.bool_]) -> DataSet:
    (sample,) = dataset(picture()).samples
    return DataSet("set", "packed", Path(), (replace(sample, starts={"sp": lambda: mask}),))


def test_a_given_mask_is_corrected() -> None:
    labels = picture()[1]
    faulty = (labels > 0) & (np.arange(64) < 32)
    result = evaluate(RegionGrower(), with_start(faulty), Protocol(clicks=4, start="sp"))
    (record,) = result.records
    assert record.prompt.mask is not None
    assert record.answers[0] == iou(labels, faulty)
    assert len(record.answers) == 5
    assert record.answers[1] > 0.95
    summary = summarise(result)
    assert summary.box_iou == record.answers[0]
    assert summary.noc[90] == 1
    assert len(summary.miou) == 4


def test_a_good_mask_is_clicked_once_all_the_same() -> None:
    protocol = Protocol(clicks=4, start="sp", until=0.5)
    result = evaluate(RegionGrower(), with_start(picture()[1] > 0), protocol)
    assert len(result.records[0].prompt.clicks) == 1
    assert summarise(result).noc[90] == 1


def test_a_set_without_such_masks_is_refused() -> None:
    with pytest.raises(InvalidRequest, match="no masks called 'stm' to start from; there are sp"):
        evaluate(RegionGrower(), with_start(picture()[1] > 0), Protocol(start="stm"))
    with pytest.raises(InvalidRequest, match="there are none"):
        evaluate(RegionGrower(), dataset(picture()), Protocol(start="sp"))


def test_bounding_box_is_tight_half_open_and_without_ignored_pixels() -> None:
    labels = np.zeros((10, 12), np.int8)
    labels[2:9, 1:11] = -1
    labels[3:6, 4:9] = 1
    assert bounding_box(labels) == (4.0, 3.0, 9.0, 6.0)


def test_objects_of_one_picture_share_its_preparation() -> None:
    image, labels = picture()
    samples = tuple(
        Sample(key, "one", lambda: image, lambda part=part: (labels > 0) & part)
        for key, part in (
            ("disk", np.arange(64) < 36),
            ("bar", np.arange(64) >= 36),
        )
    )
    segmenter = RegionGrower()
    result = evaluate(segmenter, DataSet("set", "packed", Path(), samples), Protocol(clicks=1))
    assert segmenter.prepared == 1
    assert [record.prepare_seconds is None for record in result.records] == [False, True]
    assert [record.answers[0] > 0.9 for record in result.records] == [True, True]


def test_seconds_are_those_of_the_segmenter() -> None:
    passing = [5.0, 9.0, 0.25, 9.0, 0.5]
    clock = iter(ticks(passing))
    protocol = Protocol(clicks=2)
    (record,) = evaluate(
        RegionGrower(), dataset(picture()), protocol, clock=lambda: next(clock)
    ).records
    assert record.prepare_seconds == 5.0
    assert record.segment_seconds == (0.25, 0.5)


def test_finished_masks_are_measured_and_shown_to_the_annotator() -> None:
    image, labels = picture()

    def only_left_half(mask: Mask, prompt: Prompt) -> Mask:
        return Mask.of(mask.full & (np.arange(64) < 32))

    (record,) = evaluate(
        RegionGrower(), dataset((image, labels)), Protocol(clicks=3), finish=only_left_half
    ).records
    assert all(answer < 0.8 for answer in record.answers)
    assert [click.x >= 32 for click in record.prompt.clicks] == [False, True, True]
    assert not record.mask.full[:, 32:].any()


def test_ground_truth_without_an_object_is_skipped_and_named() -> None:
    image, labels = picture()
    calls = []
    result = evaluate(
        RegionGrower(),
        dataset((image, labels * 0), (image, labels)),
        Protocol(clicks=1),
        progress=lambda: calls.append(1),
    )
    assert result.skipped == ("o0",)
    assert [record.sample.key for record in result.records] == ["o1"]
    assert len(calls) == 2


def test_set_of_empty_ground_truths_is_refused() -> None:
    image, labels = picture()
    with pytest.raises(InvalidRequest, match="no ground truth of the set holds an object"):
        evaluate(RegionGrower(), dataset((image, labels * 0)))


def test_mask_of_another_size_is_refused() -> None:
    image, labels = picture()
    with pytest.raises(InvalidImage, match=r"p0 is \(48, 64\) .* \(47, 64\)"):
        evaluate(RegionGrower(), dataset((image, labels[1:])))


def test_random_clicks_follow_seed_and_key() -> None:
    def clicked(seed: int) -> list[Prompt]:
        protocol = Protocol(clicks=3, random_clicks=True, seed=seed)
        sets = dataset(picture(hidden=True), picture(hidden=True))
        return [record.prompt for record in evaluate(RegionGrower(), sets, protocol).records]

    first, second = clicked(1)
    assert first != second
    assert [first, second] == clicked(1)
    assert [first, second] != clicked(2)


def test_random_clicker_leaves_a_perfect_mask_alone() -> None:
    image = np.zeros((16, 16, 3), np.uint8)
    image[4:12, 4:12] = 200
    labels = (image[..., 0] > 0).astype(np.int8)
    image[4, 4] = image[4, 11] = image[11, 4] = image[11, 11] = 0
    labels[image[..., 0] == 0] = 0
    protocol = Protocol(clicks=5, random_clicks=True)
    (record,) = evaluate(RegionGrower(), dataset((image, labels)), protocol).records
    assert record.answers == (1.0,)
