from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.training.data.near_duplicates import (
    difference_hash,
    evaluation_pictures,
    excluding,
    near_pictures,
)
from backend.training.data.source import Annotated, Kind
from tests.backend.evaluation import folders as evaluation_folders
from tests.backend.training.data.pictures import Listed


def photograph(seed: int) -> np.ndarray:
    """Something with large soft shapes: uint8 180x240x3."""
    coarse = np.random.default_rng(seed).integers(0, 256, (9, 12, 3)).astype(np.uint8)
    return cv2.resize(coarse, (240, 180), interpolation=cv2.INTER_CUBIC)


def source_of(*images: np.ndarray) -> Listed:
    return Listed(
        [
            Annotated(image, (np.zeros(image.shape[:2], np.int32),), (), Kind.SALIENT, "s", f"p{n}")
            for n, image in enumerate(images)
        ]
    )


def test_the_hash_says_where_it_gets_darker_to_the_right() -> None:
    fall = np.repeat(np.linspace(250, 0, 90).astype(np.uint8)[None], 80, 0)
    image = np.stack([fall] * 3, axis=2)
    assert difference_hash(image) == 2**64 - 1
    assert difference_hash(np.ascontiguousarray(image[:, ::-1])) == 0
    image[40:] = image[40:, ::-1]
    assert difference_hash(image) == (2**32 - 1) << 32


@pytest.mark.parametrize("mirrored", [False, True])
def test_copies_are_found_and_others_are_not(mirrored: bool) -> None:
    original = photograph(1)
    small = cv2.resize(original, (100, 75), interpolation=cv2.INTER_AREA)
    copy = cv2.imdecode(cv2.imencode(".jpg", small, [cv2.IMWRITE_JPEG_QUALITY, 40])[1], 1)
    copy = np.clip(copy * 0.9 + 12, 0, 255).astype(np.uint8)
    if mirrored:
        copy = np.ascontiguousarray(copy[:, ::-1])
    others = {f"e{seed}": photograph(seed) for seed in (7, 1, 8)}
    (near,) = near_pictures(source_of(photograph(2), copy, photograph(3)), others)
    assert (near.index, near.name, near.other) == (1, "s/p1", "e1")
    assert near.bits <= 4
    assert near_pictures(source_of(photograph(2)), others) == ()
    assert near_pictures(source_of(copy), {}) == ()


def test_evaluation_pictures_are_taken_out_of_training(tmp_path: Path) -> None:
    ids = np.ones((180, 240), np.int16)
    root = evaluation_folders.write_packed(tmp_path / "set", {"one": (photograph(1), ids)})
    assert list(evaluation_pictures([root])) == [str(root / "images" / "one.png")]
    source = source_of(photograph(1), photograph(2))
    left, found = excluding(source, [root])
    assert [left.record(index).key for index in range(len(left))] == ["p1"]
    assert [near.name for near in found] == ["s/p0"]
    assert excluding(left, [root]) == (left, ())
