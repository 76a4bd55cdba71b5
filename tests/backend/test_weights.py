"""The weights store: pulled, added, listed, checked."""

from __future__ import annotations

import hashlib
import io
import json
import subprocess
import sys
import tarfile
import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open

from backend import weights
from backend.errors import InvalidRequest, UnknownModelName, WeightsMissing
from backend.package_index import PackageSources
from backend.settings import Settings
from backend.weights_sources import Fetcher, member
from models import checkpoints, zoo
from models.zoo import PackagedFile
from tests.backend.file_server import FileServer, serving

ARCHIVE = "some-thing-1.0.tar.gz"
MEMBER = "some-thing-1.0/checkpoints/weights.pt"
MODEL = "mobilesam"


@pytest.fixture(scope="module")
def authors_file() -> bytes:
    """What an author would publish: a checkpoint of random weights."""
    torch.manual_seed(0)
    buffer = io.BytesIO()
    torch.save(zoo.architecture(MODEL).network().state_dict(), buffer)
    return buffer.getvalue()


@pytest.fixture(scope="module")
def archive(authors_file: bytes) -> bytes:
    """A source archive with the checkpoint and a setup.py that must never run."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1) as made:
        for name, data in ((MEMBER, authors_file), ("some-thing-1.0/setup.py", b"1/0")):
            info = tarfile.TarInfo(name)
            info.size = len(data)
            made.addfile(info, io.BytesIO(data))
    return buffer.getvalue()


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(data_dir=tmp_path / "data")


@pytest.fixture
def server(
    authors_file: bytes, archive: bytes, monkeypatch: pytest.MonkeyPatch
) -> Iterator[FileServer]:
    """Authors' site and package index in one, and the zoo pointing at them."""
    page = f'<a href="/files/{ARCHIVE}">{ARCHIVE}</a>'.encode()
    files = {
        "/authors/weights.pt": authors_file,
        "/simple/some-thing/": page,
        f"/files/{ARCHIVE}": archive,
    }
    with serving(files) as running:
        package = PackagedFile(
            "some-thing", ARCHIVE, len(archive), hashlib.sha256(archive).hexdigest(), MEMBER
        )
        entry = zoo.architecture(MODEL)
        file = replace(
            entry.weights_file(),
            file_name="weights.pt",
            url=f"{running.url}/authors/weights.pt",
            size=len(authors_file),
            sha256=hashlib.sha256(authors_file).hexdigest(),
            package=package,
        )
        table = {**zoo.ARCHITECTURES, MODEL: replace(entry, weights=(file,))}
        monkeypatch.setattr(zoo, "ARCHITECTURES", table)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        yield running


@pytest.fixture
def fetcher(server: FileServer) -> Fetcher:
    return Fetcher(packages=lambda: PackageSources((), (f"{server.url}/simple/",)))


def asked(server: FileServer) -> list[str]:
    return [path for path, _ in server.asked]


def problems(settings: Settings) -> dict[str, str | None]:
    """What `verify` says of each model."""
    return {result.model: result.problem for result in weights.verify(settings)}


def test_nothing_is_installed_at_first(settings: Settings) -> None:
    with pytest.raises(WeightsMissing, match="type: python -m backend weights pull mobilesam"):
        weights.installed(settings, "mobilesam")
    with pytest.raises(WeightsMissing, match="weights pull ritm-hrnet18@sbd"):
        weights.installed(settings, "ritm-hrnet18@sbd")
    with pytest.raises(WeightsMissing, match="weights add FILE --name mine"):
        weights.installed(settings, "mobilesam@mine")
    assert weights.stored(settings) == []
    assert problems(settings) == {"maskloop@open": None}


def test_an_unknown_model_is_told_the_near_ones(settings: Settings) -> None:
    with pytest.raises(UnknownModelName, match="did you mean mobilesam"):
        weights.installed(settings, "mobile-sam")
    with pytest.raises(UnknownModelName, match="no published weights 'x'"):
        weights.pull(settings, "mobilesam@x")


def test_pulled_from_the_authors(
    settings: Settings, server: FileServer, fetcher: Fetcher, authors_file: bytes
) -> None:
    found = weights.pull(settings, MODEL, fetcher)
    assert asked(server) == ["/authors/weights.pt"]
    assert found == weights.installed(settings, MODEL)
    assert found.model == "mobilesam@sa-1b"
    assert found.sha256 == checkpoints.sha256(found.path)
    assert found.version == f"mobilesam@sa-1b:{found.sha256[:12]}"
    assert found.source == hashlib.sha256(authors_file).hexdigest()
    assert found.path.stat().st_mode & 0o444 == 0o444
    stored = checkpoints.load(found.path)
    assert checkpoints.version_of(stored, found.path) == found.version
    original = torch.load(io.BytesIO(authors_file), weights_only=True)
    assert all(torch.equal(stored.tensors[name], tensor) for name, tensor in original.items())


