"""Pictures kept by content, within a budget."""

from __future__ import annotations

from pathlib import Path

import fsspec
import pytest

from backend.pictures import image_id
from backend.store import PictureArchive


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def files(root: Path) -> list[str]:
    return sorted(str(path.relative_to(root)) for path in root.rglob("*") if path.is_file())


def test_a_picture_lies_under_its_id(tmp_path: Path) -> None:
    archive = PictureArchive(str(tmp_path / "new"), 100)
    key = image_id(b"abc")
    assert archive.keep(key, b"abc")
    assert files(tmp_path) == [f"new/{key[:2]}/{key}"]
    assert archive.get(key) == b"abc"


def test_a_picture_is_kept_once(tmp_path: Path) -> None:
    archive = PictureArchive(str(tmp_path), 4)
    assert archive.keep(image_id(b"abc"), b"abc")
    assert archive.keep(image_id(b"abc"), b"abc")
    assert PictureArchive(str(tmp_path), 0).keep(image_id(b"abc"), b"abc")
    assert len(files(tmp_path)) == 1


def test_an_unknown_or_altered_picture_is_none(tmp_path: Path) -> None:
    archive = PictureArchive(str(tmp_path), 100)
    key = image_id(b"abc")
    assert archive.get(key) is None
    archive.keep(key, b"abc")
    (tmp_path / key[:2] / key).write_bytes(b"ab")
    assert archive.get(key) is None


def test_beyond_the_budget_nothing_is_kept_and_nothing_deleted(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    archive = PictureArchive(str(tmp_path), 10)
    assert archive.keep(image_id(b"123456"), b"123456")
    assert not archive.keep(image_id(b"abcdef"), b"abcdef")
    assert archive.keep(image_id(b"1234"), b"1234")
    assert len(files(tmp_path)) == 2


def test_a_full_archive_says_so_once_a_while(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    clock = Clock()
    (tmp_path / "old").write_bytes(bytes(20))
    archive = PictureArchive(str(tmp_path), 10, clock)
    for content in (b"a", b"b", b"c"):
        assert not archive.keep(image_id(content), content)
    assert caplog.text.count("MASKLOOP_PICTURES_BUDGET_BYTES") == 1
    clock.now = 601.0
    assert not archive.keep(image_id(b"d"), b"d")
    assert caplog.text.count("MASKLOOP_PICTURES_BUDGET_BYTES") == 2


def test_deleting_files_makes_room_again(tmp_path: Path) -> None:
    clock = Clock()
    archive = PictureArchive(str(tmp_path), 10, clock)
    key = image_id(b"12345678")
    assert archive.keep(key, b"12345678")
    (tmp_path / key[:2] / key).unlink()
    clock.now = 601.0
    assert archive.keep(image_id(b"abcdefgh"), b"abcdefgh")


def test_any_file_system_that_fsspec_knows() -> None:
    archive = PictureArchive("memory://kept/pictures", 100)
    key = image_id(b"abc")
    assert archive.keep(key, b"abc")
    assert archive.get(key) == b"abc"
    assert fsspec.filesystem("memory").find("/kept") == [f"/kept/pictures/{key[:2]}/{key}"]


@pytest.mark.parametrize("key", ["", "../../etc/passwd", "A" * 64, "a" * 63])
def test_other_names_are_refused(tmp_path: Path, key: str) -> None:
    with pytest.raises(ValueError, match="not the id of a picture"):
        PictureArchive(str(tmp_path), 100).keep(key, b"abc")
