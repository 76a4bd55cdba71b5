from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from backend.errors import InvalidImage, InvalidRequest
from backend.training.data.opening import open_sources
from backend.training.data.sbd import Sbd
from tests.backend.evaluation import folders as evaluation_folders
from tests.backend.training.data.annotations import annotation, write_coco, write_pictures
from tests.backend.training.data.pictures import scene, write_folders, write_shard


def test_paths_of_several_kinds_follow_each_other(tmp_path: Path) -> None:
    write_shard(tmp_path / "shards" / "0.tar", 2)
    write_shard(tmp_path / "shards" / "1.tar", 2)
    write_folders(tmp_path / "folder", {"x": scene()}, ("images", "masks"))
    write_pictures(tmp_path / "coco", 1)
    path = write_coco(tmp_path / "coco" / "instances.json", [annotation(1, (2, 2, 30, 30))])
    source = open_sources([tmp_path / "shards", tmp_path / "folder", path])
    names = [source.record(index).source for index in range(len(source))]
    assert names == ["discs"] * 4 + ["folder", "coco"]
    for index, name in enumerate(names):
        assert source.load(index).source == name
    with pytest.raises(IndexError):
        source.load(6)
    with pytest.raises(IndexError):
        source.load(-1)


def test_a_single_shard_is_verified_where_that_is_wanted(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "0.tar", 2)
    wrong = {"shards": [{"file": "0.tar", "sha256": "0" * 64}]}
    (tmp_path / "manifest.json").write_text(json.dumps(wrong))
    assert len(open_sources([path])) == 2
    for paths in ([path], [tmp_path]):
        with pytest.raises(InvalidRequest, match=r"manifest\.json beside it says 000000000000"):
            open_sources(paths, verify=True)


def test_a_list_takes_pictures_out(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "0.tar", 3)
    taken = tmp_path / "seen.txt"
    taken.write_text("discs/a1\n\nother/a2\n")
    source = open_sources([path, taken])
    assert [source.record(index).key for index in range(len(source))] == ["a0", "a2"]
    taken.write_text("a1\n")
    with pytest.raises(InvalidRequest, match="such as discs/a0"):
        open_sources([path, taken])
    taken.write_text("discs/a0\ndiscs/a1\ndiscs/a2\n")
    with pytest.raises(InvalidRequest, match="no training picture is left"):
        open_sources([path, taken])


def write_sbd(root: Path) -> Path:
    ids = scene().layers[0].astype(np.int16)
    pictures = {"one": (scene().image, ids), "two": (scene().image, ids[::-1])}
    evaluation_folders.write_sbd(root, pictures)
    (root / "train.txt").write_text("two\n")
    return root


def test_sbd_gives_the_pictures_of_its_training_list(tmp_path: Path) -> None:
    source = open_sources([write_sbd(tmp_path)])
    assert [source.record(index).key for index in range(len(source))] == ["two"]
    np.testing.assert_array_equal(source.load(0).layers[0], scene().layers[0][::-1])
    assert source.load(0).source == "sbd"
    assert Sbd(tmp_path, list_name="val.txt").fingerprint() != source.fingerprint()


def test_sbd_that_is_incomplete_or_damaged(tmp_path: Path) -> None:
    root = write_sbd(tmp_path)
    (root / "inst" / "two.mat").write_bytes(b"MATLAB 5.0 MAT-file" + bytes(200))
    with pytest.raises(InvalidImage, match="not a readable SBD instance file"):
        open_sources([root]).load(0)
    (root / "inst" / "two.mat").unlink()
    with pytest.raises(InvalidRequest, match=r"of which 1 lack .*two"):
        open_sources([root])
    (root / "train.txt").unlink()
    with pytest.raises(InvalidRequest, match=r"train\.txt is missing"):
        open_sources([root])


def test_paths_that_hold_no_training_data(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="does not exist"):
        open_sources([tmp_path / "absent"])
    with pytest.raises(InvalidRequest, match="of a known layout"):
        open_sources([tmp_path])
    (tmp_path / "a.zip").write_text("x")
    with pytest.raises(InvalidRequest, match="is no training data"):
        open_sources([tmp_path / "a.zip"])
    with pytest.raises(InvalidRequest, match="no training data was named"):
        open_sources([])
    (tmp_path / "images").mkdir()
    (tmp_path / "masks").mkdir()
    with pytest.raises(InvalidRequest, match="of a known layout"):
        open_sources([tmp_path])
