from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pytest

from backend.errors import InvalidImage, InvalidRequest
from backend.evaluation.datasets import DataSet
from backend.evaluation.layouts import open_dataset
from tests.backend.evaluation import folders


@pytest.fixture
def ids() -> np.ndarray:
    """Objects 1 and 2 with a band to ignore around the first."""
    ids = np.zeros((20, 30), np.int16)
    ids[2:12, 2:12] = -1
    ids[3:11, 3:11] = 1
    ids[13:18, 15:28] = 2
    return ids


@pytest.fixture
def pictures(ids: np.ndarray) -> folders.Pictures:
    image = np.random.default_rng(3).integers(0, 256, (20, 30, 3)).astype(np.uint8)
    return {"first": (image, ids), "second.v2": (image[::-1], ids[::-1])}


def labels_of(dataset: DataSet) -> dict[str, np.ndarray]:
    return {sample.key: sample.read_labels() for sample in dataset.samples}


def where(ids: np.ndarray, *wanted: int, ignore: bool) -> np.ndarray:
    labels = np.isin(ids, wanted).astype(np.int8)
    if ignore:
        labels[ids == -1] = -1
    return labels


def test_packed_set_has_a_sample_for_every_id(
    tmp_path: Path, pictures: folders.Pictures, ids: np.ndarray
) -> None:
    dataset = open_dataset(folders.write_packed(tmp_path / "people", pictures))
    labels = labels_of(dataset)
    assert (dataset.name, dataset.layout) == ("people", "packed")
    assert list(labels) == ["first#1", "first#2", "second.v2#1", "second.v2#2"]
    assert labels["first#1"].dtype == np.int8
    np.testing.assert_array_equal(labels["first#1"], where(ids, 1, ignore=True))
    np.testing.assert_array_equal(labels["first#2"], where(ids, 2, ignore=True))
    np.testing.assert_array_equal(labels["second.v2#2"], where(ids[::-1], 2, ignore=True))


def test_packed_pictures_are_rgb_and_shared_by_their_objects(
    tmp_path: Path, pictures: folders.Pictures
) -> None:
    samples = open_dataset(folders.write_packed(tmp_path / "set", pictures)).samples
    np.testing.assert_array_equal(samples[0].read_image(), pictures["first"][0])
    assert samples[0].picture == samples[1].picture != samples[2].picture


def test_packed_picture_with_one_object_keeps_its_key(
    tmp_path: Path, pictures: folders.Pictures
) -> None:
    image, ids = pictures["first"]
    root = folders.write_packed(tmp_path / "set", {"only": (image, np.minimum(ids, 1))})
    assert [sample.key for sample in open_dataset(root).samples] == ["only"]


def test_packed_davis_frame_is_one_object(
    tmp_path: Path, pictures: folders.Pictures, ids: np.ndarray
) -> None:
    labels = labels_of(open_dataset(folders.write_packed(tmp_path / "davis345", pictures)))
    assert list(labels) == ["first", "second.v2"]
    np.testing.assert_array_equal(labels["first"], where(ids, 1, 2, ignore=True))


@pytest.mark.parametrize(
    ("entries", "layout"),
    [(("data_GT", "boundary_GT"), "GrabCut"), (("images", "masks"), "Berkeley")],
)
def test_trimaps(
    entries: tuple[str, str],
    layout: str,
    tmp_path: Path,
    pictures: folders.Pictures,
    ids: np.ndarray,
) -> None:
    dataset = open_dataset(folders.write_trimaps(tmp_path / "set", pictures, *entries))
    labels = labels_of(dataset)
    assert (dataset.layout, list(labels)) == (layout, ["first", "second"])
    np.testing.assert_array_equal(labels["first"], where(ids, 1, 2, ignore=True))
    np.testing.assert_array_equal(dataset.samples[1].read_image(), pictures["second.v2"][0])