def test_pulled_from_the_package_index_where_the_authors_are_out_of_reach(
    settings: Settings, server: FileServer, fetcher: Fetcher
) -> None:
    direct = weights.pull(settings, MODEL, fetcher)
    del server.files["/authors/weights.pt"]
    notes: list[str] = []
    elsewhere = Settings(data_dir=settings.data_dir / "other")
    found = weights.pull(elsewhere, MODEL, replace(fetcher, note=notes.append))
    assert asked(server)[1:] == ["/authors/weights.pt", "/simple/some-thing/", f"/files/{ARCHIVE}"]
    assert (found.sha256, found.version) == (direct.sha256, direct.version)
    assert [note.rpartition(" from ")[2] for note in notes] == [
        "the authors",
        f"{ARCHIVE} of the package index",
    ]
    assert list((elsewhere.data_dir / "weights" / "downloads").iterdir()) == []


def test_an_archive_in_a_find_links_folder_stays_where_it_is(
    settings: Settings, server: FileServer, archive: bytes, tmp_path: Path
) -> None:
    server.files.clear()
    (tmp_path / ARCHIVE).write_bytes(archive)
    fetcher = Fetcher(packages=lambda: PackageSources((tmp_path,), ()))
    assert weights.pull(settings, MODEL, fetcher).model == "mobilesam@sa-1b"
    assert (tmp_path / ARCHIVE).read_bytes() == archive


def test_what_is_there_is_not_fetched_again(
    settings: Settings, server: FileServer, fetcher: Fetcher
) -> None:
    first = weights.pull(settings, MODEL, fetcher)
    server.asked.clear()
    assert weights.pull(settings, MODEL, fetcher) == first
    assert not server.asked


def test_two_at_once_fetch_it_once(
    settings: Settings, server: FileServer, fetcher: Fetcher
) -> None:
    found: list[weights.InstalledWeights] = []
    threads = [
        threading.Thread(target=lambda: found.append(weights.pull(settings, MODEL, fetcher)))
        for _ in range(3)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(found) == 3
    assert len(set(found)) == 1
    assert asked(server) == ["/authors/weights.pt"]


def test_no_source_at_all_is_told_with_all_reasons(
    settings: Settings, server: FileServer, fetcher: Fetcher
) -> None:
    server.files.clear()
    with pytest.raises(WeightsMissing) as told:
        weights.pull(settings, MODEL, fetcher)
    message = told.value.message
    assert "the authors: the server answered 404" in message
    assert "has no some-thing" in message
    assert "python -m backend weights add weights.pt" in message


def test_forged_files_are_refused(
    settings: Settings, server: FileServer, fetcher: Fetcher, archive: bytes
) -> None:
    server.files["/authors/weights.pt"] = bytes(len(server.files["/authors/weights.pt"]))
    server.files[f"/files/{ARCHIVE}"] = bytes(len(archive))
    with pytest.raises(WeightsMissing, match="other contents than published"):
        weights.pull(settings, MODEL, fetcher)
    with pytest.raises(WeightsMissing, match="not installed"):
        weights.installed(settings, MODEL)


class Hostile:
    """Leaves a mark where it is unpickled."""

    def __init__(self, marker: Path) -> None:
        self.marker = marker

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.marker,)


@pytest.fixture
def unchecked(server: FileServer, monkeypatch: pytest.MonkeyPatch) -> FileServer:
    """The same with an author who publishes neither size nor checksum."""
    entry = zoo.architecture(MODEL)
    file = replace(entry.weights_file(), size=None, sha256=None, package=None)
    entry = replace(entry, weights=(file,))
    monkeypatch.setattr(zoo, "ARCHITECTURES", {**zoo.ARCHITECTURES, MODEL: entry})
    return server


def test_a_hostile_file_is_refused_before_anything_in_it_runs(
    settings: Settings, unchecked: FileServer, fetcher: Fetcher, tmp_path: Path
) -> None:
    marker, file = tmp_path / "executed", tmp_path / "mobile_sam.pt"
    torch.save({"weight": torch.zeros(2), "extra": Hostile(marker)}, file)
    unchecked.files["/authors/weights.pt"] = file.read_bytes()
    with pytest.raises(WeightsMissing, match="cannot be read safely"):
        weights.pull(settings, MODEL, fetcher)
    with pytest.raises(InvalidRequest, match="cannot be read safely"):
        weights.add(settings, file)
    assert not marker.exists()
    assert not list((settings.data_dir / "weights" / "downloads").iterdir())
    torch.load(file, weights_only=False)
    assert marker.exists()


