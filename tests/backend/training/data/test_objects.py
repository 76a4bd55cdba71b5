from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from backend.training.data.objects import ObjectChoice, target_of, without_objects
from backend.training.data.source import IGNORE, Annotated, Kind, ObjectRef
from tests.backend.training.data.pictures import annotated, layer_of, scene

RITM = ObjectChoice(smallest=1)
ALONE = replace(RITM, merge=0.0)


def draws(choice: ObjectChoice, picture: Annotated, count: int = 200) -> list[np.ndarray]:
    return [choice.choose(picture, np.random.default_rng(seed)).target for seed in range(count)]


def which(picture: Annotated, target: np.ndarray) -> tuple[int, ...]:
    """The objects whose pixels are all in the target."""
    return tuple(
        index
        for index in range(len(picture.objects))
        if (target[picture.mask(index)] == 1).all() and picture.mask(index).any()
    )


def test_one_object_or_now_and_then_two() -> None:
    picture = scene()
    chosen = [which(picture, target) for target in draws(RITM, picture, 2000)]
    pairs = [found for found in chosen if len(found) == 2]
    assert {len(found) for found in chosen} == {1, 2}
    assert len(pairs) / 2000 == pytest.approx(0.15, abs=0.025)
    assert len(set(pairs)) == 6, "every pair of four"
    single = [found[0] for found in chosen if len(found) == 1]
    assert np.bincount(single).min() > 350


def test_merged_objects_deserve_a_click_each() -> None:
    picture = scene()
    chosen = replace(RITM, merge=1.0, merged=3).choose(picture, np.random.default_rng(1))
    assert len(chosen.positives) in (2, 3)
    union = np.logical_or.reduce(chosen.positives)
    np.testing.assert_array_equal(chosen.target == 1, union)
    assert sum(mask.sum() for mask in chosen.positives) == union.sum()


def test_others_are_the_pixels_of_other_objects() -> None:
    picture = scene()
    chosen = ALONE.choose(picture, np.random.default_rng(0))
    assert chosen.others is not None
    np.testing.assert_array_equal(chosen.others, (picture.layers[0] > 0) & (chosen.target == 0))
    single = scene(objects=1)
    assert ALONE.choose(single, np.random.default_rng(0)).others is None


def test_what_is_to_be_ignored_stays_so_whoever_is_chosen() -> None:
    layer = scene().layers[0]
    layer[layer == 2] = IGNORE
    picture = annotated(layer)
    merging = replace(RITM, merge=1.0)
    for target in (*draws(ALONE, picture, 20), *draws(merging, picture, 20)):
        np.testing.assert_array_equal(target == -1, layer == IGNORE)
        assert target.dtype == np.int8


def test_an_object_in_one_layer_is_known_where_another_ignores() -> None:
    whole = layer_of((20, 20), (0, 0, 10, 20))
    whole[10:] = IGNORE
    part = layer_of((20, 20), (8, 0, 14, 20))
    picture = annotated(whole, part)
    target = target_of(picture, picture.mask(1))
    assert (target[8:14] == 1).all() and (target[14:] == -1).all() and (target[:8] == 0).all()


def test_small_objects_are_not_chosen_but_lie_there_as_others() -> None:
    picture = annotated(layer_of((60, 60), (0, 0, 40, 40), (50, 50, 55, 55)))
    choice = ObjectChoice(smallest=100)
    assert {which(picture, target) for target in draws(choice, picture, 50)} == {(0,)}


def test_without_an_object_the_sample_is_background() -> None:
    picture = annotated(layer_of((60, 60), (50, 50, 55, 55)))
    chosen = ObjectChoice(smallest=100).choose(picture, np.random.default_rng(0))
    assert not chosen.target.any() and chosen.positives == () and chosen.others is None


def stuff_picture() -> Annotated:
    picture = annotated(layer_of((40, 40), (0, 0, 10, 10)), layer_of((40, 40), (5, 0, 40, 40)))
    thing, stuff = picture.objects
    return replace(picture, objects=(thing, replace(stuff, stuff=True)))


def test_stuff_is_there_with_its_probability_and_else_background() -> None:
    picture = stuff_picture()
    prepared = [RITM.prepare(picture, np.random.default_rng(seed)) for seed in range(1000)]
    with_stuff = [one for one in prepared if len(one.objects) == 2]
    assert len(with_stuff) / 1000 == pytest.approx(0.3, abs=0.04)
    without = next(one for one in prepared if len(one.objects) == 1)
    assert without.background()[10:].all()
    assert (picture.layers[1] == 1).any(), "the source's own arrays are left alone"


