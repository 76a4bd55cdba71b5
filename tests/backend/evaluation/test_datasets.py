from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np

from backend.evaluation.datasets import DataSet, Sample


def sample(key: str, split: str | None = None) -> Sample:
    image, labels = np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.int8)
    return Sample(key, key, lambda: image, lambda: labels, split)


def dataset(*samples: Sample) -> DataSet:
    return DataSet("set", "packed", Path(), samples)


def keys(some: DataSet) -> list[str]:
    return [sample.key for sample in some.samples]


def test_limit_takes_the_smallest_hashes_in_file_order() -> None:
    names = [f"picture{number}" for number in range(20)]
    hashes = {name: hashlib.sha256(name.encode()).hexdigest() for name in names}
    smallest = sorted(names, key=hashes.__getitem__)[:5]
    limited = keys(dataset(*map(sample, names)).limited(5))
    assert limited == [name for name in names if name in smallest]


def test_limit_does_not_depend_on_the_order_of_files() -> None:
    names = [f"picture{number}" for number in range(20)]
    forward = keys(dataset(*map(sample, names)).limited(7))
    backward = keys(dataset(*map(sample, reversed(names))).limited(7))
    assert forward == backward[::-1]


def test_limit_beyond_the_set_keeps_it() -> None:
    whole = dataset(sample("a"), sample("b"))
    assert whole.limited(3) is whole
    assert whole.limited(None) is whole


def test_split_keeps_its_samples() -> None:
    whole = dataset(sample("a", "adapt"), sample("b", "held_out"), sample("c"))
    assert keys(whole.of_split("held_out")) == ["b"]
    assert keys(whole.of_split(None)) == ["a", "b", "c"]
