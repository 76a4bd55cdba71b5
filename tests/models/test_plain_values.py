"""Copies within bounds."""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

import pytest

from models.plain_values import DEEPEST, MOST_CHARACTERS, MOST_VALUES, BoundedCopy, NotPlain


def copied(value: Any) -> Any:
    return BoundedCopy(lambda leaf: leaf)(value)


def test_copies_are_equal_and_share_nothing() -> None:
    part = [1, "two", None]
    value = {"a": part, "b": (part, part), 3: OrderedDict(c=1.5)}
    copy = copied(value)
    assert copy == value
    assert type(copy[3]) is dict
    copy["a"].append(4)
    assert copy["b"] == ([1, "two", None], [1, "two", None]) == value["b"]


def test_leaves_are_turned() -> None:
    assert BoundedCopy(lambda leaf: -leaf)({"a": [1, (2,)]}) == {"a": [-1, (-2,)]}


def test_bounds() -> None:
    deep: list[Any] = []
    for _ in range(DEEPEST):
        deep = [deep]
    assert copied(deep) == deep
    with pytest.raises(NotPlain, match="too deep"):
        copied([deep])
    itself: list[Any] = []
    itself.append(itself)
    with pytest.raises(NotPlain, match="too deep"):
        copied(itself)
    assert len(copied([0] * (MOST_VALUES - 1))) == MOST_VALUES - 1
    with pytest.raises(NotPlain, match="absurd size"):
        copied([0] * MOST_VALUES)
    for texts in (["a" * MOST_CHARACTERS, "b"], {"a" * MOST_CHARACTERS: "b"}):
        with pytest.raises(NotPlain, match="texts"):
            copied(texts)
    with pytest.raises(NotPlain, match="keys"):
        copied({(1, 2): 3})


def test_the_bounds_hold_for_all_copies_of_one() -> None:
    copy = BoundedCopy(lambda leaf: leaf)
    copy([0] * (MOST_VALUES // 2))
    with pytest.raises(NotPlain, match="absurd size"):
        copy([0] * (MOST_VALUES // 2))
