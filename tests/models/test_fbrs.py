"""Segmenters that refine: pure functions of picture, prompt and state."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from models import fbrs, ritm_refinement
from models.brs_loss import click_loss, click_masks
from models.brs_options import BrsMode
from models.prompts import Click, Prompt
from models.ritm_predictor import LONGEST_MAP_SIDE, RitmSegmenter
from models.segmenter import Query, Result, replay
from models.state import MAX_STATE_BYTES, State
from tests.models.fbrs_networks import tiny_segmenter
from tests.models.ritm_networks import picture
from tests.models.ritm_networks import tiny_segmenter as tiny_ritm
from tests.models.test_ritm_predictor import PROMPT, contents, same, walk

MODES: tuple[BrsMode, ...] = ("RGB-BRS", "DistMap-BRS", "f-BRS-A", "f-BRS-B", "f-BRS-C")
ON_RITM = ("DistMap-BRS", "f-BRS-B")
PIXELS = ("RGB-BRS", "DistMap-BRS")
FAITHFUL: dict[str, Any] = {
    "fast_arithmetic": False,
    "full_size_state": True,
    "keep_stale_roi": True,
    "brs_wrapping_squares": True,
    "brs_keep_features": True,
}


def segmenters(mode: BrsMode, **options: Any) -> list[RitmSegmenter]:
    options = {"brs_mode": mode, "brs_iou_change": 0.0, **options}
    on_ritm = [tiny_ritm(brs_max_evaluations=3, **options)] if mode in ON_RITM else []
    return [tiny_segmenter(**options), *on_ritm]


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("options", [{}, FAITHFUL], ids=["served", "faithful"])
def test_remembered_is_replayed_bit_for_bit(mode: BrsMode, options: dict[str, Any]) -> None:
    prompt = PROMPT.first(4)
    for segmenter in segmenters(mode, net_clicks_limit=2, **options):
        prepared = segmenter.prepare(picture(5))
        remembered = walk(segmenter, prepared, prompt, through_bytes=True)
        assert same(remembered, replay(segmenter, prepared, prompt))
        assert not any(result.aborted for result in remembered)


@pytest.mark.parametrize("mode", MODES)
def test_refining_brings_the_answer_nearer_to_the_clicks(mode: BrsMode) -> None:
    """Without mirror image and zoom the answer's own loss is the one that is minimised."""
    more: dict[str, Any] = {"brs_max_evaluations": 20, "zoom_in": False, "flip": False}
    marks = [[(*click.pixel, click.positive) for click in PROMPT.clicks]]
    losses = []
    for chosen in (mode, "NoBRS"):
        segmenter = tiny_segmenter(brs_mode=chosen, brs_iou_change=0.0, **more)
        result = segmenter.segment(segmenter.prepare(picture(5)), PROMPT)
        logits = torch.from_numpy(result.probability)[None, None].logit(eps=1e-6)
        losses.append(float(click_loss(logits, click_masks(marks, result.size)).loss))
    assert losses[0] < losses[1]


def test_first_click_is_not_refined() -> None:
    refined, plain = tiny_segmenter(), tiny_segmenter(brs_mode="NoBRS")
    prepared = refined.prepare(picture(5))
    one = refined.segment(prepared, PROMPT.first(1))
    assert np.array_equal(one.values, plain.segment(prepared, PROMPT.first(1)).values)
    assert one.state is not None
    assert "x" not in one.state.arrays


@pytest.mark.parametrize("mode", MODES)
def test_state_holds_where_the_search_ended(mode: BrsMode) -> None:
    segmenter = tiny_segmenter(brs_mode=mode, brs_iou_change=0.0)
    states = [r.state for r in walk(segmenter, segmenter.prepare(picture(5)), PROMPT)]
    last = states[-1]
    assert last is not None
    assert last.arrays["x"].dtype == (np.float16 if mode in PIXELS else np.float64)
    assert len(last.to_bytes()) < MAX_STATE_BYTES