@pytest.mark.parametrize("kept", [0, 1000, -1000])
def test_a_truncated_file_without_a_checksum_is_refused(
    settings: Settings, unchecked: FileServer, fetcher: Fetcher, authors_file: bytes, kept: int
) -> None:
    unchecked.files["/authors/weights.pt"] = authors_file[:kept]
    with pytest.raises(WeightsMissing, match="cannot be read safely"):
        weights.pull(settings, MODEL, fetcher)
    assert weights.stored(settings) == []


def test_another_models_file_is_refused(
    settings: Settings, unchecked: FileServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = zoo.architecture("ritm-hrnet18s")
    file = replace(entry.weights_file(), url=f"{unchecked.url}/authors/weights.pt")
    entry = replace(entry, weights=(file,))
    monkeypatch.setattr(zoo, "ARCHITECTURES", {**zoo.ARCHITECTURES, entry.name: entry})
    with pytest.raises(WeightsMissing, match=r"holds weights of mobilesam, not of ritm-hrnet18s"):
        weights.pull(settings, entry.name, fetcher)
    assert weights.stored(settings) == []


def test_without_a_published_checksum_the_first_copy_counts(
    settings: Settings, unchecked: FileServer, fetcher: Fetcher, authors_file: bytes
) -> None:
    notes: list[str] = []
    found = weights.pull(settings, MODEL, replace(fetcher, note=notes.append))
    assert any("publish no checksum" in note for note in notes)
    found.path.unlink()
    buffer = io.BytesIO()
    torch.save(zoo.architecture(MODEL).network().state_dict(), buffer)
    unchecked.files["/authors/weights.pt"] = buffer.getvalue()
    with pytest.raises(InvalidRequest, match="not the one that came first"):
        weights.pull(settings, MODEL, fetcher)
    unchecked.files["/authors/weights.pt"] = authors_file
    notes.clear()
    assert weights.pull(settings, MODEL, replace(fetcher, note=notes.append)) == found
    assert not any("checksum" in note for note in notes)
    unchecked.files["/authors/weights.pt"] = buffer.getvalue()
    for kept in (settings.data_dir / "weights").glob(f"{found.model}.*"):
        kept.unlink()
    assert weights.pull(settings, MODEL, fetcher).sha256 != found.sha256


def test_a_shared_folder_is_told_with_the_line_to_type(
    settings: Settings, server: FileServer, fetcher: Fetcher, monkeypatch: pytest.MonkeyPatch
) -> None:
    entry = zoo.architecture(MODEL)
    page = "https://somewhere/folder"
    file = replace(entry.weights_file(), url=None, page=page, package=None, file_name=None)
    entry = replace(entry, weights=(file,))
    monkeypatch.setattr(zoo, "ARCHITECTURES", {**zoo.ARCHITECTURES, MODEL: entry})
    with pytest.raises(WeightsMissing) as told:
        weights.pull(settings, MODEL, fetcher)
    assert page in told.value.message
    assert "type: python -m backend weights add FILE --name sa-1b" in told.value.message
    assert not server.asked


def test_the_stored_file_says_where_it_is_from_and_on_what_terms(
    settings: Settings, server: FileServer, fetcher: Fetcher, authors_file: bytes
) -> None:
    found = weights.pull(settings, MODEL, fetcher)
    with safe_open(found.path, framework="pt") as file:
        header = json.loads(file.metadata()[checkpoints.HEADER])
    assert header["address"] == f"{server.url}/authors/weights.pt"
    assert header["source"] == hashlib.sha256(authors_file).hexdigest()
    assert header["licence_weights"] == "Apache-2.0"
    assert header["licence_code"] == "Apache-2.0"


def test_a_published_name_is_kept_for_the_published_file(
    settings: Settings, authors_file: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "forged.pt"
    file.write_bytes(authors_file)
    with pytest.raises(InvalidRequest, match="not the published mobilesam@sa-1b"):
        weights.add(settings, file, "sa-1b")
    assert weights.stored(settings) == []


def test_a_changed_file_is_noticed_and_mended(
    settings: Settings, server: FileServer, fetcher: Fetcher
) -> None:
    found = weights.pull(settings, MODEL, fetcher)
    assert problems(settings)[found.model] is None
    data = bytearray(found.path.read_bytes())
    data[-1] ^= 1
    found.path.write_bytes(data)
    assert "weights pull mobilesam@sa-1b" in str(problems(settings)[found.model])
    assert weights.pull(settings, MODEL, fetcher) == found
    assert problems(settings)[found.model] is None


@pytest.mark.parametrize("damage", ["record", "absent", "short"])
def test_a_damaged_store_counts_as_not_installed(
    settings: Settings, server: FileServer, fetcher: Fetcher, damage: str
) -> None:
    found = weights.pull(settings, MODEL, fetcher)
    if damage == "record":
        found.path.with_suffix(".json").write_text("{")
    elif damage == "absent":
        found.path.unlink()
    else:
        found.path.write_bytes(found.path.read_bytes()[:-1])
    with pytest.raises(WeightsMissing):
        weights.installed(settings, MODEL)
    assert weights.pull(settings, MODEL, fetcher) == found


def test_an_authors_file_is_added_by_its_content(
    settings: Settings, authors_file: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "Found on a disk.bin"
    file.write_bytes(authors_file)
    found = weights.add(settings, file)
    assert found.model == "mobilesam@found-on-a-disk"
    assert weights.installed(settings, "mobilesam") == found
    named = weights.add(settings, file, "mine")
    assert named.model == "mobilesam@mine"
    with pytest.raises(WeightsMissing, match="several weights of mobilesam"):
        weights.installed(settings, "mobilesam")
    assert weights.add(settings, found.path, "copy").model == "mobilesam@copy"
    assert [entry.weights for entry in weights.stored(settings)] == [
        "copy",
        "found-on-a-disk",
        "mine",
    ]


def test_a_name_that_is_taken_is_refused(
    settings: Settings, authors_file: bytes, tmp_path: Path
) -> None:
    file = tmp_path / "weights.pt"
    file.write_bytes(authors_file)
    first = weights.add(settings, file, "mine")
    assert weights.add(settings, file, "mine") == first
    torch.save(zoo.architecture(MODEL).network().state_dict(), file)
    with pytest.raises(InvalidRequest, match="other weights are installed"):
        weights.add(settings, file, "mine")
    assert weights.installed(settings, "mobilesam@mine") == first


def test_what_cannot_be_added_says_why(settings: Settings, tmp_path: Path) -> None:
    file = tmp_path / "picture.pt"
    file.write_bytes(b"\xff\xd8\xff")
    with pytest.raises(InvalidRequest, match=r"picture\.pt cannot be read safely"):
        weights.add(settings, file)
    with pytest.raises(InvalidRequest, match="absent"):
        weights.add(settings, tmp_path / "absent")


def test_a_name_cannot_be_a_path(settings: Settings, authors_file: bytes, tmp_path: Path) -> None:
    file = tmp_path / "weights.pt"
    file.write_bytes(authors_file)
    with pytest.raises(InvalidRequest, match="cannot be called"):
        weights.add(settings, file, "../mine")


def test_a_member_that_is_absent_or_no_file_is_refused(tmp_path: Path, archive: bytes) -> None:
    path = tmp_path / ARCHIVE
    with tarfile.open(path, "w:gz") as made:
        folder = tarfile.TarInfo("folder")
        folder.type = tarfile.DIRTYPE
        made.addfile(folder)
    for name in ("absent", "folder"):
        with pytest.raises(weights.DownloadFailed, match=name):
            member(path, name)
    path.write_bytes(archive[:1000])
    with pytest.raises(weights.DownloadFailed, match="no readable"):
        member(path, MEMBER)


def test_looking_for_weights_does_not_import_torch(settings: Settings) -> None:
    code = (
        "import sys\n"
        "from backend import weights, settings\n"
        "try: weights.installed(settings.Settings(data_dir=sys.argv[1]), 'mobilesam')\n"
        "except weights.WeightsMissing: pass\n"
        "sys.exit('torch' in sys.modules)"
    )
    command = [sys.executable, "-c", code, str(settings.data_dir)]
    assert subprocess.run(command, check=False).returncode == 0


def test_shipped_weights_are_there_at_once(settings: Settings) -> None:
    found = weights.installed(settings, "maskloop")
    assert found.path.parent == weights.SHIPPED
    assert found.version == f"maskloop@open:{checkpoints.sha256(found.path)[:12]}"
    assert found.size == found.path.stat().st_size
    assert found in weights.present(settings)
    assert found not in weights.stored(settings)
    assert weights.pull(settings, "maskloop") == found
    assert not list((settings.data_dir / "weights").glob("maskloop*"))


def test_shipped_weights_that_changed_are_told_so(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = "maskloop@open.safetensors"
    data = bytearray((weights.SHIPPED / name).read_bytes())
    data[-1] ^= 1
    (tmp_path / name).write_bytes(data)
    monkeypatch.setattr(weights, "SHIPPED", tmp_path)
    (result,) = weights.verify(settings)
    assert result.problem is not None
    assert "install the program again" in result.problem
    with pytest.raises(WeightsMissing, match="install the program again"):
        weights.pull(settings, "maskloop")
