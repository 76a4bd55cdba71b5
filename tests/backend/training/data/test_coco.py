from __future__ import annotations

import json
import multiprocessing
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import cv2
import numpy as np
import pytest

from backend.errors import InvalidImage, InvalidRequest
from backend.training.data.opening import open_sources
from backend.training.data.source import IGNORE, Annotated, Kind, Source
from tests.backend.training.data.annotations import (
    HEIGHT,
    WIDTH,
    Box,
    annotation,
    compressed,
    crowd,
    filled,
    rectangle,
    write_coco,
    write_lvis,
    write_pictures,
    write_stuff,
)

PERSON: Box = (10, 5, 40, 50)
BAG: Box = (30, 20, 60, 40)
SHIRT: Box = (12, 15, 38, 35)
BUTTON: Box = (20, 20, 24, 24)
TABLE: Box = (45, 42, 78, 58)


def masks_of(picture: Annotated) -> list[np.ndarray]:
    return [picture.mask(index) for index in range(len(picture.objects))]


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """COCO's own folders, with two pictures."""
    write_pictures(tmp_path / "train2017", 1, 2)
    return tmp_path


def annotations_of(root: Path) -> Path:
    return root / "annotations"


def test_overlapping_instances_keep_their_whole_masks(root: Path) -> None:
    path = annotations_of(root) / "instances_train2017.json"
    outlines = [annotation(2, PERSON), annotation(2, BAG), compressed(2, TABLE)]
    source = open_sources([write_coco(path, outlines)])
    assert len(source) == 1, "a picture without annotations teaches nothing"
    picture = source.load(0)
    assert (picture.key, picture.source, picture.kind) == ("2", "coco", Kind.INSTANCES)
    assert source.record(0).objects == 3
    assert picture.image.mean() == pytest.approx(80, abs=2), "the second picture's grey"
    for mask, box in zip(masks_of(picture), (PERSON, BAG, TABLE), strict=True):
        np.testing.assert_array_equal(mask, filled(box))
    assert [ref.layer for ref in picture.objects] == [0, 1, 0]
    assert picture.areas().tolist() == [int(filled(box).sum()) for box in (PERSON, BAG, TABLE)]


def test_polygons_of_one_instance_are_one_mask_and_crowds_are_ignored(root: Path) -> None:
    group: Box = (0, 0, 45, 30)
    outlines = [annotation(1, PERSON, TABLE), crowd(1, group)]
    path = write_coco(annotations_of(root) / "instances_train2017.json", outlines)
    picture = open_sources([path]).load(0)
    (mask,) = masks_of(picture)
    np.testing.assert_array_equal(mask, filled(PERSON, TABLE))
    np.testing.assert_array_equal(picture.ignored(), filled(group) & ~filled(PERSON))
    assert IGNORE in picture.layers[0]


def test_a_hole_drawn_as_a_frame_of_polygons(root: Path) -> None:
    frame = [(10, 10, 50, 15), (10, 35, 50, 40), (10, 10, 15, 40), (45, 10, 50, 40)]
    path = write_coco(annotations_of(root) / "instances.json", [annotation(1, *frame)])
    (mask,) = masks_of(open_sources([path]).load(0))
    np.testing.assert_array_equal(mask, filled((10, 10, 50, 40)) & ~filled((15, 15, 45, 35)))


def test_union_of_coco_and_lvis(root: Path) -> None:
    """LVIS's shirt with its button stands; COCO adds the person, but not LVIS's table again."""
    nearly = (46, 42, 78, 58)
    lvis = write_lvis(
        root / "lvis_v1_train.json",
        [annotation(1, SHIRT), annotation(1, BUTTON), annotation(1, TABLE)],
        pictures=(1,),
    )
    coco = write_coco(
        annotations_of(root) / "instances_train2017.json",
        [annotation(1, PERSON), annotation(1, nearly), annotation(2, BAG)],
    )
    source = open_sources([coco, lvis])
    assert len(source) == 1, "pictures are LVIS's"
    picture = source.load(0)
    assert picture.source == "coco_lvis"
    for mask, box in zip(masks_of(picture), (SHIRT, BUTTON, TABLE, PERSON), strict=True):
        np.testing.assert_array_equal(mask, filled(box))
    shirt, button, table, person = picture.objects
    assert (person.parent, person.children) == (None, (0,))
    assert (shirt.parent, shirt.children) == (3, (1,))
    assert (button.parent, button.children) == (0, ())
    assert (table.parent, table.children) == (None, ())