def test_colour_masks_are_one_object(
    tmp_path: Path, pictures: folders.Pictures, ids: np.ndarray
) -> None:
    dataset = open_dataset(folders.write_colour_masks(tmp_path / "DAVIS", pictures))
    labels = labels_of(dataset)
    assert list(labels) == ["first", "second"]
    np.testing.assert_array_equal(labels["first"], where(ids, 1, 2, ignore=False))


def test_davis585_has_a_sample_for_every_object_and_masks_to_correct(
    tmp_path: Path, pictures: folders.Pictures, ids: np.ndarray
) -> None:
    dataset = open_dataset(folders.write_davis585(tmp_path / "DAVIS-585", pictures))
    assert dataset.layout == "DAVIS-585"
    assert [sample.key for sample in dataset.samples] == [
        f"{name}/object{id_}_00007" for name in ("first", "second.v2") for id_ in (1, 2)
    ]
    first = dataset.samples[0]
    assert first.picture == dataset.samples[1].picture
    assert first.read_image().shape == (20, 30, 3)
    np.testing.assert_array_equal(first.read_labels(), ids == 1)
    assert list(first.starts) == ["sp"]
    np.testing.assert_array_equal(first.starts["sp"](), np.roll(ids == 1, 3, axis=1))
    bare = open_dataset(folders.write_davis585(tmp_path / "bare", pictures, starts=False))
    assert not bare.samples[0].starts


def test_davis585_without_a_picture_is_refused(tmp_path: Path, pictures: folders.Pictures) -> None:
    root = folders.write_davis585(tmp_path / "DAVIS-585", pictures)
    (root / "first" / "00007.jpg").unlink()
    with pytest.raises(InvalidRequest, match=r"first has no picture 00007\.jpg"):
        open_dataset(root)


def test_sbd_has_a_sample_for_every_instance_of_the_list(
    tmp_path: Path, pictures: folders.Pictures, ids: np.ndarray
) -> None:
    root = folders.write_sbd(tmp_path / "SBD", {"a": pictures["first"], "b": pictures["second.v2"]})
    (root / "val.txt").write_text("a\n")
    dataset = open_dataset(root)
    labels = labels_of(dataset)
    assert (dataset.layout, list(labels)) == ("SBD", ["a#1", "a#2", "a#255"])
    np.testing.assert_array_equal(labels["a#2"], where(ids, 2, ignore=False))
    assert dataset.samples[0].read_image().shape == (20, 30, 3)


def test_voc_instances_come_from_grey_values_and_void_is_ignored(
    tmp_path: Path, pictures: folders.Pictures, ids: np.ndarray
) -> None:
    both = {"2007_1": pictures["first"], "2007_2": pictures["second.v2"]}
    labels = labels_of(open_dataset(folders.write_voc(tmp_path / "VOC", both, listed=["2007_2"])))
    assert list(labels) == ["2007_2#38", "2007_2#75"]
    np.testing.assert_array_equal(labels["2007_2#38"], where(ids[::-1], 1, ignore=True))
    np.testing.assert_array_equal(labels["2007_2#75"], where(ids[::-1], 2, ignore=True))


def test_voc_without_a_list_takes_every_picture_with_instances(
    tmp_path: Path, pictures: folders.Pictures
) -> None:
    both = {"2007_2": pictures["first"], "2007_1": pictures["second.v2"]}
    dataset = open_dataset(folders.write_voc(tmp_path / "VOC", both))
    assert [s.key for s in dataset.samples] == ["2007_1#38", "2007_1#75", "2007_2#38", "2007_2#75"]


