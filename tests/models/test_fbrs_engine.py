"""The engine: one object, click after click, undone and begun anew."""

from __future__ import annotations

import numpy as np
import pytest

from models.fbrs_engine import FbrsEngine
from models.prompts import Click, Prompt
from models.segmenter import replay
from tests.models.fbrs_networks import tiny_segmenter
from tests.models.ritm_networks import picture

IMAGE = picture(5)
X, Y, SIGNS = (64, 20, 80), (48, 20, 60), (True, False, True)


@pytest.fixture
def engine() -> FbrsEngine:
    return FbrsEngine(tiny_segmenter())


def test_clicks_one_by_one_and_all_at_once_are_the_segmenters(engine: FbrsEngine) -> None:
    segmenter = tiny_segmenter()
    clicks = tuple(Click(*row) for row in zip(X, Y, SIGNS, strict=True))
    wanted = [r.mask for r in replay(segmenter, segmenter.prepare(IMAGE), Prompt(clicks))]
    masks = [engine.predict(x, y, p, IMAGE) for x, y, p in zip(X, Y, SIGNS, strict=True)]
    assert all(np.array_equal(mask == 255, w) for mask, w in zip(masks, wanted, strict=True))
    assert masks[0].dtype == np.uint8
    assert masks[0].shape == IMAGE.shape[:2]
    assert set(np.unique(np.stack(masks))) == {0, 255}
    together = FbrsEngine(tiny_segmenter()).predict(X, Y, SIGNS, IMAGE)
    assert np.array_equal(together, masks[-1])


def test_undo_brings_the_answer_before_back(engine: FbrsEngine) -> None:
    first = engine.predict(64, 48, True, IMAGE)
    second = engine.predict(20, 20, False)
    assert np.array_equal(engine.undo(), first)
    assert engine.clicks == (Click(64, 48),)
    assert np.array_equal(engine.predict(20, 20, False), second)
    engine.undo()
    engine.undo()
    assert not engine.undo().any()
    assert engine.undo().shape == IMAGE.shape[:2]


def test_reset_forgets_the_object_and_keeps_the_picture(engine: FbrsEngine) -> None:
    first = engine.predict(64, 48, True, IMAGE)
    engine.predict(80, 60, True)
    engine.reset()
    assert not engine.mask().any()
    assert np.array_equal(engine.predict(64, 48, True), first)


def test_another_picture_begins_another_object(engine: FbrsEngine) -> None:
    engine.predict(64, 48, True, IMAGE)
    other = picture(6, 80, 100)
    mask = engine.predict(50, 40, True, other)
    assert mask.shape == (80, 100)
    assert engine.clicks == (Click(50, 40),)
    assert np.array_equal(FbrsEngine(tiny_segmenter()).predict(50, 40, True, other), mask)


def test_other_clicks_take_the_place_of_those_before(engine: FbrsEngine) -> None:
    engine.predict((64, 80), (48, 60), (True, True), IMAGE)
    changed = engine.predict((64, 20), (48, 20), (True, False))
    assert engine.clicks == (Click(64, 48), Click(20, 20, False))
    fresh = FbrsEngine(tiny_segmenter()).predict((64, 20), (48, 20), (True, False), IMAGE)
    assert np.array_equal(changed, fresh)


def test_only_negative_clicks_are_an_empty_mask(engine: FbrsEngine) -> None:
    assert not engine.predict(20, 20, False, IMAGE).any()
    assert engine.predict(64, 48, True).shape == IMAGE.shape[:2]


def test_what_is_wrong_is_said(engine: FbrsEngine) -> None:
    with pytest.raises(ValueError, match="no picture yet"):
        engine.predict(1, 1, True)
    with pytest.raises(ValueError, match="no picture yet"):
        engine.mask()
    with pytest.raises(ValueError, match="2 columns, 1 rows"):
        engine.predict((1, 2), (1,), (True, True), IMAGE)
