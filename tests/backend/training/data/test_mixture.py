from __future__ import annotations

import numpy as np
import pytest

from backend.errors import InvalidRequest
from backend.training.data.combined import Joined, Subset, without
from backend.training.data.mixture import Mixture, Weighting
from backend.training.data.source import Annotated, Kind, Record, Source
from tests.backend.training.data.pictures import scene


class Counted(Source):
    """Pictures of which only the number of objects is known."""

    def __init__(self, name: str, *objects: int, kind: Kind = Kind.INSTANCES) -> None:
        self.name, self.objects, self.kind = name, objects, kind

    def __len__(self) -> int:
        return len(self.objects)

    def record(self, index: int) -> Record:
        return Record(f"{self.name}{index}", self.name, self.kind, self.objects[index])

    def load(self, index: int) -> Annotated:
        return scene(seed=self.objects[index])

    def fingerprint(self) -> str:
        return self.name


GRAINS = Counted("grains", *[50] * 18)
ANIMALS = Counted("animals", *[1] * 100)
PARTS = Counted("parts", 9, 16, kind=Kind.PARTS)
ALL = Joined([GRAINS, ANIMALS, PARTS])


@pytest.mark.parametrize(
    ("weighting", "grains", "animals", "parts"),
    [
        (Weighting(power=1, most=1000), 900, 100, 25),
        (Weighting(power=0.5, most=1000), 30, 10, 5),
        (Weighting(power=0, most=1000), 1, 1, 1),
        (Weighting(power=0.5, most=10), 180**0.5, 10, 19**0.5),
        (Weighting(unit="pictures", power=1), 18, 100, 2),
        (Weighting(power=0.5, most=1000, sources={"animals": 3}), 30, 30, 5),
        (Weighting(power=0.5, most=1000, kinds={Kind.PARTS: 0}), 30, 10, 0),
    ],
)
def test_shares(weighting: Weighting, grains: float, animals: float, parts: float) -> None:
    mixture = Mixture.of(ALL, weighting)
    total = grains + animals + parts
    shares = mixture.shares()
    assert shares == pytest.approx(
        {"grains": grains / total, "animals": animals / total, "parts": parts / total}
    )
    assert list(shares.values()) == sorted(shares.values(), reverse=True)


def test_inside_a_set_a_picture_weighs_its_objects() -> None:
    weights = Weighting(most=1000).of(ALL)
    assert weights[-1] / weights[-2] == pytest.approx(16 / 9)
    assert np.allclose(weights[:18], weights[0])


def test_pictures_are_drawn_as_often_as_they_weigh() -> None:
    mixture = Mixture.of(ALL)
    rng = np.random.default_rng(1)
    draws = [mixture.draw(rng) for _ in range(20_000)]
    found = np.bincount(draws, minlength=len(ALL)) / len(draws)
    by_set = [found[:18].sum(), found[18:118].sum(), found[118:].sum()]
    expected = [mixture.shares()[name] for name in ("grains", "animals", "parts")]
    np.testing.assert_allclose(by_set, expected, atol=0.015)


def test_draws_are_a_function_of_the_generator_s_seed() -> None:
    mixture = Mixture.of(ALL)
    draws = [mixture.draw(np.random.default_rng((3, number))) for number in range(50)]
    assert draws == [mixture.draw(np.random.default_rng((3, number))) for number in range(50)]
    assert draws != [mixture.draw(np.random.default_rng((4, number))) for number in range(50)]


def test_a_picture_without_weight_is_never_drawn() -> None:
    mixture = Mixture(ANIMALS, np.array([0.0] * 40 + [1.0] + [0.0] * 59))
    assert {mixture.draw(np.random.default_rng(seed)) for seed in range(100)} == {40}
    assert mixture.load(40).key == "1" and mixture.record(40).key == "animals40"
    assert mixture.fingerprint() == "animals"


def test_scored_pictures_are_drawn_the_more_the_worse_they_are() -> None:
    mixture = Mixture.scored(ANIMALS, {"animals0": 0.0, "animals1": 0.9, "animals2": 1.0})
    assert np.flatnonzero(mixture.weights).tolist() == [0, 1]
    assert mixture.weights[1] / mixture.weights[0] == pytest.approx(0.1**1.25)


def test_weights_that_make_no_sense() -> None:
    with pytest.raises(InvalidRequest, match="name animal, which the training data does not hold"):
        Mixture.of(ALL, Weighting(sources={"animal": 1}))
    with pytest.raises(InvalidRequest, match="at least 0"):
        Mixture.of(ALL, Weighting(kinds={Kind.PARTS: -1}))
    with pytest.raises(InvalidRequest, match="no training picture"):
        Mixture.of(PARTS, Weighting(kinds={Kind.PARTS: 0}))
    with pytest.raises(ValueError, match="3 weights for 100 pictures"):
        Mixture(ANIMALS, np.ones(3))


def test_some_pictures_of_a_source() -> None:
    left = without(ALL, {"animals/animals3", "parts/parts0", "grains/animals4"})
    keys = [left.record(index).key for index in range(len(left))]
    assert len(left) == len(ALL) - 2
    assert not {"animals3", "parts0"} & set(keys)
    assert left.load(len(left) - 1).key == ALL.load(len(ALL) - 1).key
    assert left.fingerprint() != ALL.fingerprint() != without(ALL, {"parts/parts0"}).fingerprint()
    assert without(ALL, {"absent"}) is ALL
    with pytest.raises(InvalidRequest, match="no training picture is left"):
        Subset(ALL, [])


def test_the_fingerprint_of_several_sources_is_of_all_of_them() -> None:
    assert Joined([GRAINS, PARTS]).fingerprint() == Joined([GRAINS, PARTS]).fingerprint()
    assert Joined([GRAINS, PARTS]).fingerprint() != Joined([GRAINS, ANIMALS]).fingerprint()
