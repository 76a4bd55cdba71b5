"""Checksums: the authors' where there are some, else the first copy's."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from backend.errors import InvalidRequest
from backend.weights_trust import check, known
from models.zoo import WeightsFile

MODEL = "net@data"
ONE, OTHER = "1" * 64, "2" * 64
FILE = WeightsFile("data", "some data", "MIT", "none", url="https://a/net.pth", file_name="net.pth")


def test_a_published_checksum_is_enforced_and_nothing_kept(tmp_path: Path) -> None:
    file = replace(FILE, sha256=ONE)
    assert check(tmp_path, MODEL, file, ONE) is None
    with pytest.raises(InvalidRequest, match="not the published net@data: its sha256 is 2222"):
        check(tmp_path, MODEL, file, OTHER)
    with pytest.raises(InvalidRequest, match="no author's file"):
        check(tmp_path, MODEL, file, None)
    assert not list(tmp_path.iterdir())


def test_the_first_copy_is_trusted_which_is_said_and_a_later_one_compared(tmp_path: Path) -> None:
    remark = check(tmp_path, MODEL, FILE, ONE)
    assert remark is not None
    assert "publish no checksum of net.pth" in remark
    assert ONE in remark
    assert (tmp_path / "net@data.sha256").read_text() == f"{ONE}  net.pth\n"
    assert check(tmp_path, MODEL, FILE, ONE) is None
    with pytest.raises(InvalidRequest, match=r"not the one that came first.*net@data\.\* to trust"):
        check(tmp_path, MODEL, FILE, OTHER)
    (tmp_path / "net@data.sha256").unlink()
    assert check(tmp_path, MODEL, FILE, OTHER) is not None
    assert known(tmp_path, MODEL) == OTHER


def test_weights_that_were_no_authors_file_are_not_the_first_copy(tmp_path: Path) -> None:
    assert check(tmp_path, MODEL, FILE, None) is None
    assert known(tmp_path, MODEL) is None


def test_a_third_partys_checksum_is_told_and_not_enforced(tmp_path: Path) -> None:
    file = replace(FILE, unverified_sha256=ONE)
    assert "also what a third party says" in str(check(tmp_path, "net@a", file, ONE))
    assert f"third party says {ONE}" in str(check(tmp_path, "net@b", file, OTHER))


@pytest.mark.parametrize("kept", ["", "zz  net.pth\n", "1234  net.pth\n"])
def test_a_damaged_note_of_the_first_copy_is_none(tmp_path: Path, kept: str) -> None:
    (tmp_path / "net@data.sha256").write_text(kept)
    assert known(tmp_path, MODEL) is None
    assert check(tmp_path, MODEL, FILE, ONE) is not None
    assert known(tmp_path, MODEL) == ONE
