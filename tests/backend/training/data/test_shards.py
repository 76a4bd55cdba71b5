from __future__ import annotations

import hashlib
import io
import json
import multiprocessing
import os
import pickle
import tarfile
import zlib
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from backend.errors import InvalidImage, InvalidRequest
from backend.training.data.shards import Shards
from backend.training.data.source import IGNORE, Kind
from tests.backend.training.data.pictures import (
    jpeg,
    members_of,
    png,
    scene,
    write_shard,
    write_tar,
)


def test_pictures_masks_and_descriptions(tmp_path: Path) -> None:
    second = members_of("folder/b", scene(seed=9), {"kind": "parts", "objects": [{}, {}]})
    paths = [write_shard(tmp_path / "set" / "0.tar"), write_tar(tmp_path / "set" / "1.tar", second)]
    shards = Shards(paths)
    assert len(shards) == 4
    assert [shards.record(index).key for index in range(4)] == ["a0", "a1", "a2", "folder/b"]
    assert shards.record(0).source == "discs" and shards.record(0).objects == 4
    assert shards.record(3).source == "set"
    assert shards.record(3).kind is Kind.PARTS and shards.record(3).objects == 2
    for index, seed in enumerate((0, 1, 2, 9)):
        picture, truth = shards.load(index), scene(seed=seed)
        np.testing.assert_array_equal(picture.layers[0], truth.layers[0])
        assert picture.layers[0].dtype == np.int32
        assert np.abs(picture.image.astype(int) - truth.image).mean() < 3
        assert [ref.id for ref in picture.objects] == [1, 2, 3, 4]
    assert shards.load(3).kind is Kind.PARTS


def test_the_highest_value_is_ignored_at_either_depth(tmp_path: Path) -> None:
    picture = scene()
    layer = picture.layers[0]
    layer[:5] = IGNORE
    deep = np.where(layer == 1, 300, layer)
    members = members_of("shallow", picture) | {"deep.jpg": jpeg(picture.image)}
    shards = Shards([write_tar(tmp_path / "s.tar", members | {"deep.png": png(deep)})])
    np.testing.assert_array_equal(shards.load(0).layers[0], layer)
    np.testing.assert_array_equal(shards.load(1).layers[0], deep)
    assert [ref.id for ref in shards.load(1).objects] == [2, 3, 4, 300]


def test_without_a_description_the_source_is_the_folder(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "mine" / "s.tar", members_of("a", scene()))
    record = Shards([path]).record(0)
    assert (record.source, record.kind, record.objects) == ("mine", Kind.INSTANCES, 1)
    assert Shards([path], name="other").record(0).source == "other"


def test_large_pictures_are_reduced_with_their_masks(tmp_path: Path) -> None:
    picture = scene(400, 600)
    shards = Shards([write_tar(tmp_path / "s.tar", members_of("a", picture))], longest=150)
    small = shards.load(0)
    assert small.size == (100, 150) and small.layers[0].shape == (100, 150)
    expected = np.sort(picture.areas() / 16)
    np.testing.assert_allclose(np.sort(small.areas()), expected, rtol=0.1)
    middle = small.mask(0)
    assert np.abs(small.image[middle].mean(axis=0) - (220, 60, 60)).max() < 25


def load_all(shards: Shards) -> tuple[int, list[int]]:
    return os.getpid(), [int(shards.load(index).image.sum()) for index in range(len(shards))]


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_many_processes_read_the_same(tmp_path: Path, method: str) -> None:
    shards = Shards([write_shard(tmp_path / "s.tar", 6)])
    _, here = load_all(shards)  # the shard is open before the others start
    context = multiprocessing.get_context(method)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        results = list(pool.map(load_all, [shards] * 4))
    assert all(sums == here for _, sums in results)
    assert os.getpid() not in {pid for pid, _ in results}


def copied(shards: Shards) -> Shards:
    """As it arrives in a worker process that was not forked."""
    copy: Shards = pickle.loads(pickle.dumps(shards))  # noqa: S301
    return copy