def test_stuff_joins_and_belongs_to_no_hierarchy(root: Path) -> None:
    floor = (0, 0, WIDTH, HEIGHT)
    lvis = write_lvis(root / "lvis_v1_train.json", [annotation(1, SHIRT)], pictures=(1,))
    coco = write_coco(root / "instances_train2017.json", [annotation(1, PERSON)])
    outlines = [annotation(1, floor, category_id=124), annotation(1, SHIRT, category_id=183)]
    stuff = write_stuff(root / "stuff_train2017.json", outlines, (1,))
    picture = open_sources([root]).load(0)
    assert {path.name for path in (lvis, coco, stuff)} == {
        path.name for path in root.glob("*.json")
    }
    assert [ref.stuff for ref in picture.objects] == [False, False, True]
    assert picture.objects[2].children == () and picture.objects[1].parent is None
    np.testing.assert_array_equal(picture.mask(2), filled(floor))


def test_a_folder_gives_its_training_files_only(root: Path) -> None:
    folder = annotations_of(root)
    write_coco(folder / "instances_train2017.json", [annotation(1, PERSON)])
    write_coco(folder / "instances_val2017.json", [annotation(2, BAG)])
    (folder / "captions_train2017.json").write_text("{}")
    source = open_sources([root])
    assert [source.record(index).key for index in range(len(source))] == ["1"]


def test_pictures_that_are_not_there_are_left_out(
    root: Path, caplog: pytest.LogCaptureFixture
) -> None:
    outlines = [annotation(1, PERSON), annotation(7, BAG)]
    path = write_coco(annotations_of(root) / "instances.json", outlines, pictures=(1, 7))
    assert len(open_sources([path])) == 1
    assert "lists 1 pictures that are not there" in caplog.text
    with pytest.raises(InvalidRequest, match="none of them lies beside it"):
        open_sources([write_coco(annotations_of(root) / "x.json", outlines[1:], pictures=(7,))])
    with pytest.raises(InvalidRequest, match="annotates none"):
        open_sources([write_coco(annotations_of(root) / "x.json", [])])


def test_lvis_finds_the_pictures_of_coco(tmp_path: Path) -> None:
    write_pictures(tmp_path / "COCO" / "images" / "train2017", 1)
    write_coco(tmp_path / "COCO/annotations/instances_train2017.json", [annotation(1, PERSON)])
    elsewhere = tmp_path / "far" / "lvis_v1_train.json"
    write_lvis(elsewhere, [annotation(1, SHIRT)], pictures=(1,))
    with pytest.raises(InvalidRequest, match="none of them lies beside it"):
        open_sources([elsewhere])
    assert len(open_sources([tmp_path / "COCO", elsewhere]).load(0).objects) == 2
    inside = tmp_path / "COCO" / "lvis_v1_train.json"
    elsewhere.rename(inside)
    source = open_sources([tmp_path / "COCO"])
    assert source.record(0).source == "coco_lvis" and len(source.load(0).objects) == 2


def test_pictures_of_a_neighbouring_set_are_not_taken(tmp_path: Path) -> None:
    write_pictures(tmp_path / "mine" / "train2017", 1)
    write_pictures(tmp_path / "other", 2)
    outlines = [annotation(1, PERSON), annotation(2, PERSON)]
    source = open_sources([write_coco(tmp_path / "mine" / "instances.json", outlines)])
    assert [source.record(index).key for index in range(len(source))] == ["1"]


def test_reduced_pictures_reduce_their_masks(root: Path) -> None:
    path = write_coco(annotations_of(root) / "instances.json", [annotation(1, PERSON)])
    picture = open_sources([path], longest=40).load(0)
    assert picture.size == (30, 40)
    assert picture.areas()[0] == pytest.approx(filled(PERSON).sum() / 4, rel=0.1)


@pytest.mark.parametrize(
    "outline",
    [
        [[1, 2, 3, 4, 5]],
        [[0, 0, 1e400, 4, 5, 6]],
        [["a", 1, 2, 3, 4, 5]],
        7,
        [[[0, 0], [1, 1]]],
        {"size": [HEIGHT, WIDTH], "counts": [5, 3]},
        {"size": [1, 1], "counts": [1]},
        {"size": [HEIGHT, WIDTH], "counts": "\x00"},
    ],
)
def test_outlines_that_cannot_be_drawn_are_named(root: Path, outline: object) -> None:
    broken = {"image_id": 1, "category_id": 1, "segmentation": outline}
    source = open_sources([write_coco(annotations_of(root) / "instances.json", [broken])])
    with pytest.raises(InvalidImage, match=r"instances\.json, picture 1"):
        source.load(0)


