"""Sources made of others: several after each other, and some pictures of one."""

from __future__ import annotations

import hashlib
from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from itertools import accumulate

import numpy as np

from backend.errors import InvalidRequest
from backend.training.data.source import Annotated, Record, Source


class Joined(Source):
    """The pictures of several sources after each other."""

    def __init__(self, sources: Sequence[Source]) -> None:
        if not sources:
            raise InvalidRequest("no training data was named; give at least one path")
        self.sources = tuple(sources)
        self._ends = list(accumulate(len(source) for source in self.sources))

    def __len__(self) -> int:
        return self._ends[-1]

    def record(self, index: int) -> Record:
        """See `Source.record`."""
        source, own = self._find(index)
        return source.record(own)

    def load(self, index: int) -> Annotated:
        """See `Source.load`."""
        source, own = self._find(index)
        return source.load(own)

    def fingerprint(self) -> str:
        """See `Source.fingerprint`."""
        return _digest(source.fingerprint() for source in self.sources)

    def _find(self, index: int) -> tuple[Source, int]:
        if not 0 <= index < len(self):
            raise IndexError(index)
        number = bisect_right(self._ends, index)
        return self.sources[number], index - (self._ends[number - 1] if number else 0)


class Subset(Source):
    """Some pictures of a source, by their indices there, in this order."""

    def __init__(self, source: Source, indices: Iterable[int]) -> None:
        self.source = source
        self.indices = np.fromiter(indices, np.int64)
        if not len(self.indices):
            raise InvalidRequest("no training picture is left; exclude fewer")

    def __len__(self) -> int:
        return len(self.indices)

    def record(self, index: int) -> Record:
        """See `Source.record`."""
        return self.source.record(int(self.indices[index]))

    def load(self, index: int) -> Annotated:
        """See `Source.load`."""
        return self.source.load(int(self.indices[index]))

    def fingerprint(self) -> str:
        """See `Source.fingerprint`; another choice of pictures has another one."""
        return _digest([self.source.fingerprint(), self.indices.astype("<i8").tobytes().hex()])


def without(source: Source, names: Collection[str]) -> Source:
    """The source without the pictures of these names (`Record.name`)."""
    left = [index for index in range(len(source)) if source.record(index).name not in names]
    return source if len(left) == len(source) else Subset(source, left)


def _digest(parts: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()
