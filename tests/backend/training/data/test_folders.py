from __future__ import annotations

import json
from pathlib import Path

import cv2
import numpy as np
import pytest
from PIL import Image as PillowImage

from backend.errors import InvalidImage, InvalidRequest
from backend.training.data.folders import Folder, connected
from backend.training.data.opening import open_sources
from backend.training.data.source import IGNORE, Kind
from tests.backend.training.data.pictures import layer_of, png, scene, write_folders


@pytest.mark.parametrize(
    "names",
    [
        ("images", "masks"),
        ("img", "gt"),
        ("DUTS-TR-Image", "DUTS-TR-Mask"),
        ("JPEGImages", "SegmentationObject"),
        (".", "."),
    ],
)
def test_pictures_and_masks_are_paired(tmp_path: Path, names: tuple[str, str]) -> None:
    pictures = {"b": scene(seed=1), "a": scene(seed=2)}
    source = open_sources([write_folders(tmp_path / "mine", pictures, names)])
    assert [source.record(index).key for index in range(2)] == ["a", "b"]
    for index, seed in enumerate((2, 1)):
        picture = source.load(index)
        np.testing.assert_array_equal(picture.layers[0], scene(seed=seed).layers[0])
        assert (picture.source, picture.kind) == ("mine", Kind.INSTANCES)


def test_subfolders_and_descriptions(tmp_path: Path) -> None:
    write_folders(tmp_path, {"s/a": scene(), "t/a": scene(seed=3)}, ("images", "masks"))
    (tmp_path / "masks" / "t" / "a.json").write_text(
        json.dumps({"source": "other", "kind": "parts", "objects": 4})
    )
    source = Folder(tmp_path, name="mine")
    assert [source.record(index).key for index in range(2)] == ["s/a", "t/a"]
    assert [source.record(index).source for index in range(2)] == ["mine", "other"]
    assert source.load(1).kind is Kind.PARTS


def test_masks_of_nothing_but_black_and_white_are_saliency(tmp_path: Path) -> None:
    layer = np.where(layer_of((40, 50), (5, 5, 20, 30)) > 0, IGNORE, 0)
    for suffix in ("png", "jpg"):
        root = tmp_path / suffix
        write_folders(root, {"a": scene(40, 50)}, ("images", "masks"))
        (root / "masks" / "a.png").unlink()
        grey = np.where(layer == IGNORE, np.uint8(255), np.uint8(0))
        cv2.imwrite(str(root / "masks" / f"a.{suffix}"), grey)
        source = open_sources([root])
        picture = source.load(0)
        assert picture.kind is source.record(0).kind is Kind.SALIENT
        different = picture.mask(0) != (layer == IGNORE)
        assert different.mean() < 0.01 and not picture.ignored().any()


def test_palettes_are_ids_and_not_colours(tmp_path: Path) -> None:
    picture = scene()
    write_folders(tmp_path, {"a": picture}, ("images", "masks"))
    mask = PillowImage.fromarray(picture.layers[0].astype(np.uint8), "P")
    mask.putpalette(list(range(255, -1, -1)) * 3)
    mask.save(tmp_path / "masks" / "a.png")
    np.testing.assert_array_equal(open_sources([tmp_path]).load(0).layers[0], picture.layers[0])


def test_lists_of_a_set_name_its_training_pictures(tmp_path: Path) -> None:
    write_folders(
        tmp_path, {"a": scene(), "b": scene(seed=2)}, ("JPEGImages", "SegmentationObject")
    )
    (tmp_path / "JPEGImages" / "c.jpg").write_bytes(b"")
    listed = tmp_path / "ImageSets" / "Segmentation" / "train.txt"
    listed.parent.mkdir(parents=True)
    listed.write_text("b\n")
    source = open_sources([tmp_path])
    assert [source.record(index).key for index in range(len(source))] == ["b"]


def test_masks_that_are_missing_are_named(tmp_path: Path) -> None:
    write_folders(tmp_path, {"a": scene(), "b": scene()}, ("images", "masks"))
    (tmp_path / "masks" / "b.png").unlink()
    with pytest.raises(InvalidRequest, match=r"b \(1 pictures in all\) are not in both"):
        open_sources([tmp_path])


def test_a_mask_of_another_size(tmp_path: Path) -> None:
    write_folders(tmp_path, {"a": scene()}, ("images", "masks"))
    (tmp_path / "masks" / "a.png").write_bytes(png(scene(100, 100).layers[0]))
    with pytest.raises(InvalidImage, match="a mask needs the size of its upright picture"):
        open_sources([tmp_path]).load(0)


def test_classes_are_cut_into_connected_pieces(tmp_path: Path) -> None:
    classes = layer_of((60, 80), (0, 0, 20, 20), (0, 30, 20, 50))
    classes[classes == 2] = 1
    classes[40:60, :40] = 7
    classes[40:44, 70:73] = 7
    classes[20:25] = IGNORE
    pieces = connected(classes)
    assert np.unique(pieces).tolist() == [IGNORE, 0, 1, 2, 3]
    assert (pieces[0, 0], pieces[0, 40], pieces[50, 10], pieces[41, 71]) == (1, 2, 3, IGNORE)
    for piece in (1, 2, 3):
        assert len(np.unique(classes[pieces == piece])) == 1

    for folder, data in (("images", scene(60, 80).image), ("annotations", classes)):
        (tmp_path / folder / "training").mkdir(parents=True)
        name = "a.jpg" if folder == "images" else "a.png"
        stored = np.where(data == IGNORE, 255, data).astype(np.uint8)
        cv2.imwrite(str(tmp_path / folder / "training" / name), stored)
    picture = open_sources([tmp_path]).load(0)
    assert picture.kind is Kind.REGIONS
    np.testing.assert_array_equal(picture.layers[0], pieces)


def test_fingerprint_changes_with_the_files(tmp_path: Path) -> None:
    write_folders(tmp_path, {"a": scene()}, ("images", "masks"))
    before = open_sources([tmp_path]).fingerprint()
    assert open_sources([tmp_path]).fingerprint() == before
    write_folders(tmp_path, {"b": scene()}, ("images", "masks"))
    assert open_sources([tmp_path]).fingerprint() != before
