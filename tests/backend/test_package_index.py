"""Where pip is set to look, and what is found there."""

from __future__ import annotations

from pathlib import Path

import pytest
from pypi_simple import PYPI_SIMPLE_ENDPOINT

from backend.package_index import (
    PackageSources,
    configured,
    locate,
    pip_options,
    without_password,
)
from tests.backend.file_server import serving

ARCHIVE = "some-thing-1.0.tar.gz"
PAGE = f'<a href="../../files/{ARCHIVE}#sha256=00">{ARCHIVE}</a>'.encode()


def found(sources: PackageSources) -> tuple[list[str | Path], list[str]]:
    refused: list[str] = []
    with sources.session() as session:
        session.trust_env = False
        places = list(
            locate(
                sources,
                session,
                "some-thing",
                ARCHIVE,
                lambda source, reason: refused.append(f"{source} {reason}"),
            )
        )
    return places, refused


def test_without_settings_the_public_index_is_asked() -> None:
    assert configured({}) == PackageSources((), (PYPI_SIMPLE_ENDPOINT,))


def test_settings_are_followed_in_pips_order(tmp_path: Path) -> None:
    sources = configured(
        {
            "global.index-url": "https://global.example/simple",
            "install.index-url": "https://install.example/simple",
            ":env:.index-url": "https://env.example/simple",
            "global.extra-index-url": f"file://{tmp_path}/a\nhttps://more.example/simple",
            "global.find-links": f"{tmp_path} https://ignored.example/links",
            "global.cert": "/some/certificates.pem",
            "global.proxy": "http://proxy.example:3128",
        }
    )
    assert sources.indexes == (
        "https://env.example/simple",
        f"file://{tmp_path}/a",
        "https://more.example/simple",
    )
    assert sources.folders == (tmp_path,)
    with sources.session() as session:
        assert session.verify == "/some/certificates.pem"
        assert session.proxies["https"] == "http://proxy.example:3128"


def test_no_index_means_none() -> None:
    assert configured({"global.no-index": "true"}).indexes == ()


def test_pips_own_files_and_variables_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "pip.conf"
    file.write_text("[global]\nextra-index-url =\n  https://one.example\n  https://two.example\n")
    monkeypatch.setenv("PIP_CONFIG_FILE", str(file))
    monkeypatch.setenv("PIP_INDEX_URL", "https://own.example/simple")
    sources = configured(pip_options())
    assert sources.indexes == (
        "https://own.example/simple",
        "https://one.example",
        "https://two.example",
    )


def test_without_pip_its_variables_count(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    silent = tmp_path / "python"
    silent.write_text("#!/bin/sh\nexit 1\n")
    silent.chmod(0o755)
    monkeypatch.setattr("sys.executable", str(silent))
    monkeypatch.setenv("PIP_INDEX_URL", "https://own.example/simple")
    assert configured(pip_options()).indexes[0] == "https://own.example/simple"


def test_an_archive_in_a_folder_comes_first(tmp_path: Path) -> None:
    (tmp_path / ARCHIVE).touch()
    assert found(PackageSources((tmp_path,), ())) == ([tmp_path / ARCHIVE], [])


def test_an_index_in_a_folder(tmp_path: Path) -> None:
    page = tmp_path / "simple" / "some-thing" / "index.html"
    page.parent.mkdir(parents=True)
    page.write_bytes(PAGE.replace(b"../../files", b"../../files"))
    places, refused = found(PackageSources((), ((tmp_path / "simple").as_uri(),)))
    assert places == [tmp_path / "files" / ARCHIVE]
    assert not refused


def test_an_index_over_http() -> None:
    with serving({"/simple/some-thing/": PAGE}) as server:
        places, refused = found(PackageSources((), (f"{server.url}/simple/",)))
        assert places == [f"{server.url}/files/{ARCHIVE}"]
    assert not refused


def test_a_password_goes_to_its_own_host_alone() -> None:
    elsewhere = f'<a href="https://elsewhere.example/{ARCHIVE}">{ARCHIVE}</a>'.encode()
    for page, knows in ((PAGE, True), (elsewhere, False)):
        with serving({"/simple/some-thing/": page}) as server:
            index = server.url.replace("http://", "http://user:secret@") + "/simple/"
            (place,), _ = found(PackageSources((), (index,)))
        assert isinstance(place, str)
        assert ("secret" in place) is knows
        assert "secret" not in without_password(place)


def test_every_index_without_it_says_why(tmp_path: Path) -> None:
    with serving({"/simple/some-thing/": b"<a href='x-0.1.tar.gz'>x-0.1.tar.gz</a>"}) as server:
        has_other = f"{server.url}/simple/"
        has_none = f"{server.url}/empty/"
        with serving({}) as gone:
            absent = gone.url + "/"
        folder = tmp_path.as_uri()
        places, refused = found(PackageSources((), (has_other, has_none, absent, folder)))
    assert not places
    assert refused == [
        f"{has_other} has no {ARCHIVE}",
        f"{has_none} has no some-thing",
        f"{absent} did not answer (ConnectionError)",
        f"{folder} has no some-thing",
    ]