def test_a_copy_opens_its_own_files(tmp_path: Path) -> None:
    shards = Shards([write_shard(tmp_path / "s.tar")])
    shards.load(0)
    copy = copied(shards)
    np.testing.assert_array_equal(copy.load(1).image, shards.load(1).image)


def test_few_shards_are_open_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.training.data.shards.MOST_OPEN", 2)
    shards = Shards([write_shard(tmp_path / f"{number}.tar", 1) for number in range(5)])
    images = [shards.load(index).image for index in (0, 1, 2, 3, 4, 0)]
    assert len(shards._open) == 2
    np.testing.assert_array_equal(images[0], images[-1])


def test_fingerprint_is_of_names_and_sizes(tmp_path: Path) -> None:
    first = Shards([write_shard(tmp_path / "a" / "s.tar", 2)]).fingerprint()
    assert Shards([write_shard(tmp_path / "b" / "s.tar", 2)]).fingerprint() == first
    assert Shards([write_shard(tmp_path / "c" / "s.tar", 40)]).fingerprint() != first
    assert Shards([write_shard(tmp_path / "d" / "t.tar", 2)]).fingerprint() != first


def test_shards_are_held_against_their_manifest(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "s.tar")
    unknown = write_shard(tmp_path / "t.tar")
    shards = Shards([path, unknown])
    assert shards.verify() == ("s.tar", "t.tar")
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    manifest = {"shards": [{"file": "s.tar", "sha256": digest}]}
    (tmp_path / "manifest.json").write_text(json.dumps(manifest))
    assert shards.verify() == ("t.tar",)
    with path.open("r+b") as file:
        file.seek(2000)
        file.write(b"?")
    with pytest.raises(InvalidRequest, match="fetch the shard again"):
        shards.verify()
    (tmp_path / "manifest.json").write_text('{"shards": [1]}')
    with pytest.raises(InvalidRequest, match="not a manifest"):
        shards.verify()


def damaged(path: Path, at: int, data: bytes | None) -> Path:
    """The file with `data` at position `at`, or cut off there."""
    content = bytearray(path.read_bytes())
    if data is None:
        del content[at:]
    else:
        content[at : at + len(data)] = data
    path.write_bytes(bytes(content))
    return path


def test_truncated_and_damaged_shards_are_refused(tmp_path: Path) -> None:
    whole = write_shard(tmp_path / "whole.tar").read_bytes()
    with tarfile.open(tmp_path / "whole.tar") as archive:
        starts = [member.offset for member in archive]
        end = archive.offset
    for at in [*starts[1:], starts[1] + 100, starts[2] + 700, end - 200, end]:
        path = tmp_path / "cut.tar"
        path.write_bytes(whole[:at])
        with pytest.raises(InvalidRequest, match=r"cut\.tar"):
            Shards([path])
    path = damaged(write_shard(tmp_path / "header.tar"), starts[4] + 10, b"\xff" * 200)
    with pytest.raises(InvalidRequest, match="damaged at byte"):
        Shards([path])


def test_what_is_no_shard_is_refused(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "s.tar.gz", "w:gz") as archive:
        archive.addfile(tarfile.TarInfo("a.jpg"), io.BytesIO())
    for name, content in {
        "gzip.tar": (tmp_path / "s.tar.gz").read_bytes(),
        "text.tar": b"hello" * 400,
        "empty.tar": b"",
    }.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(InvalidRequest, match="not a readable tar shard"):
            Shards([tmp_path / name])
    with pytest.raises(InvalidRequest, match="not a readable tar shard"):
        Shards([tmp_path / "absent.tar"])


def test_a_shard_without_samples_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.tar"
    path.write_bytes(bytes(10_240))
    with pytest.raises(InvalidRequest, match="holds no picture"):
        Shards([path])


