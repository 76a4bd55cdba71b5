"""Our own segmenter: a pure function of picture, prompt and state."""

from __future__ import annotations

from dataclasses import replace

import cv2
import numpy as np
import numpy.typing as npt
import pytest

from models.maskloop import MaskloopSegmenter, network, segmenter
from models.prompts import Click, Prompt, Scribble
from models.segmenter import Prepared, Query, Result, replay
from models.state import MAX_STATE_BYTES, State
from tests.models.maskloop_networks import SIDE, shapes, small_segmenter

PICTURE = shapes(105)
SIZE = PICTURE.size

Bools = npt.NDArray[np.bool_]


def middle(mask: Bools) -> Click:
    """The click at the deepest pixel of a mask."""
    depth = cv2.distanceTransform(mask.astype(np.uint8), cv2.DIST_L2, 5)
    row, column = np.unravel_index(int(depth.argmax()), depth.shape)
    return Click(float(column), float(row))


def iou(a: Bools, b: Bools) -> float:
    return float((a & b).sum() / max(1, (a | b).sum()))


@pytest.fixture(scope="module")
def small() -> MaskloopSegmenter:
    return small_segmenter()


@pytest.fixture(scope="module")
def prepared(small: MaskloopSegmenter) -> Prepared:
    return small.prepare(PICTURE.image)


def largest() -> Bools:
    return PICTURE.mask(int(PICTURE.areas().argmax()))


def same(a: Result, b: Result) -> bool:
    """Equal bit for bit, states included."""
    return (
        a.region == b.region
        and np.array_equal(a.values, b.values)
        and (a.state is None) == (b.state is None)
        and (a.state is None or b.state is None or a.state.values == b.state.values)
    )


def prompts_for(truth: Bools) -> dict[str, Prompt]:
    """One object pointed at in every way there is."""
    click = middle(truth)
    left, top, width, height = cv2.boundingRect(truth.view(np.uint8))
    box = (left - 2.0, top - 2.0, left + width + 2.0, top + height + 2.0)
    stroke = Scribble(((click.x - 4, click.y), (click.x + 4, click.y)))
    return {
        "click": Prompt((click,)),
        "box": Prompt(box=box),
        "stroke": Prompt(scribbles=(stroke,)),
        "mask": Prompt((click,), mask=np.roll(truth, 4, axis=1)),
    }


@pytest.mark.parametrize("kind", ["click", "box", "stroke", "mask"])
def test_every_kind_of_prompt_finds_objects(small: MaskloopSegmenter, kind: str) -> None:
    found = []
    for number in range(200, 212):
        picture = shapes(number)
        truth = picture.mask(int(picture.areas().argmax()))
        here = small.prepare(picture.image)
        found.append(iou(replay(small, here, prompts_for(truth)[kind])[-1].mask, truth))
    assert np.mean(found) > 0.25


def test_a_negative_click_takes_away(small: MaskloopSegmenter, prepared: Prepared) -> None:
    click = middle(largest())
    away = Click(click.x, click.y - 8, False)
    before, after = replay(small, prepared, Prompt((click, away)))
    assert after.mask.sum() < before.mask.sum()


def test_remembered_is_replayed_even_through_bytes(
    small: MaskloopSegmenter, prepared: Prepared
) -> None:
    click = middle(largest())
    prompt = Prompt((click, Click(5, 5, False), Click(click.x + 3, click.y)))
    replayed = replay(small, prepared, prompt)
    state: State | None = None
    for count, expected in enumerate(replayed, 1):
        result = small.segment(prepared, prompt.first(count), state)
        assert same(result, expected)
        assert result.state is not None
        data = result.state.to_bytes()
        assert len(data) <= MAX_STATE_BYTES
        state = State.from_bytes(data)


def test_a_state_of_another_version_or_picture_is_a_miss(
    small: MaskloopSegmenter, prepared: Prepared
) -> None:
    prompt = Prompt((middle(largest()),))
    state = small.segment(prepared, prompt).state
    assert state is not None
    alone = small.segment(prepared, prompt)
    for foreign in (replace(state, version="maskloop@x:1"), replace(state, picture="other")):
        assert same(small.segment(prepared, prompt, foreign), alone)


