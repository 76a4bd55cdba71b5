"""Prompts as text: exact, canonical, and ordered."""

from __future__ import annotations

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from backend.prompt_record import PromptRecord, compact, mask_id
from models.prompts import Click, Prompt, Scribble

numbers = st.floats(allow_nan=False, allow_infinity=False)
clicks = st.builds(Click, numbers, numbers, st.booleans())
scribbles = st.builds(
    Scribble,
    st.lists(st.tuples(numbers, numbers), max_size=3).map(tuple),
    st.booleans(),
    numbers,
)
records = st.builds(
    PromptRecord,
    st.lists(clicks, max_size=4).map(tuple),
    st.none() | st.tuples(numbers, numbers, numbers, numbers),
    st.lists(scribbles, max_size=2).map(tuple),
    st.none() | st.text("0123456789abcdef", min_size=64, max_size=64),
)


@given(records)
def test_the_way_through_json_is_exact(record: PromptRecord) -> None:
    assert PromptRecord.from_json(json.loads(compact(record.to_json()))) == record


def test_whole_numbers_and_floats_are_one() -> None:
    whole = PromptRecord((Click(3, 4),), (1, 2, 3, 4))
    floats = PromptRecord((Click(3.0, 4.0, True),), (1.0, 2.0, 3.0, 4.0))
    assert compact(whole.to_json()) == compact(floats.to_json())


def test_a_mask_is_known_by_its_content() -> None:
    mask = np.zeros((9, 13), bool)
    mask[2:5, 3:7] = True
    record = PromptRecord.of(Prompt(mask=mask))
    assert record.mask == mask_id(mask.copy())
    assert mask_id(mask) != mask_id(~mask)
    assert mask_id(np.zeros((8, 16), bool)) != mask_id(np.zeros((16, 8), bool))
    assert record.prompt(mask).mask is mask
    assert record.has_base
    assert not PromptRecord((Click(1, 1),)).has_base


def test_extends_is_more_clicks_on_the_same_base() -> None:
    one, two = PromptRecord((Click(1, 1),)), PromptRecord((Click(1, 1), Click(2, 2, False)))
    assert two.extends(one)
    assert one.extends(PromptRecord())
    assert not one.extends(one), "the same prompt again is no newer click"
    assert not one.extends(two)
    assert not two.extends(PromptRecord((Click(2, 2, False),)))
    assert not PromptRecord(two.clicks, (0, 0, 5, 5)).extends(one)
