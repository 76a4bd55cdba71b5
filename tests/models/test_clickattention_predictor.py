"""ClickAttention's predictor: what it shows the network, answers, remembers and refuses."""

from __future__ import annotations

from dataclasses import fields

import numpy as np
import numpy.typing as npt
import pytest
import torch

from models.clickattention_options import FAITHFUL, LONGEST_INPUT
from models.clickattention_predictor import ClickAttentionSegmenter
from models.focalclick_crops import connected
from models.focalclick_memory import Memory
from models.prompts import Click, Prompt, Scribble
from models.segmenter import Query, Result, replay
from models.state import MAX_STATE_BYTES, State
from models.zoom import around, clamped, expanded, whole
from tests.models.clickattention_networks import VERSION, calibrated, passes, small_segmenter
from tests.models.ritm_networks import picture

IMAGE = picture(5)
HEIGHT, WIDTH = IMAGE.shape[:2]
WHOLE = whole((HEIGHT, WIDTH))
CLICKS = tuple(
    Click(x, y, positive)
    for x, y, positive in (
        (64, 48, True),
        (90, 30, True),
        (20, 80, False),
        (50, 60, True),
        (110, 20, False),
    )
)


@pytest.fixture(scope="module")
def segmenter() -> ClickAttentionSegmenter:
    return small_segmenter()


@pytest.fixture(scope="module")
def faithful() -> ClickAttentionSegmenter:
    ways = {field.name: getattr(FAITHFUL, field.name) for field in fields(FAITHFUL)}
    return small_segmenter(**{**ways, "infer_size": 64})


def answers(segmenter: ClickAttentionSegmenter, prompt: Prompt) -> list[Result]:
    return replay(segmenter, segmenter.prepare(IMAGE), prompt)


def square(top: int, bottom: int, left: int, right: int) -> npt.NDArray[np.bool_]:
    mask = np.zeros((HEIGHT, WIDTH), np.bool_)
    mask[top:bottom, left:right] = True
    return mask


def memory(result: Result) -> Memory:
    assert result.state is not None
    return Memory.recalled(result.state)


def test_answers_depend_on_picture_and_clicks(segmenter: ClickAttentionSegmenter) -> None:
    results = answers(segmenter, Prompt(CLICKS))
    assert sum(0.01 < result.mask.mean() < 0.99 for result in results) >= 4
    assert len({result.mask.tobytes() for result in results}) == len(results)
    other = segmenter.segment(segmenter.prepare(picture(6)), Prompt(CLICKS[:1]))
    assert not np.array_equal(other.mask, results[0].mask)


def test_answer_is_a_function_of_what_is_given(segmenter: ClickAttentionSegmenter) -> None:
    prepared = segmenter.prepare(IMAGE)
    first = segmenter.segment(prepared, Prompt(CLICKS[:1]))
    assert first.state is not None
    carried = State.from_bytes(first.state.to_bytes())
    again = [
        segmenter.segment(prepared, Prompt(CLICKS[:2]), state) for state in (first.state, carried)
    ]
    assert np.array_equal(again[0].values, again[1].values)
    assert np.array_equal(answers(segmenter, Prompt(CLICKS[:2]))[-1].values, again[0].values)


def test_first_click_runs_twice_and_sees_its_own_answer(faithful: ClickAttentionSegmenter) -> None:
    prepared = faithful.prepare(IMAGE)
    with passes() as seen:
        first = faithful.segment(prepared, Prompt(CLICKS[:1]))
    assert len(seen) == 2
    assert not seen[0][2].any()
    assert 0 < float(seen[1][2].mean()) < 1
    with passes() as seen:
        faithful.segment(prepared, Prompt(CLICKS[:2]), first.state)
    assert len(seen) == 1
    torch.testing.assert_close(seen[0][2][0, 0], memory(first).seen(WHOLE, (64, 64)))
    # Back at one click, both passes begin from the mask there is.
    with passes() as seen:
        faithful.segment(prepared, Prompt(CLICKS[:1]), first.state)
    assert len(seen) == 2
    assert seen[0][2].any()


def test_one_pass_is_a_choice() -> None:
    with passes() as seen:
        answers(small_segmenter(first_click_passes=1), Prompt(CLICKS[:1]))
    assert len(seen) == 1


def test_picture_and_clicks_are_stretched_to_one_size(segmenter: ClickAttentionSegmenter) -> None:
    with passes() as seen:
        answers(segmenter, Prompt((Click(32, 72), Click(96, 24, positive=False))))
    image, points, _ = seen[-1]
    assert image.shape == (1, 3, 64, 64)
    assert points[0, :, :2].tolist() == [[48, 16], [16, 48]]
    corners = image[0, :, [0, 0, -1, -1], [0, -1, 0, -1]].T * 255
    wanted = torch.from_numpy(IMAGE[[0, 0, -1, -1], [0, -1, 0, -1]]).float()
    torch.testing.assert_close(corners, wanted, atol=1e-3, rtol=0)


