"""FocalClick's predictor: what it answers, remembers and refuses."""

from __future__ import annotations

from dataclasses import fields, replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from models.focalclick_memory import Layer, Memory
from models.focalclick_options import FAITHFUL
from models.focalclick_predictor import FocalClickSegmenter
from models.prompts import Click, Prompt, Scribble
from models.resampling import resized
from models.segmenter import Query, Result, replay
from models.state import MAX_STATE_BYTES, State
from models.zoom import Roi, whole
from tests.models.focalclick_networks import VERSION, focus_crops, in_picture, tiny_segmenter
from tests.models.ritm_networks import picture

IMAGE = picture(5)
HEIGHT, WIDTH = IMAGE.shape[:2]
CLICKS = tuple(
    Click(x, y, positive)
    for x, y, positive in (
        (64, 48, True),
        (90, 30, True),
        (20, 80, False),
        (50, 60, True),
        (110, 20, False),
        (70, 70, True),
    )
)


@pytest.fixture(scope="module")
def segmenter() -> FocalClickSegmenter:
    return tiny_segmenter(seed=1)


@pytest.fixture(scope="module")
def faithful() -> FocalClickSegmenter:
    ways = {field.name: getattr(FAITHFUL, field.name) for field in fields(FAITHFUL)}
    return tiny_segmenter(seed=1, **{**ways, "infer_size": 64})


def answers(segmenter: FocalClickSegmenter, prompt: Prompt) -> list[Result]:
    return replay(segmenter, segmenter.prepare(IMAGE), prompt)


def square(top: int, bottom: int, left: int, right: int) -> npt.NDArray[np.bool_]:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[top:bottom, left:right] = True
    return mask


def test_answers_depend_on_picture_and_clicks(segmenter: FocalClickSegmenter) -> None:
    results = answers(segmenter, Prompt(CLICKS))
    assert sum(0.01 < result.mask.mean() < 0.99 for result in results) >= 4
    masks = {result.mask.tobytes() for result in results}
    assert len(masks) == len(results)
    other = segmenter.segment(segmenter.prepare(picture(6)), Prompt(CLICKS[:1]))
    assert not np.array_equal(other.mask, results[0].mask)


def test_answer_is_a_function_of_what_is_given(segmenter: FocalClickSegmenter) -> None:
    prepared = segmenter.prepare(IMAGE)
    first = segmenter.segment(prepared, Prompt(CLICKS[:1]))
    assert first.state is not None
    carried = State.from_bytes(first.state.to_bytes())
    again = [
        segmenter.segment(prepared, Prompt(CLICKS[:2]), state) for state in (first.state, carried)
    ]
    assert np.array_equal(again[0].values, again[1].values)
    replayed = answers(segmenter, Prompt(CLICKS[:2]))[-1]
    assert np.array_equal(replayed.values, again[0].values)


def test_state_of_another_picture_or_version_is_none(segmenter: FocalClickSegmenter) -> None:
    prepared = segmenter.prepare(IMAGE)
    state = answers(segmenter, Prompt(CLICKS[:1]))[-1].state
    assert state is not None
    without = segmenter.segment(prepared, Prompt(CLICKS[:2]))
    for other in (replace(state, picture="x"), replace(state, version="y")):
        result = segmenter.segment(prepared, Prompt(CLICKS[:2]), other)
        assert np.array_equal(result.values, without.values)


def test_batch_answers_as_one_by_one(segmenter: FocalClickSegmenter) -> None:
    pictures = [segmenter.prepare(picture(seed, 60 + seed, 80)) for seed in range(6)]
    queries = [
        Query(one, Prompt(tuple(Click(20 + 5 * i, 30, True) for i in range(1 + index % 3))))
        for index, one in enumerate(pictures)
    ]
    queries.insert(2, Query(pictures[0], Prompt((Click(1, 1, positive=False),))))
    keys = {segmenter.batch_key(query) for query in queries}
    assert keys == {(64, 64), None}
    together = segmenter.segment_batch(queries)
    for query, result in zip(queries, together, strict=True):
        alone = segmenter.segment_batch([query])[0]
        assert result.region == alone.region
        np.testing.assert_allclose(result.values, alone.values, rtol=0, atol=1e-3)


