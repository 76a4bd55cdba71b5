"""The RITM segmenter: a pure function of picture, prompt and state."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from models.prompts import Click, Prompt, Scribble
from models.ritm import segmenter as ritm_segmenter
from models.ritm_predictor import RitmSegmenter
from models.segmenter import Prepared, Query, Result, replay
from models.state import MAX_STATE_BYTES, State
from tests.models.ritm_networks import TINY, VERSION, calibrated, picture, tiny_segmenter

CLICKS = (
    Click(64, 48),
    Click(20, 20, False),
    Click(80, 60),
    Click(110, 80, False),
    Click(30, 70),
)
PROMPT = Prompt(CLICKS)


@pytest.fixture(scope="module")
def segmenter() -> RitmSegmenter:
    return tiny_segmenter()


@pytest.fixture(scope="module")
def prepared(segmenter: RitmSegmenter) -> Prepared:
    return segmenter.prepare(picture(5))


def walk(
    segmenter: RitmSegmenter, prepared: Prepared, prompt: Prompt, *, through_bytes: bool = False
) -> list[Result]:
    """Every step of a prompt, each from the state of the one before."""
    results: list[Result] = []
    state: State | None = None
    for count in range(0 if prompt.has_base else 1, len(prompt.clicks) + 1):
        result = segmenter.segment(prepared, prompt.first(count), state)
        state = result.state
        if through_bytes and state is not None:
            state = State.from_bytes(state.to_bytes())
        results.append(result)
    return results


def same(a: Sequence[Result], b: Sequence[Result]) -> bool:
    """Equal bit for bit, states included."""
    return len(a) == len(b) and all(
        x.region == y.region
        and np.array_equal(x.values, y.values)
        and contents(x.state) == contents(y.state)
        for x, y in zip(a, b, strict=True)
    )


def contents(state: State | None) -> object:
    if state is None:
        return None
    arrays = {name: (a.dtype, a.shape, a.tobytes()) for name, a in state.arrays.items()}
    return state.version, state.picture, dict(state.values), arrays


def test_the_same_question_has_the_same_answer(
    segmenter: RitmSegmenter, prepared: Prepared
) -> None:
    first = walk(segmenter, prepared, PROMPT)
    assert same(first, walk(segmenter, prepared, PROMPT))
    assert any(result.mask.any() for result in first)
    assert any(result.region != (0, 0, 128, 96) for result in first)


def test_objects_that_take_turns_do_not_see_each_other(segmenter: RitmSegmenter) -> None:
    pictures = [segmenter.prepare(picture(5)), segmenter.prepare(picture(6, 80, 100))]
    alone = [walk(segmenter, one, PROMPT) for one in pictures]
    together: list[list[Result]] = [[], []]
    for count in range(1, len(CLICKS) + 1):
        for index, one in enumerate(pictures):
            state = together[index][-1].state if together[index] else None
            together[index].append(segmenter.segment(one, PROMPT.first(count), state))
    assert same(alone[0], together[0])
    assert same(alone[1], together[1])


@pytest.mark.parametrize(
    "prompt",
    [
        PROMPT,
        replace(PROMPT, box=(40, 30, 100, 80)),
        replace(PROMPT, scribbles=(Scribble(((30.0, 30.0), (90.0, 60.0))),)),
        replace(PROMPT, mask=np.indices((96, 128)).sum(0) < 90),
    ],
    ids=["clicks", "box", "scribble", "mask"],
)
def test_remembered_is_replayed_bit_for_bit(
    segmenter: RitmSegmenter, prepared: Prepared, prompt: Prompt
) -> None:
    remembered = walk(segmenter, prepared, prompt, through_bytes=True)
    assert same(remembered, replay(segmenter, prepared, prompt))
    halfway = replay(segmenter, prepared, prompt, remembered[2].state, answered=3)
    assert same(remembered[3:], halfway)


def test_state_of_another_model_or_picture_is_a_miss(
    segmenter: RitmSegmenter, prepared: Prepared
) -> None:
    states = [result.state for result in walk(segmenter, prepared, PROMPT)]
    state = states[2]
    assert state is not None
    fresh = segmenter.segment(prepared, PROMPT, None)
    assert not same([fresh], [segmenter.segment(prepared, PROMPT, state)])
    for foreign in (replace(state, version="other@w:0"), replace(state, picture="other")):
        assert same([fresh], [segmenter.segment(prepared, PROMPT, foreign)])


def test_batch_answers_as_each_alone() -> None:
    segmenter = tiny_segmenter()
    pictures = [segmenter.prepare(picture(seed)) for seed in range(4)]
    prompts = [Prompt((Click(30 + 20 * i, 50), *CLICKS[1 : 1 + i])) for i in range(4)]
    queries = [Query(*pair) for pair in zip(pictures, prompts, strict=True)]
    assert len({segmenter.batch_key(query) for query in queries}) == 1
    together = segmenter.segment_batch(queries)
    for query, result in zip(queries, together, strict=True):
        alone = segmenter.segment(query.prepared, query.prompt)
        assert result.region == alone.region
        np.testing.assert_allclose(result.values, alone.values, rtol=0, atol=1e-4)


def test_batch_key_is_the_size_that_the_network_sees(
    segmenter: RitmSegmenter, prepared: Prepared
) -> None:
    results = walk(segmenter, prepared, PROMPT)
    zoomed = Query(prepared, PROMPT.first(2), results[0].state)
    whole_picture = Query(prepared, PROMPT.first(1))
    assert segmenter.batch_key(whole_picture) == (96, 128)
    assert segmenter.batch_key(zoomed) != segmenter.batch_key(whole_picture)
    assert segmenter.batch_key(Query(prepared, Prompt())) is None


def test_questions_that_need_no_network_may_be_among_others(
    segmenter: RitmSegmenter, prepared: Prepared
) -> None:
    one = PROMPT.first(1)
    results = segmenter.segment_batch([Query(prepared, Prompt()), Query(prepared, one)])
    assert results[0].region == (0, 0, 0, 0)
    assert same([results[1]], [segmenter.segment(prepared, one)])


def test_outdated_region_is_recovered_from() -> None:
    segmenter = tiny_segmenter(zoom_threshold=0.95)
    prepared = segmenter.prepare(picture(5))
    last = segmenter.segment(prepared, PROMPT.first(2)).state
    assert last is not None
    values = {**last.values, "roi": [10, 50, 20, 70], "bounds": None}
    stale = replace(last, values=values)
    result = segmenter.segment(prepared, PROMPT.first(3), stale)
    assert result.region == (0, 0, 128, 96)
    assert result.state is not None
    assert result.state.values["roi"] is None
    faithful = tiny_segmenter(zoom_threshold=0.95, keep_stale_roi=True)
    kept = faithful.segment(prepared, PROMPT.first(3), stale)
    assert kept.region == (20, 10, 71, 51)


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(),
        Prompt((Click(20, 20, False),)),
        Prompt((Click(500, 20), Click(-1, 5), Click(20, 96), Click(128, 20))),
        Prompt((Click(500, 20), Click(20, 20, False))),
        Prompt(box=(200, 200, 300, 300)),
        Prompt(scribbles=(Scribble(()),)),
        Prompt(scribbles=(Scribble(((5.0, 5.0), (40.0, 40.0)), positive=False),)),
        Prompt(mask=np.zeros((96, 128), np.bool_)),
    ],
)
def test_prompt_without_an_object_has_an_empty_answer(
    segmenter: RitmSegmenter, prepared: Prepared, prompt: Prompt
) -> None:
    result = segmenter.segment(prepared, prompt)
    assert not result.mask.any()
    assert result.state is None


def test_clicks_outside_the_picture_change_nothing(
    segmenter: RitmSegmenter, prepared: Prepared
) -> None:
    inside = Prompt(CLICKS[:2])
    outside = Prompt((Click(-3, 20), *CLICKS[:2], Click(50, 96, False), Click(1e9, -1e9)))
    assert same([segmenter.segment(prepared, inside)], [segmenter.segment(prepared, outside)])


def test_fractional_click_means_its_pixel(segmenter: RitmSegmenter, prepared: Prepared) -> None:
    whole = segmenter.segment(prepared, Prompt((Click(64, 48),)))
    within = segmenter.segment(prepared, Prompt((Click(64.9, 48.2),)))
    assert same([whole], [within])


def test_box_confines_the_mask(segmenter: RitmSegmenter, prepared: Prepared) -> None:
    box = (40.0, 30.0, 100.0, 80.0)
    result = segmenter.segment(prepared, Prompt(box=box))
    assert result.region == (34, 24, 107, 85)
    assert result.values.shape == (61, 73)
    beyond = segmenter.segment(prepared, Prompt((Click(120, 50),), box=box), result.state)
    assert beyond.region[2] > 120
    reaching_out = segmenter.segment(prepared, Prompt(box=(-50, -50, 60, 60)))
    assert reaching_out.region[:2] == (0, 0)


def test_initial_mask_is_the_answer_until_somebody_clicks(
    segmenter: RitmSegmenter, prepared: Prepared
) -> None:
    mask = np.zeros((96, 128), np.bool_)
    mask[30:60, 40:90] = True
    given = segmenter.segment(prepared, Prompt(mask=mask))
    assert np.array_equal(given.mask, mask)
    prompt = Prompt((Click(60, 45),), mask=mask)
    clicked = segmenter.segment(prepared, prompt, given.state)
    assert clicked.region == (30, 24, 101, 67)
    assert same([clicked], [segmenter.segment(prepared, prompt)])
    only_negative = Prompt((Click(85, 55, False),), mask=mask)
    assert segmenter.segment(prepared, only_negative, given.state).region == (30, 24, 101, 67)


def test_initial_mask_matters_to_the_network(segmenter: RitmSegmenter, prepared: Prepared) -> None:
    mask = np.zeros((96, 128), np.bool_)
    mask[30:60, 40:90] = True
    lower = mask.copy()
    lower[50:58, 45:80] = False
    answers = [segmenter.segment(prepared, Prompt((Click(60, 45),), mask=m)) for m in (mask, lower)]
    assert answers[0].region == answers[1].region
    assert not np.array_equal(answers[0].values, answers[1].values)


def test_initial_mask_of_another_size_is_refused(
    segmenter: RitmSegmenter, prepared: Prepared
) -> None:
    with pytest.raises(ValueError, match="initial mask"):
        segmenter.segment(prepared, Prompt(mask=np.ones((128, 96), np.bool_)))


def test_mask_on_every_click_is_shown_in_place_of_the_previous_one() -> None:
    segmenter = tiny_segmenter(mask_every_click=True, skip_clicks=-1)
    prepared = segmenter.prepare(picture(5))
    mask = np.zeros((96, 128), np.bool_)
    mask[30:60, 40:90] = True
    prompt = Prompt((Click(60, 45),), mask=mask)
    once = segmenter.segment(prepared, prompt)
    assert once.region == (0, 0, 128, 96)
    assert once.state is not None
    blank = replace(once.state, arrays={"previous": np.zeros_like(once.state.arrays["previous"])})
    more = replace(prompt, clicks=(*prompt.clicks, Click(80, 50)))
    assert same(
        [segmenter.segment(prepared, more, once.state)], [segmenter.segment(prepared, more, blank)]
    )


def test_one_shot_forgets(prepared: Prepared) -> None:
    segmenter = tiny_segmenter(one_shot=True)
    results = walk(segmenter, prepared, PROMPT)
    assert all(result.region == (0, 0, 128, 96) for result in results)
    assert same([results[-1]], [segmenter.segment(prepared, PROMPT)])


def test_scribble_is_clicked_along(segmenter: RitmSegmenter, prepared: Prepared) -> None:
    scribble = Scribble(((40.0, 40.0), (60.0, 50.0)))
    drawn = segmenter.segment(prepared, Prompt(scribbles=(scribble,)))
    clicked = segmenter.segment(prepared, Prompt((Click(50, 45),)))
    assert same([drawn], [clicked])


def test_prepared_picture_is_its_own(segmenter: RitmSegmenter) -> None:
    image = picture(5)
    prepared = segmenter.prepare(image)
    before = segmenter.segment(prepared, PROMPT)
    image[:] = 0
    assert same([before], [segmenter.segment(prepared, PROMPT)])


def test_large_picture_stays_small_in_memory_and_state() -> None:
    segmenter = tiny_segmenter()
    image = picture(5, 1200, 1600)
    prepared = segmenter.prepare(image)
    assert prepared.nbytes == image.nbytes + 600 * 800 * 3 * 4
    click = Prompt((Click(800, 600),))
    assert segmenter.batch_key(Query(prepared, click)) == (600, 800)
    result = segmenter.segment(prepared, click)
    assert result.values.shape == (1200, 1600)
    assert result.state is not None
    assert len(result.state.to_bytes()) < MAX_STATE_BYTES / 4


def test_state_stays_small_whatever_the_network_sees() -> None:
    segmenter = tiny_segmenter(first_click_side=None)
    result = segmenter.segment(segmenter.prepare(picture(5, 60, 3000)), Prompt((Click(70, 30),)))
    assert result.state is not None
    assert result.state.arrays["previous"].shape == (20, 1024)


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (1, 700), (900, 2)])
def test_pictures_of_extreme_shape(segmenter: RitmSegmenter, size: tuple[int, int]) -> None:
    prepared = segmenter.prepare(picture(5, *size))
    middle = Click(size[1] // 2, size[0] // 2)
    results = walk(segmenter, prepared, Prompt((middle, middle, middle)))
    assert results[-1].probability.shape == size
    assert np.isfinite(results[-1].values).all()


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((4, 4, 3), np.float32),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_other_arrays_are_no_pictures(segmenter: RitmSegmenter, image: npt.NDArray[Any]) -> None:
    with pytest.raises(ValueError, match="uint8"):
        segmenter.prepare(image)


def test_known_picture_id_is_taken_over(segmenter: RitmSegmenter) -> None:
    assert segmenter.prepare(picture(5), "known").picture == "known"
    assert len(segmenter.prepare(picture(5)).picture) == 64


def test_network_without_previous_mask_remembers_only_places(prepared: Prepared) -> None:
    segmenter = tiny_segmenter(replace(TINY, with_prev_mask=False))
    results = walk(segmenter, prepared, PROMPT, through_bytes=True)
    assert all(result.state is not None and not result.state.arrays for result in results)
    assert same(results, replay(segmenter, prepared, PROMPT))


def test_flip_averages_the_logits_of_both_directions() -> None:
    both, plain = tiny_segmenter(), tiny_segmenter(flip=False)
    image = picture(5)
    there = plain.segment(plain.prepare(image), Prompt((Click(64, 48),))).probability
    back = plain.segment(
        plain.prepare(np.ascontiguousarray(image[:, ::-1])), Prompt((Click(63, 48),))
    ).probability[:, ::-1]
    logits = [torch.from_numpy(p.astype(np.float64)).logit() for p in (there, back)]
    wanted = ((logits[0] + logits[1]) / 2).sigmoid().numpy()
    result = both.segment(both.prepare(image), Prompt((Click(64, 48),)))
    # Where a probability is nearly 0 or 1 its float32 no longer tells the logit.
    told = np.maximum(np.abs(there - 0.5), np.abs(back - 0.5)) < 0.49
    assert told.sum() > 100
    np.testing.assert_allclose(result.probability[told], wanted[told], rtol=0, atol=1e-4)


def test_fast_arithmetic_stays_within_a_ten_thousandth(prepared: Prepared) -> None:
    exact = tiny_segmenter(fast_arithmetic=False)
    fast = tiny_segmenter()
    for prompt in (PROMPT.first(1), replace(PROMPT.first(2), box=(40, 30, 100, 80))):
        a, b = exact.segment(prepared, prompt), fast.segment(prepared, prompt)
        assert a.region == b.region
        np.testing.assert_allclose(a.values, b.values, rtol=0, atol=1e-4)


def test_threshold_and_settings_follow_the_options(prepared: Prepared) -> None:
    segmenter = tiny_segmenter(threshold=0.3)
    result = segmenter.segment(prepared, PROMPT.first(1))
    assert result.threshold == 0.3
    assert np.array_equal(result.mask, result.probability > 0.3)
    assert segmenter.settings != tiny_segmenter().settings
    assert "threshold=0.3" in segmenter.settings


def test_network_given_stays_whole() -> None:
    network = calibrated()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    segmenter = RitmSegmenter(network, VERSION)
    segmenter.segment(segmenter.prepare(picture(5)), PROMPT)
    assert all(torch.equal(before[name], tensor) for name, tensor in network.state_dict().items())
    assert all(parameter.requires_grad for parameter in network.parameters())


def test_segmenter_by_name_has_random_weights_and_says_so() -> None:
    segmenter = ritm_segmenter("ritm-hrnet18s", zoom_target=128)
    assert segmenter.version == "ritm-hrnet18s@random:000000000000"
    assert segmenter.options.zoom_target == 128
    with pytest.raises(TypeError, match="colour"):
        ritm_segmenter("ritm-hrnet18s", colour=3)


def test_states_of_successive_clicks_differ(segmenter: RitmSegmenter, prepared: Prepared) -> None:
    states = [result.state for result in walk(segmenter, prepared, PROMPT)]
    assert all(contents(a) != contents(b) for a, b in pairwise(states))