def test_clicks_at_the_border_count_unless_the_original_is_wanted(
    segmenter: ClickAttentionSegmenter, faithful: ClickAttentionSegmenter
) -> None:
    prompt = Prompt((CLICKS[0], Click(40, 0), Click(0, 30, positive=False), Click(127, 95)))
    shown = {}
    for one in (segmenter, faithful):
        with passes() as seen:
            answers(one, prompt)
        points = seen[-1][1][0, :, :2]
        shown[one] = int((points.amax(dim=1) >= 0).sum())
    assert shown == {segmenter: 4, faithful: 2}


def test_original_asks_the_network_even_where_all_clicks_are_dropped(
    faithful: ClickAttentionSegmenter,
) -> None:
    with passes() as seen:
        answers(faithful, Prompt((Click(0, 40),)))
    assert len(seen) == 2
    assert bool((seen[0][1] == -1).all())


def test_original_remembers_the_whole_picture(
    segmenter: ClickAttentionSegmenter, faithful: ClickAttentionSegmenter
) -> None:
    for one, dtype, size in (
        (segmenter, torch.float16, (64, 64)),
        (faithful, torch.float32, (HEIGHT, WIDTH)),
    ):
        (layer,) = memory(answers(one, Prompt(CLICKS[:1]))[0]).layers
        assert (layer.values.dtype, tuple(layer.values.shape)) == (dtype, size)


def test_served_answers_are_near_the_original(
    segmenter: ClickAttentionSegmenter, faithful: ClickAttentionSegmenter
) -> None:
    for served, original in zip(
        answers(segmenter, Prompt(CLICKS)), answers(faithful, Prompt(CLICKS)), strict=True
    ):
        assert np.abs(served.probability - original.probability).mean() < 0.02


def test_modes_part_at_the_second_positive_click(segmenter: ClickAttentionSegmenter) -> None:
    released = answers(segmenter, Prompt(CLICKS[:2]))
    paper = answers(small_segmenter(mode="paper"), Prompt(CLICKS[:2]))
    assert np.array_equal(released[0].probability, paper[0].probability)
    assert not np.allclose(released[1].probability, paper[1].probability, atol=0.01)


def test_questions_share_passes_and_get_their_own_answers(
    segmenter: ClickAttentionSegmenter,
) -> None:
    prepared, other = segmenter.prepare(IMAGE), segmenter.prepare(picture(6, 70, 90))
    first = segmenter.segment(prepared, Prompt(CLICKS[:1]))
    queries = [
        Query(prepared, Prompt(CLICKS[:1])),
        Query(prepared, Prompt(CLICKS[:2]), first.state),
        Query(other, Prompt((Click(30, 40),))),
        Query(prepared, Prompt()),
        Query(prepared, Prompt(mask=square(20, 60, 30, 90))),
    ]
    keys = [segmenter.batch_key(query) for query in queries]
    assert keys[0] == keys[1] == keys[2] is not None
    assert keys[3] is keys[4] is None
    with passes() as seen:
        together = segmenter.segment_batch(queries)
    assert [len(images) for images, _, _ in seen] == [3, 2]
    for query, result in zip(queries, together, strict=True):
        alone = segmenter.segment(query.prepared, query.prompt, query.state)
        assert np.abs(alone.probability - result.probability).max(initial=0) < 1e-4


def test_box_is_looked_at_closely_and_confines_the_mask(
    segmenter: ClickAttentionSegmenter,
) -> None:
    close = small_segmenter(min_crop_size=10)
    box = (40.0, 20.0, 80.0, 60.0)
    with passes() as seen:
        (result,) = answers(close, Prompt(box=box))
    assert len(seen) == 2
    (layer,) = memory(result).layers
    assert layer.region == (12, 68, 32, 88)
    points = seen[0][1][0, 0, :2]
    assert points.tolist() == pytest.approx([64 * (40 - 12) / 57, 64 * (60 - 32) / 57])
    rows, columns = np.nonzero(result.mask)
    assert rows.min() >= 16 and rows.max() <= 64
    assert columns.min() >= 36 and columns.max() <= 84
    wide = memory(answers(segmenter, Prompt(box=box))[0]).layers[0]
    assert wide.region == WHOLE


def test_scribble_stands_for_clicks(segmenter: ClickAttentionSegmenter) -> None:
    stroke = Scribble(((20.0, 40.0), (100.0, 40.0)))
    with passes() as seen:
        answers(segmenter, Prompt(scribbles=(stroke,)))
    assert len(seen) == 1
    assert int((seen[0][1][0, :, :2].amax(dim=1) >= 0).sum()) == 3