def test_nothing_positive_is_an_empty_answer(segmenter: FocalClickSegmenter) -> None:
    for prompt in (
        Prompt((Click(5, 5, positive=False),)),
        Prompt((Click(-50, 500),)),
        Prompt((Click(5, 5, positive=False),), mask=square(0, 0, 0, 0)),
    ):
        result = segmenter.segment(segmenter.prepare(IMAGE), prompt)
        assert not result.mask.any() and result.state is None


def test_empty_initial_mask_is_none(segmenter: FocalClickSegmenter) -> None:
    empty = answers(segmenter, Prompt(CLICKS[:2], mask=square(0, 0, 0, 0)))[-1]
    none = answers(segmenter, Prompt(CLICKS[:2]))[-1]
    assert np.array_equal(empty.values, none.values)


def test_box_confines_the_mask(segmenter: FocalClickSegmenter) -> None:
    result = segmenter.segment(segmenter.prepare(IMAGE), Prompt(box=(40, 30, 80, 70)))
    assert result.mask.any()
    rows, columns = np.nonzero(result.mask)
    assert rows.min() >= 26 and rows.max() <= 74
    assert columns.min() >= 36 and columns.max() <= 84


def test_scribble_is_clicks_along_it(segmenter: FocalClickSegmenter) -> None:
    prepared = segmenter.prepare(IMAGE)
    stroke = Scribble(((30, 40), (60, 40)), positive=True)
    drawn = segmenter.segment(prepared, Prompt(scribbles=(stroke,)))
    clicked = segmenter.segment(prepared, Prompt((Click(45, 40),)))
    assert np.array_equal(drawn.values, clicked.values)


def test_initial_mask_is_right_until_somebody_clicks(segmenter: FocalClickSegmenter) -> None:
    mask = square(30, 60, 40, 90)
    result = segmenter.segment(segmenter.prepare(IMAGE), Prompt(mask=mask))
    assert np.array_equal(result.mask, mask)
    assert result.state is not None
    assert len(result.state.to_bytes()) < 1000


def test_initial_mask_grows_or_shrinks_under_each_click(
    segmenter: FocalClickSegmenter,
) -> None:
    changes = 0
    for seed in (4, 5, 6):
        before = square(30, 60, 40, 90)
        prepared = segmenter.prepare(picture(seed))
        results = replay(segmenter, prepared, Prompt(CLICKS, mask=before))
        for click, result in zip(CLICKS, results[1:], strict=True):
            changed = result.mask ^ before
            assert changed[click.pixel] or not changed.any()
            assert not (changed & before).any() or not (changed & ~before).any()
            changes += bool(changed.any())
            before = result.mask
    assert changes >= 3


def test_initial_mask_can_be_a_mere_start(segmenter: FocalClickSegmenter) -> None:
    prompt = Prompt(CLICKS[:1], mask=square(30, 60, 40, 90))
    free = tiny_segmenter(seed=1, progressive_merge=False)
    merged, unmerged = (answers(one, prompt)[-1] for one in (segmenter, free))
    assert unmerged.state is not None
    assert Memory.recalled(unmerged.state).merged is None
    assert not np.array_equal(merged.mask, unmerged.mask)


def test_merged_probabilities_agree_with_the_merged_mask(segmenter: FocalClickSegmenter) -> None:
    result = answers(segmenter, Prompt(CLICKS[:1], mask=square(30, 60, 40, 90)))[-1]
    assert np.array_equal(result.probability > 0.5, result.mask)
    assert result.state is not None
    remembered = Memory.recalled(result.state)
    assert remembered.merged is not None
    assert np.array_equal(remembered.merged, result.mask)


