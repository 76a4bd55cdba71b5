"""Files over connections that break off."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import requests

from backend.downloads import ATTEMPTS, CHUNK, Downloader, DownloadFailed, Wanted
from tests.backend.file_server import FileServer, serving

DATA = np.random.default_rng(0).bytes(1_000_000)
DIGEST = hashlib.sha256(DATA).hexdigest()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving({"/file": DATA}) as running:
        yield running


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def downloader(pauses: list[float]) -> Iterator[Downloader]:
    with requests.Session() as session:
        session.trust_env = False
        yield Downloader(session, pause=pauses.append)


def wanted(server: FileServer) -> Wanted:
    return Wanted(f"{server.url}/file", len(DATA), DIGEST)


def test_a_file_arrives_whole(server: FileServer, downloader: Downloader, tmp_path: Path) -> None:
    downloader.fetch(wanted(server), tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == DATA
    assert [path.name for path in tmp_path.iterdir()] == ["target"]
    assert server.asked == [("/file", None)]


def test_a_broken_connection_is_taken_up_where_it_ended(
    server: FileServer, downloader: Downloader, pauses: list[float], tmp_path: Path
) -> None:
    server.breaks_after = 25 * CHUNK
    downloader.fetch(wanted(server), tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == DATA
    assert [asked for _, asked in server.asked] == [
        None,
        f"bytes={25 * CHUNK}-",
        f"bytes={50 * CHUNK}-",
    ]
    assert pauses == [1, 2]


def test_what_an_earlier_call_left_is_continued(
    server: FileServer, downloader: Downloader, tmp_path: Path
) -> None:
    (tmp_path / "target.part").write_bytes(DATA[:123_456])
    downloader.fetch(wanted(server), tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == DATA
    assert server.asked == [("/file", "bytes=123456-")]


def test_a_connection_that_always_breaks_is_given_up_and_continued_later(
    server: FileServer, downloader: Downloader, tmp_path: Path
) -> None:
    server.breaks_after = 2 * CHUNK + 1
    with pytest.raises(DownloadFailed, match="broke off"):
        downloader.fetch(wanted(server), tmp_path / "target")
    assert len(server.asked) == ATTEMPTS
    assert not (tmp_path / "target").exists()
    assert (tmp_path / "target.part").stat().st_size == 2 * CHUNK * ATTEMPTS
    server.breaks_after = None
    downloader.fetch(wanted(server), tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == DATA


def test_a_connection_that_brings_nothing_is_given_up_at_once(
    server: FileServer, downloader: Downloader, pauses: list[float], tmp_path: Path
) -> None:
    server.breaks_after = 0
    with pytest.raises(DownloadFailed):
        downloader.fetch(wanted(server), tmp_path / "target")
    assert len(server.asked) == 1
    assert not pauses


def test_a_server_without_ranges_begins_anew(
    server: FileServer, downloader: Downloader, tmp_path: Path
) -> None:
    server.ranges = False
    (tmp_path / "target.part").write_bytes(b"\0" * 5000)
    downloader.fetch(wanted(server), tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == DATA


def test_a_part_that_is_whole_is_asked_for_no_more(
    server: FileServer, downloader: Downloader, tmp_path: Path
) -> None:
    (tmp_path / "target.part").write_bytes(DATA)
    downloader.fetch(wanted(server), tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == DATA
    assert not server.asked


@pytest.mark.parametrize("kept", [bytes(5000), bytes(len(DATA)), DATA + bytes(5)])
def test_a_part_of_another_file_is_found_out_and_fetched_anew(
    server: FileServer, downloader: Downloader, tmp_path: Path, kept: bytes
) -> None:
    (tmp_path / "target.part").write_bytes(kept)
    downloader.fetch(wanted(server), tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == DATA
    assert server.asked[-1] == ("/file", None)


def test_a_complete_part_of_unknown_size_is_no_error(
    server: FileServer, downloader: Downloader, tmp_path: Path
) -> None:
    (tmp_path / "target.part").write_bytes(DATA)
    downloader.fetch(Wanted(f"{server.url}/file", None, DIGEST), tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == DATA


def test_other_contents_are_thrown_away(
    server: FileServer, downloader: Downloader, tmp_path: Path
) -> None:
    server.files["/file"] = bytes(len(DATA))
    with pytest.raises(DownloadFailed, match="other contents than published"):
        downloader.fetch(wanted(server), tmp_path / "target")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("offered", [DATA * 2, DATA[:-1]])
def test_a_file_of_another_size_is_not_read_at_all(
    server: FileServer, downloader: Downloader, tmp_path: Path, offered: bytes
) -> None:
    server.files["/file"] = offered
    with pytest.raises(DownloadFailed, match=f"offers {len(offered)} bytes.* has {len(DATA)}"):
        downloader.fetch(wanted(server), tmp_path / "target")
    assert not list(tmp_path.iterdir())


def test_a_longer_file_of_untold_length_is_not_read_to_its_end(
    server: FileServer, downloader: Downloader, tmp_path: Path
) -> None:
    server.lengths = False
    server.files["/file"] = DATA * 2
    with pytest.raises(DownloadFailed, match="more bytes"):
        downloader.fetch(wanted(server), tmp_path / "target")


def test_without_a_digest_or_a_tag_nothing_old_is_continued(
    server: FileServer, downloader: Downloader, tmp_path: Path
) -> None:
    (tmp_path / "target.part").write_bytes(b"\0" * 5000)
    downloader.fetch(Wanted(f"{server.url}/file"), tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == DATA
    assert server.asked == [("/file", None)]


@pytest.fixture
def broken_off(server: FileServer, downloader: Downloader, tmp_path: Path) -> Wanted:
    """A file without a digest whose transfer has been given up, on a server that has ETags."""
    server.tags, server.breaks_after = True, 2 * CHUNK
    with pytest.raises(DownloadFailed, match="broke off"):
        downloader.fetch(Wanted(f"{server.url}/file"), tmp_path / "target")
    server.breaks_after = None
    server.asked.clear()
    return Wanted(f"{server.url}/file")


def test_with_a_tag_a_later_call_continues(
    server: FileServer, downloader: Downloader, broken_off: Wanted, tmp_path: Path
) -> None:
    downloader.fetch(broken_off, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == DATA
    assert server.asked == [("/file", f"bytes={2 * CHUNK * ATTEMPTS}-")]
    assert [path.name for path in tmp_path.iterdir()] == ["target"]


@pytest.mark.parametrize("changed", [DATA[::-1], DATA[::-1] + bytes(9), DATA[:CHUNK]])
def test_a_file_that_changed_in_between_is_fetched_anew(
    server: FileServer,
    downloader: Downloader,
    broken_off: Wanted,
    tmp_path: Path,
    changed: bytes,
) -> None:
    server.files["/file"] = changed
    downloader.fetch(broken_off, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == changed


def test_a_file_that_became_shorter_is_fetched_anew(
    server: FileServer, downloader: Downloader, broken_off: Wanted, tmp_path: Path
) -> None:
    server.files["/file"] = DATA[:CHUNK]
    (tmp_path / "target.part.tag").write_text(f'"{hashlib.sha256(DATA[:CHUNK]).hexdigest()}"')
    downloader.fetch(broken_off, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == DATA[:CHUNK]
    assert [asked for _, asked in server.asked] == [f"bytes={2 * CHUNK * ATTEMPTS}-", None]


@pytest.mark.parametrize("digest", [DIGEST, None])
def test_what_a_person_interrupts_is_continued(
    server: FileServer, downloader: Downloader, tmp_path: Path, digest: str | None
) -> None:
    def impatient(file: str, done: int, total: int | None) -> None:
        if done >= 10 * CHUNK:
            raise KeyboardInterrupt

    server.tags = True
    wanted = Wanted(f"{server.url}/file", None, digest)
    with pytest.raises(KeyboardInterrupt):
        replace(downloader, progress=impatient).fetch(wanted, tmp_path / "target")
    assert (tmp_path / "target.part").stat().st_size == 10 * CHUNK
    downloader.fetch(wanted, tmp_path / "target")
    assert (tmp_path / "target").read_bytes() == DATA
    assert server.asked == [("/file", None), ("/file", f"bytes={10 * CHUNK}-")]


def test_an_absent_file_is_told_by_its_status(
    server: FileServer, downloader: Downloader, tmp_path: Path
) -> None:
    with pytest.raises(DownloadFailed, match="answered 404"):
        downloader.fetch(Wanted(f"{server.url}/other"), tmp_path / "target")
    assert len(server.asked) == 1


def test_an_absent_server_is_told_without_its_address(
    downloader: Downloader, tmp_path: Path
) -> None:
    with serving({}) as gone:
        address = gone.url.replace("http://", "http://user:secret@")
    with pytest.raises(DownloadFailed, match="no connection") as told:
        downloader.fetch(Wanted(f"{address}/file"), tmp_path / "target")
    assert "secret" not in str(told.value)


def test_progress_is_told(server: FileServer, tmp_path: Path) -> None:
    seen: list[tuple[str, int, int | None]] = []
    with requests.Session() as session:
        Downloader(session, lambda *told: seen.append(told)).fetch(
            wanted(server), tmp_path / "target"
        )
    assert seen[-1] == ("target", len(DATA), len(DATA))
    assert [done for _, done, _ in seen] == sorted(done for _, done, _ in seen)