class Trap:
    """Creates a file when unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.path,)


def test_voc_pickle_is_never_opened(tmp_path: Path, pictures: folders.Pictures) -> None:
    root = folders.write_voc(tmp_path / "VOC", {"x": pictures["first"]}, listed=["x"])
    trap = root / "ImageSets" / "Segmentation" / "test.pickle"
    trap.write_bytes(pickle.dumps(Trap(tmp_path / "sprung")))
    assert len(open_dataset(root).samples) == 2
    assert not (tmp_path / "sprung").exists()


def test_set_is_found_below_the_folder_of_an_archive(
    tmp_path: Path, pictures: folders.Pictures
) -> None:
    folders.write_sbd(tmp_path / "archive" / "dataset", {"a": pictures["first"]})
    dataset = open_dataset(tmp_path / "archive")
    assert (dataset.name, dataset.layout, len(dataset.samples)) == ("archive", "SBD", 3)


def test_folder_of_several_sets_is_refused_with_their_names(
    tmp_path: Path, pictures: folders.Pictures
) -> None:
    folders.write_packed(tmp_path / "one", pictures)
    folders.write_colour_masks(tmp_path / "two", pictures)
    with pytest.raises(InvalidRequest, match=r"several evaluation sets; name one of .*one.*two"):
        open_dataset(tmp_path)


def test_unknown_folder_is_refused_with_the_layouts(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("nothing here")
    with pytest.raises(InvalidRequest, match=r"no evaluation set of a known layout .*boundary_GT"):
        open_dataset(tmp_path)


def test_missing_folder_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InvalidRequest, match="is not a folder"):
        open_dataset(tmp_path / "absent")


def test_picture_without_a_mask_is_named(tmp_path: Path, pictures: folders.Pictures) -> None:
    root = folders.write_colour_masks(tmp_path / "set", pictures)
    (root / "gt" / "first.png").unlink()
    with pytest.raises(InvalidRequest, match=r"gt has no mask of first \(1 pictures"):
        open_dataset(root)


def test_set_without_objects_is_refused(tmp_path: Path) -> None:
    (tmp_path / "img").mkdir()
    (tmp_path / "gt").mkdir()
    with pytest.raises(InvalidRequest, match="holds no object"):
        open_dataset(tmp_path)


def test_sbd_without_its_list_is_refused(tmp_path: Path, pictures: folders.Pictures) -> None:
    root = folders.write_sbd(tmp_path / "SBD", {"a": pictures["first"]})
    (root / "val.txt").unlink()
    with pytest.raises(InvalidRequest, match=r"val\.txt is missing"):
        open_dataset(root)


def test_damaged_files_are_named(tmp_path: Path, pictures: folders.Pictures) -> None:
    root = folders.write_packed(tmp_path / "set", pictures)
    for path in (root / "images" / "first.png", root / "masks" / "first.png"):
        path.write_bytes(path.read_bytes()[:40])
    sample = open_dataset(root).samples[0]
    with pytest.raises(InvalidImage, match=r"images/first\.png"):
        sample.read_image()
    with pytest.raises(InvalidImage, match=r"masks/first\.png"):
        sample.read_labels()


def test_damaged_instances_are_named(tmp_path: Path, pictures: folders.Pictures) -> None:
    root = folders.write_sbd(tmp_path / "SBD", {"a": pictures["first"]})
    (root / "inst" / "a.mat").write_bytes(b"not matlab")
    with pytest.raises(InvalidImage, match=r"a\.mat"):
        open_dataset(root)


def test_damaged_manifest_is_named(tmp_path: Path, pictures: folders.Pictures) -> None:
    root = folders.write_packed(tmp_path / "set", pictures)
    (root / "manifest.json").write_text('{"name": "set", "samples": []}')
    with pytest.raises(InvalidRequest, match=r"manifest\.json .*ignore_index"):
        open_dataset(root)


def test_shared_grabcut(shared: Path) -> None:
    dataset = open_dataset(shared / "data" / "grabcut")
    labels = dataset.samples[0].read_labels()
    assert len(dataset.samples) == 19
    assert set(np.unique(labels)) == {-1, 0, 1}
    assert dataset.samples[0].read_image().shape[:2] == labels.shape
