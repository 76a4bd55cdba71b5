"""How often each picture of a source is drawn.

Sets differ in size and in what they hold: a thousand grains on fifteen pictures must not drown a
hundred animals, and a network that is to know things should not see parts most of the time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from backend.errors import InvalidRequest
from backend.training.data.source import Annotated, Kind, Record, Source

Weights = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Weighting:
    """What a picture weighs.

    The pictures of one set and kind are a group. A group weighs the number of its `unit`s to the
    power of `power` (1: every unit alike; 0: every group alike; 0.5 between the two), times the
    factors of its set and of its kind, 1 where none is given. Inside a group a picture weighs as
    many units as it has, at most `most`.
    """

    unit: Literal["objects", "pictures"] = "objects"
    power: float = 0.5
    most: int = 20
    sources: Mapping[str, float] = field(default_factory=dict)
    kinds: Mapping[Kind, float] = field(default_factory=dict)

    def of(self, source: Source) -> Weights:
        """The probability of each picture: float64 [pictures], sum 1.

        Raises `InvalidRequest` for a factor of a set that is not there, a negative one, and where
        nothing is left.
        """
        records = [source.record(index) for index in range(len(source))]
        self._check({record.source for record in records})
        units = np.array(
            [min(r.objects, self.most) if self.unit == "objects" else 1 for r in records],
            np.float64,
        )
        groups = [(record.source, record.kind) for record in records]
        numbers = {group: number for number, group in enumerate(dict.fromkeys(groups))}
        number_of = np.array([numbers[group] for group in groups])
        totals = np.bincount(number_of, units)
        factors = np.array(
            [self.sources.get(name, 1.0) * self.kinds.get(kind, 1.0) for name, kind in numbers]
        )
        weights = (factors * totals ** (self.power - 1))[number_of] * units
        return _normalised(weights)

    def _check(self, names: set[str]) -> None:
        unknown = sorted(self.sources.keys() - names)
        if unknown:
            raise InvalidRequest(
                f"weights name {', '.join(unknown)}, which the training data does not hold; it "
                f"holds {', '.join(sorted(names))}"
            )
        factors = [*self.sources.values(), *self.kinds.values()]
        if not all(np.isfinite(factor) and factor >= 0 for factor in factors):
            raise InvalidRequest("weights of training data must be numbers of at least 0")


class Mixture(Source):
    """A source whose pictures are drawn with probabilities of their own.

    `weights` are float64 [pictures], at least 0; they need not sum to 1.
    """

    def __init__(self, source: Source, weights: Weights) -> None:
        self.source = source
        self.weights = _normalised(np.asarray(weights, np.float64))
        if len(self.weights) != len(source):
            raise ValueError(f"{len(self.weights)} weights for {len(source)} pictures")
        self._totals = np.cumsum(self.weights)

    @classmethod
    def of(cls, source: Source, weighting: Weighting | None = None) -> Mixture:
        """The source with the weights of `weighting`. Raises `InvalidRequest`."""
        return cls(source, (weighting or Weighting()).of(source))

    @classmethod
    def scored(cls, source: Source, scores: Mapping[str, float], gamma: float = 1.25) -> Mixture:
        """Pictures by how badly they are segmented so far: (1 - score) ** `gamma`.

        f-BRS's and RITM's sampling on SBD. `scores` are by key, in 0..1; pictures without one are
        not drawn.
        """
        found = [scores.get(source.record(index).key, 1.0) for index in range(len(source))]
        return cls(source, (1 - np.clip(found, 0, 1)) ** gamma)

    def __len__(self) -> int:
        return len(self.source)

    def record(self, index: int) -> Record:
        """See `Source.record`."""
        return self.source.record(index)

    def load(self, index: int) -> Annotated:
        """See `Source.load`."""
        return self.source.load(index)

    def fingerprint(self) -> str:
        """That of the source: how often a picture is drawn is a setting and no data."""
        return self.source.fingerprint()

    def draw(self, rng: np.random.Generator) -> int:
        """The index of a random picture, by the weights."""
        position = rng.random() * self._totals[-1]
        index = int(np.searchsorted(self._totals, position, side="right"))
        return min(index, len(self.weights) - 1)

    def shares(self) -> dict[str, float]:
        """The probability that a picture of each set is drawn, by name, the largest first."""
        shares: dict[str, float] = {}
        for index, weight in enumerate(self.weights.tolist()):
            name = self.source.record(index).source
            shares[name] = shares.get(name, 0.0) + weight
        return dict(sorted(shares.items(), key=lambda item: -item[1]))


def _normalised(weights: Weights) -> Weights:
    total = weights.sum()
    if not np.isfinite(total) or total <= 0 or weights.min() < 0:
        raise InvalidRequest("no training picture has a weight above 0; check the weights")
    return np.asarray(weights / total, np.float64)