def test_questions_of_several_pictures_share_a_pass(
    small: MaskloopSegmenter, prepared: Prepared
) -> None:
    other = shapes(108, (200, 90))
    second = small.prepare(other.image)
    queries = [
        Query(prepared, Prompt((middle(largest()),))),
        Query(second, Prompt((middle(other.mask(0)),))),
        Query(prepared, Prompt((Click(3, 3, False),))),
        Query(prepared, Prompt(box=(10, 10, 60, 60))),
    ]
    assert len({small.batch_key(query) for query in queries}) == 1
    for query, result in zip(queries, small.segment_batch(queries), strict=True):
        alone = small.segment(query.prepared, query.prompt)
        assert result.region == alone.region
        np.testing.assert_allclose(result.values, alone.values, atol=1e-4)


def test_an_initial_mask_stays_until_somebody_clicks(
    small: MaskloopSegmenter, prepared: Prepared
) -> None:
    truth = largest()
    given = small.segment(prepared, Prompt(mask=truth))
    assert np.array_equal(given.mask, truth)
    clicked = replay(small, prepared, Prompt((middle(truth),), mask=truth))
    assert np.array_equal(clicked[0].mask, truth)
    assert clicked[1].state is not None


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(),
        Prompt((Click(20, 20, False),)),
        Prompt((Click(-5, 4000),)),
        Prompt(box=(-40, -40, -10, -10)),
        Prompt(mask=np.zeros(SIZE, np.bool_)),
        Prompt(scribbles=(Scribble(((900.0, 900.0),)),)),
    ],
    ids=["nothing", "negative", "outside", "box-outside", "empty-mask", "stroke-outside"],
)
def test_a_prompt_that_points_nowhere_finds_nothing(
    small: MaskloopSegmenter, prepared: Prepared, prompt: Prompt
) -> None:
    result = small.segment(prepared, prompt)
    assert not result.mask.any()
    assert result.state is None


def test_a_mask_of_another_size_is_an_error(small: MaskloopSegmenter, prepared: Prepared) -> None:
    with pytest.raises(ValueError, match="initial mask"):
        small.segment(prepared, Prompt(mask=np.ones((3, 3), np.bool_)))


@pytest.mark.parametrize("size", [(1, 1), (2, 300), (300, 3), (17, 19)])
def test_any_size_of_picture(small: MaskloopSegmenter, size: tuple[int, int]) -> None:
    image = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(np.uint8)
    prepared = small.prepare(image)
    prompt = Prompt((Click(0, 0), Click(size[1] - 1, size[0] - 1)))
    for result in replay(small, prepared, prompt):
        assert result.mask.shape == size


def test_the_picture_is_kept_as_it_was(small: MaskloopSegmenter) -> None:
    image = PICTURE.image.copy()
    prepared = small.prepare(image)
    prompt = Prompt((middle(largest()),))
    before = small.segment(prepared, prompt)
    image[:] = 0
    assert same(small.segment(prepared, prompt), before)
    assert prepared.nbytes == image.nbytes + SIDE * SIDE * 3


def test_mirroring_averages_two_views(prepared: Prepared) -> None:
    both = small_segmenter(flip=True)
    mirrored = PICTURE.image[:, ::-1].copy()
    click = middle(largest())
    across = Click(SIZE[1] - 1 - click.x, click.y)
    straight = both.segment(both.prepare(PICTURE.image), Prompt((click,)))
    turned = both.segment(both.prepare(mirrored), Prompt((across,)))
    assert iou(straight.mask, turned.mask[:, ::-1]) > 0.9


def test_a_wrong_picture_or_option_is_named(small: MaskloopSegmenter) -> None:
    with pytest.raises(ValueError, match=r"uint8 \[H, W, 3\]"):
        small.prepare(np.zeros((4, 4), np.uint8))
    with pytest.raises(ValueError, match="side is 100"):
        small_segmenter_of_side(100)


def small_segmenter_of_side(side: int) -> MaskloopSegmenter:
    return segmenter("maskloop", side=side)


def test_only_its_own_name() -> None:
    with pytest.raises(KeyError):
        network("mobilesam")
