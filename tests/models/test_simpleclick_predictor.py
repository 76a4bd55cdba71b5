"""The SimpleClick segmenter: a pure function of picture, prompt and state."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from models import checkpoints
from models.checkpoints import Checkpoint, CheckpointError
from models.prompts import Click, Prompt, Scribble
from models.segmenter import Prepared, Query, Result, replay
from models.simpleclick import SimpleClickSegmenter
from models.simpleclick import segmenter as by_name
from models.state import MAX_STATE_BYTES, State
from models.zoom import Roi, whole
from tests.models.ritm_networks import picture
from tests.models.simpleclick_networks import VERSION, calibrated, tiny_segmenter

CLICKS = (Click(64, 48), Click(20, 20, False), Click(80, 60), Click(110, 80, False), Click(30, 70))
PROMPT = Prompt(CLICKS)
SIZE = (96, 128)


@pytest.fixture(scope="module")
def segmenter() -> SimpleClickSegmenter:
    return tiny_segmenter()


@pytest.fixture(scope="module")
def prepared(segmenter: SimpleClickSegmenter) -> Prepared:
    return segmenter.prepare(picture(5))


def rois(results: list[Result]) -> list[Roi]:
    states = [result.state for result in results if result.state is not None]
    return [Roi(*state.values["roi"]) for state in states if state.values["roi"] is not None]


def test_the_first_click_sees_the_whole_picture(
    segmenter: SimpleClickSegmenter, prepared: Prepared
) -> None:
    result = segmenter.segment(prepared, PROMPT.first(1))
    assert rois([result]) == [whole(SIZE)]
    assert result.region == (0, 0, 128, 96)
    assert 0 < result.mask.sum() < result.mask.size


def test_what_the_network_sees_is_stretched(
    segmenter: SimpleClickSegmenter, prepared: Prepared, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever the region's shape, the aspect is not kept; clicks are where they belong."""
    seen: list[tuple[Any, Any]] = []
    answer = segmenter._network.answer

    def recording(image: Any, points: Any, previous: Any) -> Any:
        seen.append((tuple(image.shape), points))
        return answer(image, points, previous)

    monkeypatch.setattr(segmenter._network, "answer", recording)
    segmenter.segment(prepared, PROMPT.first(1))
    shape, points = seen[0]
    assert shape == (1, 3, 224, 224)
    assert points[0, 0].tolist() == [224 * 48 / 96, 224 * 64 / 128, 0]


def test_the_region_follows_the_mask_and_then_stays() -> None:
    """A mask that shrinks to a corner replaces the region; one that hardly moves keeps it."""
    segmenter = tiny_segmenter()
    prepared = segmenter.prepare(picture(5))
    mask = np.zeros(SIZE, np.bool_)
    mask[10:40, 10:50] = True
    first = segmenter.segment(prepared, Prompt(mask=mask))
    second = segmenter.segment(prepared, Prompt((Click(30, 25),), mask=mask), first.state)
    assert rois([second])[0].size < (60, 80)
    assert rois([second])[0] != whole(SIZE)


def test_a_positive_click_outside_brings_a_new_region() -> None:
    segmenter = tiny_segmenter()
    prepared = segmenter.prepare(picture(5))
    mask = np.zeros(SIZE, np.bool_)
    mask[10:40, 10:50] = True
    prompt = Prompt((Click(30, 25), Click(120, 90)), mask=mask)
    results = replay(segmenter, prepared, prompt)
    before, after = rois(results)[-2:]
    assert before.right < 120 <= after.right


def test_the_same_steps_give_the_same_answers(
    segmenter: SimpleClickSegmenter, prepared: Prepared
) -> None:
    once, again = (replay(segmenter, prepared, PROMPT) for _ in range(2))
    assert all(np.array_equal(a.values, b.values) for a, b in zip(once, again, strict=True))
    assert any(not np.array_equal(a.mask, b.mask) for a, b in pairwise(once))


def test_a_state_survives_its_bytes(segmenter: SimpleClickSegmenter, prepared: Prepared) -> None:
    wanted = replay(segmenter, prepared, PROMPT)
    state: State | None = None
    for count, result in enumerate(wanted, start=1):
        found = segmenter.segment(prepared, PROMPT.first(count), state)
        assert np.array_equal(found.values, result.values)
        assert found.state is not None
        state = State.from_bytes(found.state.to_bytes())
    large = SimpleClickSegmenter(calibrated(), VERSION)
    state = large.segment(large.prepare(picture(1, 600, 900)), PROMPT.first(1)).state
    assert state is not None
    assert len(state.to_bytes()) < MAX_STATE_BYTES / 8


def test_a_foreign_state_is_none(segmenter: SimpleClickSegmenter, prepared: Prepared) -> None:
    state = segmenter.segment(prepared, PROMPT.first(1)).state
    assert state is not None
    foreign = State("other@x:0", state.picture, state.arrays, state.values)
    found = segmenter.segment(prepared, PROMPT.first(2), foreign)
    wanted = segmenter.segment(prepared, PROMPT.first(2))
    assert np.array_equal(found.values, wanted.values)