def test_initial_mask_is_right_until_somebody_clicks(segmenter: ClickAttentionSegmenter) -> None:
    mask = square(20, 60, 30, 90)
    results = answers(segmenter, Prompt(CLICKS[:1], mask=mask))
    assert np.array_equal(results[0].mask, mask)
    assert np.array_equal(results[0].probability, mask.astype(np.float32))


def test_initial_mask_is_shown_to_the_network(faithful: ClickAttentionSegmenter) -> None:
    with passes() as seen:
        answers(faithful, Prompt(CLICKS[:1], mask=square(0, HEIGHT, 0, WIDTH // 2)))
    previous = seen[0][2][0, 0]
    assert bool((previous[:, :31] == 1).all())
    assert bool((previous[:, 33:] == 0).all())


def test_mask_changes_in_one_piece_under_the_click(segmenter: ClickAttentionSegmenter) -> None:
    mask = square(20, 60, 30, 90)
    free = small_segmenter(progressive_merge=False)
    before = mask
    for count in range(1, len(CLICKS) + 1):
        prompt = Prompt(CLICKS[:count], mask=mask)
        merged = answers(segmenter, prompt)[-1]
        network = answers(free, prompt)[-1].mask
        pixel = CLICKS[count - 1].pixel
        changed = network ^ before
        part = connected(changed, pixel) if changed[pixel] else np.zeros_like(before)
        wanted = before & ~part if before[pixel] else before | part
        assert np.array_equal(merged.mask, wanted)
        before = merged.mask
    assert not np.array_equal(before, mask)


def test_merging_leaves_what_the_network_sees_alone(segmenter: ClickAttentionSegmenter) -> None:
    prompt = Prompt(CLICKS[:2], mask=square(20, 60, 30, 90))
    both = [
        answers(one, prompt)[-1] for one in (segmenter, small_segmenter(progressive_merge=False))
    ]
    layers = [memory(result).layers[0].values for result in both]
    assert torch.equal(*layers)


def test_zoom_in_follows_the_mask_from_the_second_click_on() -> None:
    close = small_segmenter(zoom_in=True, min_crop_size=10, expansion_ratio=1, threshold=0.95)
    mask = square(20, 60, 30, 90)
    results = answers(close, Prompt((Click(60, 40), Click(70, 50)), mask=mask))
    assert memory(results[1]).layers[0].region == (20, 60, 30, 90)
    plain = answers(close, Prompt(CLICKS[:2]))
    assert memory(plain[0]).layers[0].region == WHOLE
    bounds = memory(plain[0]).bounds
    assert bounds is not None
    found = around(bounds, [click.pixel for click in CLICKS[:2]])
    region = clamped(expanded(found, 1, 10), (HEIGHT, WIDTH))
    assert memory(plain[1]).layers[0].region == region != WHOLE


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(),
        Prompt((Click(30, 30, positive=False),)),
        Prompt((Click(-5, 10),)),
        Prompt(mask=np.zeros((HEIGHT, WIDTH), np.bool_)),
    ],
    ids=["nothing", "only beside", "outside", "empty mask"],
)
def test_where_nothing_is_meant_nothing_is_asked(
    segmenter: ClickAttentionSegmenter, prompt: Prompt
) -> None:
    with passes() as seen:
        result = segmenter.segment(segmenter.prepare(IMAGE), prompt)
    assert not seen
    assert not result.mask.any()


def test_wrong_pictures_and_masks_are_refused(segmenter: ClickAttentionSegmenter) -> None:
    with pytest.raises(ValueError, match=r"a picture is uint8 \[H, W, 3\]"):
        segmenter.prepare(IMAGE.astype(np.float32))  # type: ignore[arg-type]
    with pytest.raises(ValueError, match="the initial mask is"):
        segmenter.segment(
            segmenter.prepare(IMAGE), Prompt(CLICKS[:1], mask=np.ones((3, 4), np.bool_))
        )


def test_largest_states_can_be_stored() -> None:
    large = small_segmenter(infer_size=LONGEST_INPUT, first_click_passes=1)
    noise = np.random.default_rng(0).random((1500, 1500)) > 0.5
    prepared = large.prepare(picture(1, 1500, 1500))
    result = large.segment(prepared, Prompt((Click(700, 700),), mask=noise))
    assert result.state is not None
    assert len(result.state.to_bytes()) < MAX_STATE_BYTES


def test_the_network_given_stays_as_it_is() -> None:
    network = calibrated()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    ClickAttentionSegmenter(network, VERSION)
    small_segmenter(mode="paper")
    after = network.state_dict()
    assert before.keys() == after.keys()
    assert all(torch.equal(before[name], after[name]) for name in before)
    assert network.mode == "released"


def test_settings_tell_the_size_that_was_chosen() -> None:
    text = ClickAttentionSegmenter(calibrated(), VERSION).settings
    assert "infer_size=768" in text
    assert "mode=released" in text