@pytest.mark.parametrize("mode", MODES)
def test_search_goes_on_from_the_state(mode: BrsMode) -> None:
    segmenter = tiny_segmenter(brs_mode=mode, brs_iou_change=0.0, zoom_in=False)
    prepared = segmenter.prepare(picture(5))
    state = walk(segmenter, prepared, PROMPT.first(3))[-1].state
    assert state is not None
    kept = segmenter.segment(prepared, PROMPT, state)
    begun = segmenter.segment(prepared, PROMPT, replace(state, arrays={}))
    assert not np.array_equal(kept.values, begun.values)


def test_correction_of_pixels_is_dropped_with_its_crop() -> None:
    segmenter = tiny_segmenter(brs_mode="RGB-BRS", brs_iou_change=0.0)
    prepared = segmenter.prepare(picture(5))
    state = walk(segmenter, prepared, PROMPT.first(3))[-1].state
    assert state is not None
    moved = {**state.values, "roi": [0, 30, 0, 30]}
    answers = [
        segmenter.segment(prepared, PROMPT, replace(state, values=moved, arrays=arrays))
        for arrays in (state.arrays, {})
    ]
    assert same([answers[0]], [answers[1]])


@pytest.mark.parametrize("mode", PIXELS)
def test_large_correction_is_not_remembered(monkeypatch: pytest.MonkeyPatch, mode: BrsMode) -> None:
    monkeypatch.setattr(ritm_refinement, "MOST_PIXEL_BYTES", 5 * 96 * 128)
    segmenter = tiny_segmenter(brs_mode=mode, brs_max_evaluations=1, zoom_in=False)
    state = segmenter.segment(segmenter.prepare(picture(5)), PROMPT).state
    assert state is not None
    assert ("x" in state.arrays) == (mode == "DistMap-BRS")


