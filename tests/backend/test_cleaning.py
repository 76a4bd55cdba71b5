"""What cleaning takes away, and what it never touches."""

from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

from backend.cleaning import Limit, clean
from backend.masks import Mask
from models.prompts import Click, Prompt, Scribble

pictures = arrays(
    np.bool_, array_shapes(min_dims=2, max_dims=2, max_side=16), elements=st.booleans()
)
limits = st.builds(Limit, st.integers(0, 12), st.sampled_from([0.0, 0.05, 0.2, 1.0]))
positions = st.integers(-2, 18)
prompts = st.builds(
    Prompt,
    clicks=st.lists(st.builds(Click, positions, positions, st.booleans()), max_size=3).map(tuple),
    scribbles=st.lists(
        st.builds(
            Scribble,
            st.lists(st.tuples(positions, positions), max_size=3).map(tuple),
            st.booleans(),
        ),
        max_size=1,
    ).map(tuple),
)


def picture() -> np.ndarray:
    """A block with a pinhole and a larger hole, and two specks beside it."""
    array = np.zeros((60, 80), np.bool_)
    array[10:50, 10:50] = True
    array[20, 20] = False
    array[30:38, 30:38] = False
    array[5, 60:63] = True
    array[55:58, 70:72] = True
    return array


def test_specks_go_and_pinholes_are_filled() -> None:
    cleaned = clean(Mask.of(picture()), Prompt()).full
    expected = np.zeros((60, 80), np.bool_)
    expected[10:50, 10:50] = True
    expected[30:38, 30:38] = False
    np.testing.assert_array_equal(cleaned, expected)


def test_the_box_is_tight_again() -> None:
    assert clean(Mask.of(picture()), Prompt()).box == (10, 10, 50, 50)


def test_a_part_under_a_positive_click_stays() -> None:
    cleaned = clean(Mask.of(picture()), Prompt((Click(61.5, 5.5),))).full
    assert cleaned[5, 60:63].all()
    assert not cleaned[55:58, 70:72].any()


def test_a_negative_click_saves_no_speck() -> None:
    assert not clean(Mask.of(picture()), Prompt((Click(61, 5, positive=False),))).full[5].any()


def test_a_hole_with_a_negative_click_in_it_stays() -> None:
    array = picture()
    assert not clean(Mask.of(array), Prompt((Click(20.9, 20.1, positive=False),))).full[20, 20]
    assert clean(Mask.of(array), Prompt((Click(20.9, 20.1),))).full[20, 20]


def test_parts_and_holes_under_strokes_stay() -> None:
    across = Scribble(((40.0, 5.0), (79.0, 5.0)))
    assert clean(Mask.of(picture()), Prompt(scribbles=(across,))).full[5, 60:63].all()
    inside = Scribble(((12.0, 12.0), (28.0, 28.0)), positive=False)
    assert not clean(Mask.of(picture()), Prompt(scribbles=(inside,))).full[20, 20]


def test_clicks_outside_the_picture_are_harmless() -> None:
    prompt = Prompt((Click(-5, 1000), Click(1e6, -3, positive=False)))
    assert clean(Mask.of(picture()), prompt).area == 40 * 40 - 64


def test_the_share_counts_from_the_most_extensive_part() -> None:
    array = np.zeros((200, 200), np.bool_)
    array[:100, :100] = True
    array[150:155, 150:155] = True
    assert clean(Mask.of(array), Prompt(), speck=Limit(0, 0.0025)).area == 10_025
    assert clean(Mask.of(array), Prompt(), speck=Limit(0, 0.0026)).area == 10_000


def test_background_at_the_edge_of_the_picture_is_no_hole() -> None:
    array = np.ones((20, 20), np.bool_)
    array[0, 5] = array[10, 10] = False
    cleaned = clean(Mask.of(array), Prompt()).full
    assert not cleaned[0, 5]
    assert cleaned[10, 10]


def test_a_mask_of_specks_keeps_its_largest() -> None:
    array = np.zeros((20, 20), np.bool_)
    array[3, 3] = array[10, 10:12] = True
    assert clean(Mask.of(array), Prompt()).box == (10, 10, 12, 11)


def test_empty_masks_stay_empty() -> None:
    assert not clean(Mask.empty((5, 5)), Prompt((Click(1, 1),)))


def test_limits_of_zero_change_nothing() -> None:
    mask = Mask.of(picture())
    nothing = Limit(0, 0.0)
    np.testing.assert_array_equal(clean(mask, Prompt(), nothing, nothing).full, mask.full)


@settings(max_examples=300)
@given(pictures, prompts, limits, limits)
def test_cleaning_is_idempotent(
    array: np.ndarray, prompt: Prompt, speck: Limit, pinhole: Limit
) -> None:
    once = clean(Mask.of(array), prompt, speck, pinhole)
    twice = clean(once, prompt, speck, pinhole)
    np.testing.assert_array_equal(once.full, twice.full)
    assert once.box == twice.box == Mask.of(once.full).box


@given(pictures, prompts, limits, limits)
def test_what_was_clicked_is_left_as_it_was(
    array: np.ndarray, prompt: Prompt, speck: Limit, pinhole: Limit
) -> None:
    cleaned = clean(Mask.of(array), prompt, speck, pinhole).full
    assert cleaned.any() == array.any()
    for click in prompt.clicks:
        row, column = click.pixel
        if 0 <= row < array.shape[0] and 0 <= column < array.shape[1]:
            if click.positive and array[row, column]:
                assert cleaned[row, column]
            if not click.positive and not array[row, column]:
                assert not cleaned[row, column]
