"""The rules that hold for every segmenter: steps, replay, no pixel in two objects."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from models.prompts import Click, Prompt
from models.segmenter import Result, picture_id, replay, steps, without_overlap
from models.state import State
from tests.backend.conftest import scene
from tests.backend.growing import Growing

CLICKS = (Click(1, 1, positive=False), Click(20, 16), Click(50, 34))


def result(region: tuple[int, int, int, int], value: float) -> Result:
    left, top, right, bottom = region
    return Result((10, 20), region, np.full((bottom - top, right - left), value, np.float32))


def noise(height: int, width: int) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (height, width, 3), dtype=np.uint8)


def test_a_result_is_zero_outside_its_region() -> None:
    part = result((3, 2, 8, 6), 0.75)
    assert part.probability.shape == part.mask.shape == (10, 20)
    assert part.probability.dtype == np.float32
    assert part.mask.sum() == 20 == np.count_nonzero(part.probability)
    assert part.mask[2:6, 3:8].all()
    assert not Result.empty((10, 20)).mask.any()


def test_the_threshold_is_exceeded_and_not_met() -> None:
    assert not result((0, 0, 4, 4), 0.5).mask.any()


def test_a_contested_pixel_goes_to_the_surer_object_and_the_earlier_one_on_a_tie() -> None:
    low, high = result((0, 0, 10, 10), 0.6), result((5, 0, 15, 10), 0.9)
    first, second = without_overlap([low, high])
    assert not (first.mask & second.mask).any()
    assert first.mask[:, :5].all()
    assert not first.mask[:, 5:].any()
    assert np.array_equal(second.mask, high.mask)
    tied = result((0, 0, 10, 10), 0.9)
    first, second = without_overlap([high, tied])
    assert np.array_equal(first.mask, high.mask)
    assert second.mask[:, :5].all()
    assert not second.mask[:, 5:].any()


def test_several_objects_of_one_picture_share_no_pixel() -> None:
    segmenter = Growing()
    prepared = segmenter.prepare(scene())
    prompts = [Prompt((Click(20, 16),)), Prompt((Click(20, 16), Click(50, 34)))]
    alone = [segmenter.segment(prepared, prompt).mask for prompt in prompts]
    assert (alone[0] & alone[1]).any(), "the objects compete for pixels"
    together = [found.mask for found in segmenter.segment_many(prepared, prompts)]
    assert not (together[0] & together[1]).any()
    assert np.array_equal(together[0] | together[1], alone[0] | alone[1])


def test_steps_are_the_base_and_then_one_click_each() -> None:
    assert [step.clicks for step in steps(Prompt(CLICKS))] == [CLICKS[:n] for n in (1, 2, 3)]
    boxed = Prompt(CLICKS[:2], box=(0, 0, 9, 9))
    assert [step.clicks for step in steps(boxed)] == [(), CLICKS[:1], CLICKS[:2]]
    assert all(step.box == (0, 0, 9, 9) for step in steps(boxed))
    assert steps(Prompt()) == []


def test_replaying_goes_on_from_any_step_to_the_same_answer() -> None:
    segmenter = Growing()
    prepared = segmenter.prepare(scene())
    whole = replay(segmenter, prepared, Prompt(CLICKS))
    assert len(whole) == 3
    assert not whole[0].mask.any(), "only where it is not"
    assert whole[0].state is None
    for answered in (1, 2):
        state: State | None = whole[answered - 1].state
        rest = replay(segmenter, prepared, Prompt(CLICKS), state, answered)
        assert len(rest) == 3 - answered
        assert np.array_equal(rest[-1].probability, whole[-1].probability)


def test_a_picture_is_known_by_its_pixels_and_its_shape() -> None:
    image = noise(6, 4)
    assert picture_id(image) == picture_id(np.asfortranarray(image))
    assert picture_id(image) != picture_id(image.reshape(4, 6, 3))
    assert len(picture_id(image)) == 64