def test_largest_state_is_within_the_limit() -> None:
    pixels = np.zeros(ritm_refinement.MOST_PIXEL_BYTES // 2, np.float16)
    shown = np.zeros((LONGEST_MAP_SIDE, LONGEST_MAP_SIDE), np.float16)
    assert State("a", "b", {"x": pixels, "previous": shown}).to_bytes()


def test_state_of_other_options_does_no_harm() -> None:
    prepared = tiny_segmenter().prepare(picture(5))
    for before, after in (("RGB-BRS", "f-BRS-C"), ("f-BRS-B", "DistMap-BRS"), MODES[-2:]):
        options: dict[str, Any] = {"brs_mode": before, "brs_iou_change": 0.0}
        state = walk(tiny_segmenter(**options), prepared, PROMPT.first(3))[-1].state
        for mode in (before, after):
            result = tiny_segmenter(brs_mode=mode).segment(prepared, PROMPT, state)
            assert np.isfinite(result.values).all()


def test_later_clicks_act_through_the_correction_alone() -> None:
    segmenter = tiny_segmenter(net_clicks_limit=2, brs_iou_change=0.0, zoom_in=False)
    plain = tiny_segmenter(net_clicks_limit=2, brs_mode="NoBRS", zoom_in=False)
    prepared = segmenter.prepare(picture(5))
    blind = [r.values for r in walk(plain, prepared, PROMPT)]
    assert np.array_equal(blind[1], blind[4])
    results = walk(segmenter, prepared, PROMPT)
    assert not np.array_equal(results[1].values, results[4].values)


def test_kept_features_are_those_of_the_last_click_seen() -> None:
    options: dict[str, Any] = {"net_clicks_limit": 2, "zoom_in": False, "brs_iou_change": 0.0}
    kept, anew = (
        tiny_ritm(brs_mode="f-BRS-B", brs_keep_features=keep, **options) for keep in (True, False)
    )
    prepared = kept.prepare(picture(5))
    ours, others = walk(kept, prepared, PROMPT), walk(anew, prepared, PROMPT)
    assert all(np.array_equal(ours[i].values, others[i].values) for i in range(2))
    # The previous mask, which this network sees, is another one by now.
    assert not np.array_equal(ours[2].values, others[2].values)
    states = [result.state for result in ours]
    bases = [state.arrays["basis"] for state in states[1:] if state is not None]
    assert all(np.array_equal(bases[0], basis) for basis in bases[1:])


def test_deadline_aborts_and_the_answer_says_so_from_then_on() -> None:
    segmenter = tiny_segmenter(brs_deadline_ms=0, brs_iou_change=0.0)
    prepared = segmenter.prepare(picture(5))
    results = walk(segmenter, prepared, PROMPT, through_bytes=True)
    first = next(index for index, result in enumerate(results) if result.aborted)
    assert first >= 1
    assert all(result.aborted for result in results[first:])
    assert all(np.isfinite(result.values).all() for result in results)


def test_gradients_are_there_whatever_the_caller_has_turned_off() -> None:
    segmenter = tiny_segmenter(brs_iou_change=0.0)
    prepared = segmenter.prepare(picture(5))
    wanted = walk(segmenter, prepared, PROMPT)
    with torch.inference_mode():
        assert same(wanted, walk(segmenter, segmenter.prepare(picture(5)), PROMPT))
    with torch.no_grad():
        assert same(wanted, walk(segmenter, prepared, PROMPT))


def test_refined_questions_stand_alone_and_may_be_among_others() -> None:
    segmenter = tiny_segmenter()
    prepared = segmenter.prepare(picture(5))
    first, second = Query(prepared, PROMPT.first(1)), Query(prepared, PROMPT.first(2))
    assert segmenter.batch_key(first) == (96, 128)
    assert segmenter.batch_key(second) is None
    together = segmenter.segment_batch([second, first, Query(prepared, Prompt()), second])
    alone = [segmenter.segment(q.prepared, q.prompt) for q in (second, first)]
    assert same([together[0], together[1], together[3]], [*alone, alone[0]])
    assert together[2].region == (0, 0, 0, 0)


def test_several_objects_share_no_pixel() -> None:
    segmenter = tiny_segmenter()
    prepared = segmenter.prepare(picture(5))
    prompts = [PROMPT.first(3), Prompt((Click(100, 20), Click(64, 48, False)))]
    a, b = segmenter.segment_many(prepared, prompts)
    assert not np.any(a.mask & b.mask)


def test_box_and_initial_mask_are_refined_too() -> None:
    segmenter = tiny_segmenter()
    prepared = segmenter.prepare(picture(5))
    mask = np.zeros((96, 128), np.bool_)
    mask[30:60, 40:90] = True
    for prompt in (replace(PROMPT, box=(40, 30, 100, 80)), replace(PROMPT, mask=mask)):
        remembered = walk(segmenter, prepared, prompt, through_bytes=True)
        assert same(remembered, replay(segmenter, prepared, prompt))


def test_zoom_begins_with_an_object_alone() -> None:
    """The predictor of f-BRS knows no zoom in on a whole picture."""
    segmenter = tiny_segmenter(skip_clicks=-1)
    first = segmenter.segment(segmenter.prepare(picture(5)), PROMPT.first(1))
    assert first.state is not None
    assert first.state.values["roi"] is None


def test_network_given_stays_whole_and_states_differ() -> None:
    segmenter = tiny_segmenter()
    results: list[Result] = walk(segmenter, segmenter.prepare(picture(5)), PROMPT)
    assert len({str(contents(result.state)) for result in results}) == len(results)


def test_segmenter_by_name_has_random_weights_and_says_so() -> None:
    segmenter = fbrs.segmenter("fbrs-hrnet18", zoom_target=128)
    assert segmenter.version == "fbrs-hrnet18@random:000000000000"
    assert segmenter.options.brs_mode == "f-BRS-B"
    assert "brs_mode=f-BRS-B" in segmenter.settings
    with pytest.raises(TypeError, match="colour"):
        fbrs.segmenter("fbrs-hrnet18", colour=3)
    with pytest.raises(KeyError):
        fbrs.network("fbrs-hrnet48")
