"""The two programs' ways of working: what accumulates, what is committed, what is taken back."""

from __future__ import annotations

import numpy as np
import pytest

from models.prompts import Prompt, Scribble
from models.s2m_predictor import S2mPrepared, S2mSegmenter
from models.s2m_session import UNDO_STEPS, MultiObjectSession, SingleObjectSession
from models.s2m_strokes import NOTHING
from tests.models.ritm_networks import picture
from tests.models.s2m_networks import segmenter

HERE = [(20.0, 30.0), (60.0, 40.0)]
THERE = [(90.0, 70.0), (120.0, 60.0)]


@pytest.fixture(scope="module")
def usual() -> S2mSegmenter:
    return segmenter(picture_side=None, soft_previous=True)


@pytest.fixture(scope="module")
def prepared(usual: S2mSegmenter) -> S2mPrepared:
    return usual.prepare(picture(height=88, width=128))


def test_strokes_of_a_single_object_add_up(usual: S2mSegmenter, prepared: S2mPrepared) -> None:
    session = SingleObjectSession(usual, prepared)
    session.draw(HERE)
    both = session.draw(THERE, positive=False)
    prompt = Prompt(scribbles=(Scribble(tuple(HERE)), Scribble(tuple(THERE), positive=False)))
    assert np.array_equal(both, usual.segment(prepared, prompt).probability)
    assert session.strokes[0].any() and session.strokes[1].any()


def test_commit_keeps_the_shades_and_drops_the_strokes(
    usual: S2mSegmenter, prepared: S2mPrepared
) -> None:
    session = SingleObjectSession(usual, prepared)
    first = session.draw(HERE)
    committed = session.commit()
    assert not session.strokes.any()
    assert not np.array_equal(first, committed)
    # The border that the network saw stays part of a committed answer; here it is cut off.
    restarted = SingleObjectSession(usual, prepared, mask=first)
    assert np.abs(restarted.probability() - committed).mean() < 0.05
    hard = SingleObjectSession(usual, prepared, mask=(first > 0.5).astype(np.float32))
    assert not np.array_equal(hard.probability(), restarted.probability())


def test_reset_forgets_everything(usual: S2mSegmenter, prepared: S2mPrepared) -> None:
    blank = SingleObjectSession(usual, prepared).probability()
    session = SingleObjectSession(usual, prepared, mask=np.ones(prepared.size, np.float32))
    assert not np.array_equal(session.probability(), blank)
    session.draw(HERE)
    assert np.array_equal(session.reset(), blank)
    assert not session.strokes.any()


def test_later_strokes_lie_over_earlier_ones(usual: S2mSegmenter, prepared: S2mPrepared) -> None:
    session = MultiObjectSession(usual, prepared, 2)
    session.draw(1, HERE)
    session.draw(2, HERE)
    session.draw(0, THERE)
    assert set(np.unique(session.drawn)) == {0, 2, NOTHING}


def test_undo_takes_back_one_stroke_at_a_time(usual: S2mSegmenter, prepared: S2mPrepared) -> None:
    session = MultiObjectSession(usual, prepared, 2)
    maps = [session.drawn]
    for number, points in ((1, HERE), (2, THERE), (0, [(5.0, 5.0), (50.0, 9.0)])):
        session.draw(number, points)
        maps.append(session.drawn)
    for before in reversed(maps[:-1]):
        assert session.undo()
        assert np.array_equal(session.drawn, before)
    assert not session.undo()


def test_only_so_many_strokes_can_be_taken_back(usual: S2mSegmenter, prepared: S2mPrepared) -> None:
    session = MultiObjectSession(usual, prepared, 1)
    for _ in range(UNDO_STEPS + 3):
        session.draw(1, HERE)
    assert sum(session.undo() for _ in range(UNDO_STEPS + 3)) == UNDO_STEPS


def test_commit_begins_from_the_labels(usual: S2mSegmenter, prepared: S2mPrepared) -> None:
    session = MultiObjectSession(usual, prepared, 2)
    assert not session.committed.any()
    session.draw(1, HERE)
    session.draw(2, THERE)
    labels = session.labels()
    assert {1, 2} <= set(np.unique(labels))
    assert np.array_equal(session.commit(), labels)
    assert np.array_equal(session.committed, labels)
    assert (session.drawn == NOTHING).all()
    assert not session.undo()
    assert not np.array_equal(session.labels(), labels)


def test_labels_are_those_of_several_prompts(prepared: S2mPrepared) -> None:
    usual = segmenter(picture_side=None)
    session = MultiObjectSession(usual, prepared, 2)
    session.draw(1, HERE)
    session.draw(2, THERE)
    labels = session.labels()
    prompts = [Prompt(scribbles=(Scribble(tuple(points)),)) for points in (HERE, THERE)]
    results = usual.segment_many(prepared, prompts)
    for number, result in enumerate(results, start=1):
        assert (result.mask == (labels == number)).mean() > 0.999


def test_objects_that_there_are_not_are_refused(usual: S2mSegmenter, prepared: S2mPrepared) -> None:
    session = MultiObjectSession(usual, prepared, 2)
    for number in (-1, 3):
        with pytest.raises(ValueError, match=f"no object {number}"):
            session.draw(number, HERE)
    for objects in (0, 255):
        with pytest.raises(ValueError, match="1 to 254 objects"):
            MultiObjectSession(usual, prepared, objects)
