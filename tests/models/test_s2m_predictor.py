"""The segmenter: what it is told, what it keeps, and that answers do not depend on chance."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

from models.prompts import Click, Prompt, Scribble
from models.s2m_predictor import S2mPrepared, S2mSegmenter, Seen, alone
from models.scene import confinement, scene_of
from models.segmenter import Prepared, Query, Region, Result, replay
from models.state import State
from tests.models.ritm_networks import picture
from tests.models.s2m_networks import VERSION, segmenter

STROKE = Scribble(((20.0, 30.0), (60.0, 40.0)))
AGAINST = Scribble(((100.0, 80.0), (110.0, 20.0)), positive=False)
ELSEWHERE = Scribble(((90.0, 70.0), (120.0, 60.0)))
FIRST = Prompt(scribbles=(STROKE,))
SECOND = Prompt(scribbles=(ELSEWHERE,))


@pytest.fixture(scope="module")
def usual() -> S2mSegmenter:
    return segmenter(picture_side=None)


@pytest.fixture(scope="module")
def prepared(usual: S2mSegmenter) -> S2mPrepared:
    return usual.prepare(picture(height=88, width=128))


def allowed(prompt: Prompt) -> Region:
    """Where a box lets the mask be: what other systems do as well."""
    limits = confinement(scene_of(prompt, (88, 128)), 0.1)
    assert limits is not None
    return limits.left, limits.top, limits.right + 1, limits.bottom + 1


def mask_of(prepared: Prepared) -> npt.NDArray[np.bool_]:
    mask = np.zeros(prepared.size, np.bool_)
    mask[20:60, 30:80] = True
    return mask


def test_an_answer_is_the_shared_probability_of_the_logits(
    usual: S2mSegmenter, prepared: S2mPrepared
) -> None:
    strokes = np.zeros((2, 88, 128), np.uint8)
    cv2.circle(strokes[0], (20, 30), 3, 1, -1)
    cv2.line(strokes[0], (20, 30), (60, 40), 1, thickness=3)
    (logits,) = usual.logits([Seen(prepared, strokes, None)])
    assert logits.shape == (96, 128)
    answer = usual.segment(prepared, FIRST)
    assert np.array_equal(answer.probability, alone(logits)[4:92].numpy())
    assert answer.region == (0, 0, 128, 88)
    assert 0.05 < answer.mask.mean() < 0.95


def test_strokes_and_their_signs_count(usual: S2mSegmenter, prepared: S2mPrepared) -> None:
    first = usual.segment(prepared, FIRST).probability
    both = usual.segment(prepared, Prompt(scribbles=(STROKE, AGAINST))).probability
    other = usual.segment(prepared, SECOND).probability
    assert np.abs(first - both).max() > 0.1
    assert np.abs(first - other).max() > 0.1


def test_an_initial_mask_is_the_previous_mask(usual: S2mSegmenter, prepared: S2mPrepared) -> None:
    mask = mask_of(prepared)
    given = usual.segment(prepared, Prompt(mask=mask))
    assert np.array_equal(given.mask, mask)
    corrected = usual.segment(prepared, Prompt(scribbles=(STROKE,), mask=mask))
    assert np.abs(corrected.probability - usual.segment(prepared, FIRST).probability).max() > 0.05
    negative = usual.segment(prepared, Prompt(scribbles=(AGAINST,), mask=mask))
    assert negative.probability.any()
    seen = usual.previous_of(prepared, mask.astype(np.float32))
    assert seen.shape == (96, 128)
    assert np.array_equal(seen[4:92], mask.astype(np.float32))
    assert not seen[:4].any() and not seen[92:].any()


def test_a_mask_of_another_size_is_refused(usual: S2mSegmenter, prepared: S2mPrepared) -> None:
    with pytest.raises(ValueError, match="initial mask"):
        usual.segment(prepared, Prompt(mask=np.ones((5, 5), np.bool_)))


def test_an_empty_mask_is_none(usual: S2mSegmenter, prepared: S2mPrepared) -> None:
    empty = np.zeros(prepared.size, np.bool_)
    assert not usual.segment(prepared, Prompt(mask=empty)).mask.any()
    told = usual.segment(prepared, Prompt(scribbles=(STROKE,), mask=empty))
    assert np.array_equal(told.probability, usual.segment(prepared, FIRST).probability)


def test_negative_strokes_alone_find_nothing(usual: S2mSegmenter, prepared: S2mPrepared) -> None:
    answer = usual.segment(prepared, Prompt(scribbles=(AGAINST,)))
    assert not answer.probability.any()
    assert answer.state is None


def test_a_box_confines_the_mask(usual: S2mSegmenter, prepared: S2mPrepared) -> None:
    prompt = Prompt(box=(30.0, 20.0, 70.0, 60.0))
    answer = usual.segment(prepared, prompt)
    assert answer.region == allowed(prompt)
    left, top, right, bottom = answer.region
    assert 22 <= left < 30
    assert 70 < right <= 78
    assert 12 <= top < 20
    assert 60 < bottom <= 68
    free = usual.segment(prepared, Prompt((Click(50.0, 40.0),)))
    assert np.array_equal(answer.values, free.probability[top:bottom, left:right])
    assert free.probability.sum() > answer.probability.sum()


def test_answers_of_a_batch_are_those_of_single_questions(
    usual: S2mSegmenter, prepared: S2mPrepared
) -> None:
    other = usual.prepare(picture(1, height=90, width=120))
    queries = [
        Query(prepared, FIRST),
        Query(other, SECOND),
        Query(prepared, Prompt()),
        Query(prepared, Prompt(mask=mask_of(prepared))),
    ]
    assert len({usual.batch_key(query) for query in queries}) == 1
    together = usual.segment_batch(queries)
    for query, answer in zip(queries, together, strict=True):
        single = usual.segment(query.prepared, query.prompt, query.state)
        assert np.abs(answer.probability - single.probability).max() < 1e-4
    assert usual.batch_key(queries[0]) != usual.batch_key(
        Query(usual.prepare(picture(height=60, width=60)), FIRST)
    )


def test_a_large_picture_is_seen_smaller() -> None:
    small = segmenter(picture_side=64)
    prepared = small.prepare(picture(height=96, width=128))
    assert prepared.shown == (48, 64)
    assert prepared.nbytes == 48 * 64 * 3
    answer = small.segment(prepared, FIRST)
    assert answer.probability.shape == (96, 128)
    assert small.prepare(picture(height=30, width=40)).shown == (30, 40)


def test_colours_can_be_swapped(usual: S2mSegmenter, prepared: S2mPrepared) -> None:
    image = picture(height=88, width=128)
    swapped = segmenter(picture_side=None, bgr=True)
    told = swapped.segment(swapped.prepare(image[..., ::-1]), FIRST)
    assert np.array_equal(told.probability, usual.segment(prepared, FIRST).probability)
    wrong = swapped.segment(swapped.prepare(image), FIRST)
    assert np.abs(wrong.probability - told.probability).max() > 0.01


def test_without_feedback_an_answer_depends_on_the_prompt_alone(
    usual: S2mSegmenter, prepared: S2mPrepared
) -> None:
    prompt = Prompt((Click(30.0, 40.0), Click(100.0, 20.0, positive=False)))
    walked = replay(usual, prepared, prompt)[-1]
    at_once = usual.segment(prepared, prompt)
    assert np.array_equal(walked.probability, at_once.probability)
    assert walked.state is not None
    assert len(walked.state.to_bytes()) < 1000


@pytest.mark.parametrize("soft", [False, True])
def test_with_feedback_the_answer_is_the_next_previous_mask(
    prepared: S2mPrepared, soft: bool
) -> None:
    feeding = segmenter(picture_side=None, feedback=True, soft_previous=soft)
    one, two = Click(30.0, 40.0), Click(100.0, 20.0, positive=False)
    first = feeding.segment(prepared, Prompt((one,)))
    assert first.state is not None
    state = State.from_bytes(first.state.to_bytes())
    second = feeding.segment(prepared, Prompt((one, two)), state)
    same = feeding.segment(prepared, Prompt((one, two), mask=first.mask))
    alone_ = feeding.segment(prepared, Prompt((one, two)))
    assert np.abs(second.probability - alone_.probability).max() > 0.01
    # A hard previous mask says the same as that mask given from outside.
    assert np.array_equal(second.probability, same.probability) is not soft
    foreign = State(VERSION, "another picture", state.arrays) if state else None
    missed = feeding.segment(prepared, Prompt((one, two)), foreign)
    assert np.array_equal(missed.probability, alone_.probability)


def test_a_hard_state_takes_a_bit_a_pixel(prepared: S2mPrepared) -> None:
    feeding = segmenter(picture_side=None, feedback=True)
    state = feeding.segment(prepared, FIRST).state
    assert state is not None
    assert state.arrays["previous"].nbytes == 96 * 128 // 8


def covered(results: list[Result]) -> npt.NDArray[np.int64]:
    return np.sum([result.mask for result in results], axis=0)


@pytest.mark.parametrize("hard", [True, False])
def test_no_pixel_belongs_to_two_objects(prepared: S2mPrepared, hard: bool) -> None:
    sharing = segmenter(picture_side=None, hard_aggregation=hard)
    results = sharing.segment_many(prepared, [FIRST, SECOND, Prompt()])
    assert covered(results).max() == 1
    assert results[0].mask.any() and results[1].mask.any()
    assert not results[2].mask.any()
    total = np.sum([result.probability for result in results], axis=0)
    assert total.max() <= 1 + 1e-5
    first = results[0].probability
    decided = bool(np.isclose(first, first.round(), atol=1e-3).mean() > 0.95)
    assert decided == hard


def test_strokes_for_one_object_are_strokes_against_the_others(
    usual: S2mSegmenter, prepared: S2mPrepared
) -> None:
    soft = segmenter(picture_side=None, hard_aggregation=False)
    crossing = Scribble(ELSEWHERE.points, positive=False)
    both = [
        Prompt(scribbles=(STROKE, crossing)),
        Prompt(scribbles=(ELSEWHERE, Scribble(STROKE.points, positive=False))),
    ]
    told = soft.segment_many(prepared, [FIRST, SECOND])
    said = soft.segment_many(prepared, both)
    for one, other in zip(told, said, strict=True):
        assert np.array_equal(one.probability, other.probability)


def test_one_object_of_many_is_a_single_one(usual: S2mSegmenter, prepared: S2mPrepared) -> None:
    (many,) = usual.segment_many(prepared, [FIRST])
    assert np.array_equal(many.probability, usual.segment(prepared, FIRST).probability)
    assert usual.segment_many(prepared, []) == []


def test_given_masks_are_corrected_by_strokes_of_others(
    usual: S2mSegmenter, prepared: S2mPrepared
) -> None:
    mask = mask_of(prepared)
    untouched = usual.segment_many(prepared, [Prompt(mask=mask), Prompt()])
    assert np.array_equal(untouched[0].mask, mask)
    results = usual.segment_many(prepared, [Prompt(mask=mask), FIRST])
    assert covered(results).max() == 1
    assert not np.array_equal(results[0].mask, mask)


def test_boxes_confine_each_of_several_objects(usual: S2mSegmenter, prepared: S2mPrepared) -> None:
    boxes = [(10.0, 10.0, 50.0, 50.0), (70.0, 40.0, 120.0, 80.0)]
    prompts = [Prompt(box=box) for box in boxes]
    results = usual.segment_many(prepared, prompts)
    assert [result.region for result in results] == [allowed(prompt) for prompt in prompts]
    assert all(result.mask.any() for result in results)


@pytest.mark.parametrize("shape", [(4, 4), (4, 4, 4), (0, 4, 3)])
def test_what_is_no_picture_is_refused(usual: S2mSegmenter, shape: tuple[int, ...]) -> None:
    with pytest.raises(ValueError, match="a picture is uint8"):
        usual.prepare(np.zeros(shape, np.uint8))


def test_a_tiny_picture_is_answered(usual: S2mSegmenter) -> None:
    prepared = usual.prepare(np.full((1, 1, 3), 90, np.uint8))
    answer = usual.segment(prepared, Prompt((Click(0.5, 0.5),)))
    assert answer.probability.shape == (1, 1)
    assert np.isfinite(answer.probability).all()


def test_a_gradient_is_never_kept(usual: S2mSegmenter, prepared: S2mPrepared) -> None:
    (logits,) = usual.logits([Seen(prepared, np.ones((2, 88, 128), np.uint8), None)])
    assert not logits.requires_grad
    assert logits.dtype == torch.float32
    assert usual.logits([]) == []