@pytest.mark.parametrize("flip", [False, True])
def test_a_batch_answers_as_one_by_one(flip: bool) -> None:
    segmenter = tiny_segmenter(flip=flip)
    pictures = [
        segmenter.prepare(picture(seed, *size)) for seed, size in ((5, SIZE), (6, (80, 70)))
    ]
    queries = [Query(pictures[0], PROMPT.first(1)), Query(pictures[1], Prompt((Click(30, 40),)))]
    later = segmenter.segment(pictures[0], PROMPT.first(1)).state
    queries.append(Query(pictures[0], PROMPT.first(2), later))
    assert len({segmenter.batch_key(query) for query in queries}) == 1
    together = segmenter.segment_batch(queries)
    for query, found in zip(queries, together, strict=True):
        alone = segmenter.segment(query.prepared, query.prompt, query.state)
        assert found.region == alone.region
        assert np.abs(found.values - alone.values).max() < 1e-4


def test_flip_is_the_mean_of_both_views(prepared: Prepared) -> None:
    """A mirrored picture with mirrored clicks has the mirrored answer, and only then."""
    mirrored_clicks = Prompt((Click(128 - 1 - 64, 48),))
    for flip, equal in ((True, True), (False, False)):
        segmenter = tiny_segmenter(flip=flip)
        one = segmenter.segment(segmenter.prepare(picture(5)), PROMPT.first(1))
        image = np.ascontiguousarray(picture(5)[:, ::-1])
        other = segmenter.segment(segmenter.prepare(image), mirrored_clicks)
        # The disk at 224 * 63 / 128 is not quite the mirror image of that at 224 * 64 / 128.
        difference = np.abs(one.probability - other.probability[:, ::-1]).mean()
        assert (difference < 0.02) == equal


def test_boxes_scribbles_and_masks(segmenter: SimpleClickSegmenter, prepared: Prepared) -> None:
    box = (30.0, 20.0, 90.0, 70.0)
    result = segmenter.segment(prepared, Prompt(box=box))
    rows, columns = np.nonzero(result.probability)
    assert (rows.min(), rows.max()) == (14, 74)
    assert columns.max() < 90 + 0.1 * 60 + 1
    scribble = Scribble(((30, 30), (60, 60)))
    assert segmenter.segment(prepared, Prompt(scribbles=(scribble,))).state is not None
    mask = np.zeros(SIZE, np.bool_)
    mask[30:60, 40:90] = True
    given = segmenter.segment(prepared, Prompt(mask=mask))
    assert np.array_equal(given.mask, mask)
    assert segmenter.segment(prepared, Prompt((Click(5, 5, False),))).mask.sum() == 0
    with pytest.raises(ValueError, match="initial mask"):
        segmenter.segment(prepared, Prompt(mask=mask[:50]))


def test_fast_arithmetic_gives_the_same(prepared: Prepared) -> None:
    results = [
        replay(segmenter, segmenter.prepare(picture(5)), PROMPT)
        for segmenter in (
            tiny_segmenter(fast_arithmetic=fast, full_size_state=True) for fast in (False, True)
        )
    ]
    for slow, fast in zip(*results, strict=True):
        assert np.abs(slow.probability - fast.probability).max() < 1e-3


def test_less_precision_changes_little(prepared: Prepared) -> None:
    exact, coarse = (
        tiny_segmenter(precision=precision).segment(prepared, PROMPT.first(1))
        for precision in ("float32", "bfloat16")
    )
    difference = np.abs(exact.probability - coarse.probability)
    assert 0 < difference.max() < 0.2
    assert difference.mean() < 0.02
    assert coarse.values.dtype == np.float32


def test_the_given_network_stays_as_it_is() -> None:
    network = calibrated().train()
    before = {name: tensor.clone() for name, tensor in network.state_dict().items()}
    segmenter = SimpleClickSegmenter(network, VERSION)
    segmenter.segment(segmenter.prepare(picture(5)), PROMPT.first(1))
    assert network.training
    assert all(parameter.requires_grad for parameter in network.parameters())
    assert all(torch.equal(tensor, before[name]) for name, tensor in network.state_dict().items())


def test_segmenters_by_name_need_weights_of_that_name(tmp_path: Path) -> None:
    with pytest.raises(TypeError, match="zoom_target"):
        by_name("simpleclick-vit-b", zoom_target=400)
    path = tmp_path / "net.safetensors"
    checkpoints.save(Checkpoint("simpleclick-vit-b", calibrated().state_dict()), path)
    with pytest.raises(CheckpointError, match="looks like simpleclick-vit-b but does not fit it"):
        by_name("simpleclick-vit-b", path)