def test_outlines_far_outside_and_those_without_area(root: Path) -> None:
    outlines = [
        annotation(1, PERSON) | {"segmentation": [rectangle((-(10**9), 5, 40, 50))]},
        annotation(1, BAG) | {"segmentation": [[1, 1, 2, 2]]},
        annotation(1, BAG) | {"segmentation": []},
    ]
    picture = open_sources([write_coco(annotations_of(root) / "i.json", outlines)]).load(0)
    (mask,) = masks_of(picture)
    np.testing.assert_array_equal(mask, filled((0, 5, 40, 50)))


@pytest.mark.parametrize(
    ("content", "match"),
    [
        ("{", "not an annotation file"),
        ("[]", "not an annotation file"),
        ('{"images": []}', "'annotations'"),
        ('{"images": [{"id": 1}], "annotations": []}', "'height'"),
        ('{"images": [{"id": 1, "height": 9, "width": 9}], "annotations": []}', "no file_name"),
        (
            '{"images": [{"id": 1, "height": 9, "width": 9, "file_name": "../../etc/x.jpg"}],'
            ' "annotations": []}',
            "none of them lies beside it|no file_name",
        ),
        (
            '{"images": [{"id": 1, "height": 1000000, "width": 9000, "file_name": "x.jpg"}],'
            ' "annotations": []}',
            "has the size 9000 x 1000000",
        ),
        ('{"images": [], "annotations": [{"image_id": 5}]}', "picture 5, which is not in images"),
        ("[" * 100_000, "not an annotation file"),
    ],
)
def test_what_is_no_annotation_file(tmp_path: Path, content: str, match: str) -> None:
    path = tmp_path / "a.json"
    path.write_text(content)
    with pytest.raises(InvalidRequest, match=match):
        open_sources([path])


def load_sums(source: Source) -> list[int]:
    return [int(source.load(index).areas().sum()) for index in range(len(source))]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_worker_processes_share_the_outlines(root: Path, method: str) -> None:
    outlines = [annotation(1, PERSON), annotation(2, BAG), annotation(2, TABLE)]
    source = open_sources([write_coco(annotations_of(root) / "instances.json", outlines)])
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context(method)) as pool:
        assert pool.submit(load_sums, source).result() == load_sums(source)


def write_panoptic(root: Path) -> Path:
    """A person, grass around it, and a crowd, in the colours of COCO's panoptic masks."""
    ids = np.where(filled(PERSON), 1 + 256 * 2 + 65536 * 3, 70_000)
    ids[50:] = 9
    ids[:3] = 0
    colours = np.stack([ids % 256, ids // 256 % 256, ids // 65536], axis=2).astype(np.uint8)
    masks = root / "annotations" / "panoptic_train2017"
    masks.mkdir(parents=True)
    cv2.imwrite(str(masks / "000000000001.png"), colours[..., ::-1])
    segments = [
        {"id": 70_000, "category_id": 2, "iscrowd": 0},
        {"id": 1 + 256 * 2 + 65536 * 3, "category_id": 1, "iscrowd": 0},
        {"id": 9, "category_id": 1, "iscrowd": 1},
    ]
    entry = {"image_id": 1, "file_name": "000000000001.png", "segments_info": segments}
    path = write_coco(masks.with_suffix(".json"), [entry])
    content = json.loads(path.read_text())
    content["categories"] = [{"id": 1, "isthing": 1}, {"id": 2, "isthing": 0}]
    path.write_text(json.dumps(content))
    return path


def test_panoptic_segments(root: Path) -> None:
    write_panoptic(root)
    picture = open_sources([root]).load(0)
    assert picture.source == "coco_panoptic"
    grass, person = picture.objects
    assert (grass.stuff, person.stuff) == (True, False)
    np.testing.assert_array_equal(picture.mask(1), filled(PERSON))
    assert picture.ignored()[50:].all() and not picture.ignored()[:50].any()
    assert picture.background()[:3].all()


def test_a_panoptic_mask_that_is_missing(root: Path) -> None:
    path = write_panoptic(root)
    source = open_sources([path])
    (path.with_suffix("") / "000000000001.png").unlink()
    with pytest.raises(InvalidImage, match="cannot be read"):
        source.load(0)