def test_objects_that_hardly_fill_their_box_are_dropped() -> None:
    layer = layer_of((60, 60), (0, 0, 20, 20))
    layer[np.arange(25, 60), np.arange(25, 60)] = 2
    picture = annotated(layer)
    prepared = ObjectChoice(fill=0.08).prepare(picture, np.random.default_rng(0))
    assert [ref.id for ref in prepared.objects] == [1]
    assert not (prepared.layers[0] == 2).any()
    assert len(ObjectChoice(fill=0.02).prepare(picture, np.random.default_rng(0)).objects) == 2
    assert ObjectChoice().prepare(picture, np.random.default_rng(0)) is picture


def person() -> Annotated:
    """A person (0) with a shirt (1) that has two buttons (2, 3), and a ball (4)."""
    bodies = layer_of((60, 60), (0, 0, 50, 40), (50, 50, 60, 60))
    shirts = layer_of((60, 60), (10, 5, 40, 35))
    buttons = layer_of((60, 60), (15, 15, 19, 19), (25, 15, 29, 19))
    return replace(
        annotated(bodies, shirts, buttons),
        objects=(
            ObjectRef(0, 1, children=(1,)),
            ObjectRef(1, 1, parent=0, children=(2, 3)),
            ObjectRef(2, 1, parent=1),
            ObjectRef(2, 2, parent=1),
            ObjectRef(0, 2),
        ),
    )


def test_only_roots_are_chosen_without_hierarchy() -> None:
    picture = person()
    found = {which(picture, target) for target in draws(ALONE, picture, 100)}
    assert found == {(0, 1, 2, 3), (4,)}


def test_with_hierarchy_every_level_is_chosen_and_parts_are_cut_out() -> None:
    picture = person()
    choice = replace(ALONE, hierarchy=True)
    found = set()
    for seed in range(400):
        chosen = choice.choose(picture, np.random.default_rng(seed))
        (positive,) = chosen.positives
        np.testing.assert_array_equal(chosen.target == 1, positive)
        for negative in chosen.negatives:
            assert negative.any() and not (negative & positive).any()
        found.add((which(picture, chosen.target), int(positive.sum())))
    shirt, button = 30 * 30, 16
    assert {(1, 2, 3), (2,), (3,), (4,), (0, 1, 2, 3)} <= {objects for objects, _ in found}
    assert {shirt - button, shirt - 2 * button, 2000 - shirt} <= {area for _, area in found}


def test_orphans_go_to_their_grandparent() -> None:
    objects = without_objects(person().objects, [1])
    assert [ref.parent for ref in objects] == [None, 0, 0, None]
    assert [ref.children for ref in objects] == [(1, 2), (), (), ()]


def test_a_small_parent_leaves_its_child_to_the_next_above() -> None:
    picture = person()
    tiny = replace(ALONE, hierarchy=True, smallest=950)
    assert {which(picture, target) for target in draws(tiny, picture, 40)} == {(0, 1, 2, 3)}


def parts() -> Annotated:
    """Four parts in a row that touch, and a fifth far away."""
    boxes = [(0, 20 * n, 20, 20 * n + 20) for n in range(4)]
    return replace(annotated(layer_of((60, 100), *boxes, (50, 80, 60, 100))), kind=Kind.PARTS)


def test_unions_of_parts_are_objects_too() -> None:
    picture = parts()
    choice = replace(ALONE, unions=1.0)
    found = {which(picture, target) for target in draws(choice, picture, 300)}
    assert (0, 1, 2, 3, 4) in found
    assert {(0, 1), (1, 2), (2, 3), (0, 1, 2), (1, 2, 3)} <= found
    assert not any(4 in group and 0 < len(group) < 5 and len(group) > 1 for group in found)
    chosen = choice.choose(picture, np.random.default_rng(0))
    assert len(chosen.positives) == 1, "one object, one certain click"
    instances = replace(picture, kind=Kind.INSTANCES)
    assert {len(which(instances, target)) for target in draws(choice, instances, 50)} == {1}


def test_the_background_between_regions_is_an_object_too() -> None:
    layer = layer_of((60, 100), (0, 40, 60, 60))
    layer[50:, 60:] = IGNORE
    picture = replace(annotated(layer), kind=Kind.REGIONS)
    choice = replace(ALONE, surroundings=1.0, smallest=1000)
    areas = sorted({int((target == 1).sum()) for target in draws(choice, picture, 60)})
    assert areas == [50 * 40, 60 * 40]
    for target in draws(choice, picture, 5):
        assert not (target[layer > 0] == 1).any() and (target[50:, 60:] == -1).all()
    large = replace(choice, smallest=2100)
    assert {int((target == 1).sum()) for target in draws(large, picture, 20)} == {2400}
    none = replace(choice, smallest=5000)
    assert not any(target.any() for target in draws(none, annotated(layer * 0), 3))


def test_choices_are_functions_of_the_seed() -> None:
    picture = parts()
    choice = ObjectChoice(smallest=1, unions=0.5)
    for first, second in zip(draws(choice, picture, 30), draws(choice, picture, 30), strict=True):
        np.testing.assert_array_equal(first, second)
