"""States found again, click orders recovered, objects recognised."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from backend.blobs import MemoryBlobs
from backend.prompt_record import PromptRecord
from backend.sessions import LOOK_BACK, Sessions, Trails, step_keys
from models.prompts import Click, Prompt
from models.segmenter import steps
from models.state import State

A, B, C, D = (Click(float(x), 1.0) for x in range(4))
P, Q = Click(8.0, 8.0, False), Click(9.0, 9.0, False)


def state(number: int) -> State:
    return State("m@w:1", "picture", {"map": np.full((2, 2), number, np.float32)}, {"n": number})


def keys(*clicks: Click, box: tuple[float, float, float, float] | None = None) -> list[str]:
    return step_keys("m@w:1", "s", "image", PromptRecord(clicks, box))


def test_one_key_a_step_and_equal_beginnings_have_equal_keys() -> None:
    assert keys(A, B) == keys(A, B, C)[:2]
    assert keys(B, A)[1] != keys(A, B)[1]
    assert len(keys(A, box=(0, 0, 1, 1))) == len(steps(Prompt((A,), (0, 0, 1, 1)))) == 2
    assert keys(A, box=(0, 0, 1, 1))[1] not in keys(A)
    assert not keys()


@pytest.mark.parametrize("field", range(4))
def test_everything_that_an_answer_depends_on_is_in_the_key(field: int) -> None:
    arguments = ["m@w:1", "s", "image", PromptRecord((A,))]
    other = ["m@w:2", "t", "other", PromptRecord((A,), None, (), "0" * 64)][field]
    changed = [*arguments[:field], other, *arguments[field + 1 :]]
    assert step_keys(*arguments)[-1] != step_keys(*changed)[-1]  # type: ignore[arg-type]


def test_the_longest_remembered_beginning_is_recalled() -> None:
    sessions = Sessions(MemoryBlobs(1 << 20))
    path = keys(A, B, C)
    assert sessions.recall(path).answered == 0
    for number, key in enumerate(path[:2], 1):
        sessions.remember(key, state(number))
    found = sessions.recall(path)
    assert found.answered == 2
    assert found.state is not None
    assert found.state.values == {"n": 2}
    assert np.array_equal(found.state.arrays["map"], state(2).arrays["map"])


def test_a_step_without_a_state_is_remembered_too() -> None:
    sessions = Sessions(MemoryBlobs(1 << 20))
    path = keys(P, A)
    assert sessions.remember(path[0], None) is None
    assert (sessions.recall(path).answered, sessions.recall(path).state) == (1, None)


def test_what_is_damaged_is_a_miss() -> None:
    blobs = MemoryBlobs(1 << 20)
    sessions = Sessions(blobs)
    path = keys(A, B, C)
    sessions.remember(path[0], state(1))
    sessions.remember(path[1], state(2))
    blobs.put("state:" + path[2], b"\x08\0\0\0\0\0\0\0nonsense")
    assert sessions.recall(path).answered == 2


def test_remembering_gives_back_what_will_be_read() -> None:
    sessions = Sessions(MemoryBlobs(1 << 20))
    array = np.arange(6, dtype=">f4").reshape(3, 2).T
    handed = sessions.remember("k", State("m@w:1", "picture", {"map": array}, {"roi": (1, 2)}))
    read = sessions.recall(["k"]).state
    assert handed is not None and read is not None
    assert handed.values == read.values == {"roi": [1, 2]}
    assert handed.arrays["map"].dtype == read.arrays["map"].dtype
    assert np.array_equal(handed.arrays["map"], read.arrays["map"])


class Person:
    """Clicks in a tool that sends positives and negatives apart."""

    def __init__(self) -> None:
        self.times = itertools.count()
        self.trails = Trails(MemoryBlobs(1 << 22), clock=lambda: float(next(self.times)))
        self.objects = itertools.count()

    def sends(
        self, clicks: Sequence[Click], scope: str = "s", ordered: bool = False
    ) -> tuple[list[Click], bool, str]:
        apart = sorted(clicks, key=lambda click: not click.positive)
        record = PromptRecord(tuple(clicks if ordered else apart))
        trail = self.trails.follow("image", scope, record, ordered)
        object_id = trail.object_id or f"object {next(self.objects)}"
        kept = type(trail)(trail.clicks, trail.order_known, object_id)
        self.trails.remember("image", scope, record, kept)
        return list(trail.clicks), trail.order_known, object_id


@given(st.lists(st.booleans(), min_size=1, max_size=12))
def test_any_order_is_recovered_click_by_click(signs: list[bool]) -> None:
    person = Person()
    clicks = [Click(float(index), 0.0, sign) for index, sign in enumerate(signs)]
    for count in range(1, len(clicks) + 1):
        assert person.sends(clicks[:count]) == (clicks[:count], True, "object 0")


def test_several_new_clicks_come_positives_first() -> None:
    person = Person()
    person.sends([P])
    assert person.sends([P, Q, A, B]) == ([P, A, B, Q], False, "object 0")
    assert person.sends([P, A, B, Q, C])[:2] == ([P, A, B, Q, C], False), "still guessed"


def test_nothing_remembered() -> None:
    assert Person().sends([P, A, Q, B])[:2] == ([A, B, P, Q], False)
    assert Person().sends([A, B])[:2] == ([A, B], True)
    assert Person().sends([P, Q])[:2] == ([P, Q], True)


def test_removed_clicks() -> None:
    person = Person()
    for count in range(1, 5):
        person.sends([A, P, B, Q][:count])
    assert person.sends([A, P, B])[:2] == ([A, P, B], True)
    assert person.sends([A, P])[:2] == ([A, P], True)
    assert person.sends([A, P, C])[:2] == ([A, P, C], True)


def test_the_latest_of_two_equally_long_ones_counts() -> None:
    """Two positives; the second is taken back; a negative; the second positive again."""
    person = Person()
    for clicks in ([A], [A, B], [A], [A, P]):
        person.sends(clicks)
    assert person.sends([A, P, B])[:2] == ([A, P, B], True)


def test_scopes_pictures_and_bases_do_not_meet() -> None:
    person = Person()
    person.sends([P], scope="ann")
    assert person.sends([P, A], scope="bob") == ([A, P], False, "object 1")
    assert person.sends([P, A], scope="ann") == ([P, A], True, "object 0")


def test_ordered_prompts_stay_as_they_are_and_know_their_object() -> None:
    person = Person()
    person.sends([A], ordered=True)
    assert person.sends([A, P, B], ordered=True) == ([A, P, B], True, "object 0")
    assert person.sends([A, P, C], ordered=True)[2] == "object 0"
    assert person.sends([B, A], ordered=True)[2] == "object 1"


def test_a_box_and_the_clicks_that_follow_are_one_object() -> None:
    trails = Trails(MemoryBlobs(1 << 20))
    alone, clicked = PromptRecord(box=(0, 0, 5, 5)), PromptRecord((A, P), (0, 0, 5, 5))
    trail = trails.follow("image", "s", alone, False)
    trails.remember("image", "s", alone, type(trail)((), True, "boxed"))
    for ordered in (True, False):
        assert trails.follow("image", "s", clicked, ordered).object_id == "boxed"


def test_the_look_back_has_an_end() -> None:
    person = Person()
    clicks = [Click(float(index), 0.0) for index in range(LOOK_BACK + 2)]
    person.sends(clicks[:1])
    assert person.sends(clicks[:-1])[2] == "object 0"
    other = Person()
    other.sends(clicks[:1])
    assert other.sends(clicks)[2] == "object 1"


def test_damaged_trails_are_misses() -> None:
    blobs = MemoryBlobs(1 << 20)
    trails = Trails(blobs)
    record = PromptRecord((A,))
    trail = trails.follow("image", "s", record, False)
    trails.remember("image", "s", record, type(trail)((A,), True, "pear"))
    (key,) = blobs._entries
    for damage in (b"", b"null", b"[1,2]", b'["--",true,1.0,"pear"]', b"\xff"):
        blobs.put(key, damage)
        assert trails.follow("image", "s", record, False).object_id is None
