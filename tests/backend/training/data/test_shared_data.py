"""The readers on real training data, where it lies beside the checkout."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from backend.training.data import published
from backend.training.data.mixture import Mixture
from backend.training.data.near_duplicates import evaluation_pictures, near_pictures
from backend.training.data.opening import open_sources
from backend.training.data.sample import draw
from backend.training.data.shards import Shards
from backend.training.data.source import Kind

SETS = ("train_objects", "train_domains", "train_video")

EVALUATION = (
    "grabcut",
    "berkeley",
    "davis345",
    "davis_video",
    "coco_mval",
    "ecssd",
    "voc2012val_2007part",
    "pennfudan",
    "dsb2018",
    "domain_shift",
)


@pytest.mark.parametrize("name", SETS[:2])
def test_shards_hold_what_their_manifest_says(shared: Path, name: str) -> None:
    root = shared / "data" / name
    manifest = json.loads((root / "manifest.json").read_text())
    source = open_sources([root])
    assert isinstance(source, Shards)
    assert source.verify() == ()
    records = [source.record(index) for index in range(len(source))]
    assert len(records) == manifest["pictures"]
    assert sum(record.objects for record in records) == manifest["objects"]
    for set_, entry in manifest["sources"].items():
        assert sum(record.source == set_ for record in records) == entry["pictures"]
    for index in np.random.default_rng(0).choice(len(source), 60, replace=False).tolist():
        picture = source.load(index)
        assert len(picture.objects) == records[index].objects, picture.key
        assert picture.areas().min() >= 144 or picture.source != "coco"


def test_samples_of_all_of_it(shared: Path) -> None:
    mixture = Mixture.of(open_sources([shared / "data" / name for name in SETS]))
    shares = mixture.shares()
    assert shares["pellets"] < 2 * shares["wild_animals"], "1,575 grains do not drown the animals"
    found = [draw(mixture, 0, number, published.ritm_coco_lvis()) for number in range(40)]
    assert len({one.source for one in found}) > 10
    assert all(one.image.shape == (320, 480, 3) for one in found)
    kinds = {mixture.record(index).kind for index in range(len(mixture))}
    assert kinds == set(Kind)


@pytest.mark.slow
def test_no_evaluation_picture_is_among_them(shared: Path) -> None:
    """Four bits and fewer are copies; pictures with little in them agree in five by chance."""
    source = open_sources([shared / "data" / name for name in SETS])
    pictures = evaluation_pictures([shared / "data" / name for name in EVALUATION])
    assert near_pictures(source, pictures, bits=4) == ()