def test_links_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "s.tar"
    with tarfile.open(path, "w") as archive:
        link = tarfile.TarInfo("a.jpg")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(InvalidRequest, match="a link or a special file"):
        Shards([path])


def test_claimed_sizes_are_not_believed(tmp_path: Path) -> None:
    for size, match in ((1 << 30, "more than the limit"), (1 << 20, "unexpected end")):
        path = tmp_path / "s.tar"
        info = tarfile.TarInfo("a.jpg")
        info.size = size
        path.write_bytes(info.tobuf() + bytes(10_240))
        with pytest.raises(InvalidRequest, match=match):
            Shards([path])


@pytest.mark.parametrize(
    ("drop", "add", "match"),
    [
        ("a.png", {}, r"a has no index mask; a sample needs a\.png"),
        ("a.jpg", {}, "a has 0 pictures"),
        ("", {"a.webp": b"x"}, "a has 2 pictures"),
        ("", {"a.json": b"[1]"}, "not a description"),
        ("", {"a.json": b"{"}, "not a description"),
        ("", {"a.json": b'{"kind": "other"}'}, "one of instances, salient, parts, regions"),
        ("", {"a.json": b'{"objects": "many"}'}, "a number or a list"),
        ("", {"a.json": b'{"source": 3}'}, "source must be text"),
        ("", {"a.json": b'"' + b"x" * (1 << 20) + b'"'}, "too many"),
        ("", {"a.json": b"[" * 200_000}, "not a description"),
    ],
)
def test_incomplete_samples_are_named(
    tmp_path: Path, drop: str, add: dict[str, bytes], match: str
) -> None:
    members = members_of("a", scene()) | add
    members.pop(drop, None)
    path = write_tar(tmp_path / "s.tar", members)
    with pytest.raises(InvalidRequest, match=match):
        Shards([path])


def test_a_member_twice_is_refused(tmp_path: Path) -> None:
    path = write_tar(tmp_path / "s.tar", members_of("a", scene()))
    with tarfile.open(path, "a") as archive:
        archive.addfile(tarfile.TarInfo("a.png"))
    with pytest.raises(InvalidRequest, match="occurs twice"):
        Shards([path])


def test_members_that_are_no_pictures(tmp_path: Path) -> None:
    good = members_of("a", scene())
    for name, data, match in (
        ("a.jpg", b"no picture", "picture.*not a readable picture"),
        ("a.jpg", good["a.jpg"][:-400], "picture.*not a readable picture"),
        ("a.png", b"no mask", "mask.*not a readable"),
        ("a.png", good["a.png"][:60], "mask"),
        ("a.png", jpeg(scene().image), "object ids need a palette or grey picture"),
        ("a.png", png(scene(60, 160).layers[0]), "the mask is 160 x 60 pixels"),
    ):
        shards = Shards([write_tar(tmp_path / "s.tar", good | {name: data})])
        with pytest.raises(InvalidImage, match=match):
            shards.load(0)


def test_a_picture_that_claims_too_many_pixels_is_not_decoded(tmp_path: Path) -> None:
    header = bytearray(png(np.zeros((4, 4), np.uint8)))
    header[16:24] = (9_000).to_bytes(4, "big") * 2
    header[29:33] = zlib.crc32(header[12:29]).to_bytes(4, "big")
    members = members_of("a", scene())
    path = write_tar(tmp_path / "s.tar", members | {"a.png": bytes(header)})
    with pytest.raises(InvalidImage, match="9000 x 9000 pixels"):
        Shards([path]).load(0)


def test_a_shard_that_became_shorter(tmp_path: Path) -> None:
    path = write_shard(tmp_path / "s.tar", 6)
    shards = Shards([path])
    shards.load(0)
    damaged(path, 12_000, None)
    with pytest.raises(InvalidImage, match="became shorter"):
        shards.load(5)
    path.unlink()
    with pytest.raises(InvalidImage, match="cannot be read"):
        copied(shards).load(0)