@pytest.mark.parametrize("ways", ["served", "original"])
def test_later_clicks_change_the_focus_crop_alone(
    ways: str, segmenter: FocalClickSegmenter, faithful: FocalClickSegmenter
) -> None:
    chosen = segmenter if ways == "served" else faithful
    late = tiny_segmenter(seed=1, **{**_ways(chosen), "whole_answers": 2})
    smaller = 0
    for seed in (4, 5, 6, 7, 8):
        with focus_crops() as crops:
            results = replay(late, late.prepare(picture(seed)), Prompt(CLICKS))
        for crop, (earlier, later) in zip(crops[2:], pairwise(results[1:]), strict=True):
            assert later.state is not None
            target = Memory.recalled(later.state).roi or whole(later.size)
            focus = in_picture(crop, target, 64)
            changed = np.abs(later.probability - earlier.probability) > 2e-3
            inside = np.s_[focus.top : focus.bottom + 1, focus.left : focus.right + 1]
            assert changed[inside].any()
            changed[inside] = False
            assert not changed.any()
            smaller += focus != whole(later.size)
    assert smaller


def _ways(segmenter: FocalClickSegmenter) -> dict[str, Any]:
    options = segmenter.options
    return {field.name: getattr(options, field.name) for field in fields(options)}


def test_served_answers_are_near_the_originals(
    segmenter: FocalClickSegmenter, faithful: FocalClickSegmenter
) -> None:
    served, original = (answers(one, Prompt(CLICKS[:3])) for one in (segmenter, faithful))
    first = np.abs(served[0].probability - original[0].probability)
    assert first.max() < 1e-3
    for one, other in zip(served, original, strict=True):
        union = np.count_nonzero(one.mask | other.mask)
        assert np.count_nonzero(one.mask & other.mask) / union > 0.95


def test_lost_object_is_looked_for_everywhere() -> None:
    outdated = Roi(20, 50, 30, 90)
    low = Layer(whole((HEIGHT, WIDTH)), torch.full((HEIGHT, WIDTH), 0.1))
    results = []
    for ways in ({}, {"keep_stale_roi": True}):
        segmenter = tiny_segmenter(seed=1, **ways)
        # The refiner leaves everything as it is.
        segmenter._network.refiner.refine_trimap.bias.fill_(-1e4)
        prepared = segmenter.prepare(IMAGE)
        lost = Memory((low,), None, outdated).state(VERSION, prepared.picture)
        results.append(segmenter.segment(prepared, Prompt(CLICKS[:2]), lost))
    served, original = results
    assert served.region == (0, 0, WIDTH, HEIGHT)
    assert original.region == (30, 20, 91, 51)
    # Both have seen the whole picture; the original squeezes the answer into the old crop.
    squeezed = resized(torch.from_numpy(served.values)[None, None], outdated.size)[0, 0].numpy()
    assert np.abs(squeezed - original.values).mean() < 0.02


def test_states_stay_small() -> None:
    large = tiny_segmenter(seed=1, infer_size=512, whole_answers=1)
    prepared = large.prepare(picture(5, 240, 320))
    clicks = tuple(Click(20 + 93 * i % 280, 20 + 59 * i % 200, i % 3 != 1) for i in range(6))
    for result in replay(large, prepared, Prompt(clicks)):
        assert result.state is not None
        assert len(result.state.to_bytes()) < MAX_STATE_BYTES


@pytest.mark.parametrize("size", [(1, 1), (2, 200), (300, 3), (9, 7)])
def test_pictures_of_any_shape(segmenter: FocalClickSegmenter, size: tuple[int, int]) -> None:
    prepared = segmenter.prepare(picture(1, *size))
    clicks = (Click(0, 0), Click(size[1] - 1, size[0] - 1), Click(size[1] / 2, 0, positive=False))
    for prompt in (Prompt(clicks), Prompt(clicks, mask=np.ones(size, np.bool_))):
        for result in replay(segmenter, prepared, prompt):
            assert result.probability.shape == size
            assert np.isfinite(result.values).all()


def test_wrong_input_is_refused(segmenter: FocalClickSegmenter) -> None:
    with pytest.raises(ValueError, match=r"a picture is uint8 \[H, W, 3\]"):
        segmenter.prepare(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="the initial mask is"):
        segmenter.segment(
            segmenter.prepare(IMAGE), Prompt(CLICKS[:1], mask=np.ones((3, 3), np.bool_))
        )


def test_given_network_stays_as_it_is(segmenter: FocalClickSegmenter) -> None:
    assert segmenter.version == VERSION
    assert not any(one.requires_grad for one in segmenter._network.parameters())
    with torch.inference_mode():
        assert segmenter.prepare(IMAGE).nbytes > IMAGE.nbytes
