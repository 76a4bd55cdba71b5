"""Where the user's package index is, and where in it a source archive lies.

The index is the one that pip would use: `pip config list` prints what pip's files and `PIP_*`
variables say. Followed are `index-url`, `extra-index-url`, `find-links` (folders), `no-index`,
`cert` and `proxy`, from the environment first, then from the sections `install` and `global`.
Where pip itself is not installed, the variables alone count. Archives are read, never installed.
"""

from __future__ import annotations

import ast
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit
from urllib.request import url2pathname

import requests
from pypi_simple import PYPI_SIMPLE_ENDPOINT, NoSuchProjectError, ProjectPage, PyPISimple

SECTIONS = (":env:", "install", "global")
TIMEOUT = (10.0, 30.0)


@dataclass(frozen=True, slots=True)
class PackageSources:
    """The user's sources of packages, in the order in which they are asked."""

    folders: tuple[Path, ...] = ()
    indexes: tuple[str, ...] = (PYPI_SIMPLE_ENDPOINT,)
    certificate: str | None = None
    proxy: str | None = None

    def session(self) -> requests.Session:
        """A session with the certificate and proxy of these settings."""
        session = requests.Session()
        if self.certificate:
            session.verify = self.certificate
        if self.proxy:
            session.proxies = {"http": self.proxy, "https": self.proxy}
        return session


def pip_options() -> dict[str, str]:
    """pip's settings as `section.name` -> value; from `PIP_*` variables where pip is absent."""
    command = [sys.executable, "-m", "pip", "config", "list"]
    listed = subprocess.run(command, capture_output=True, text=True, check=False)  # noqa: S603
    if listed.returncode:
        return {
            f":env:.{name[4:].lower().replace('_', '-')}": value
            for name, value in os.environ.items()
            if name.startswith("PIP_")
        }
    options = {}
    for line in listed.stdout.splitlines():
        name, equals, value = line.partition("=")
        if equals:
            options[name] = str(ast.literal_eval(value))
    return options


def configured(options: Mapping[str, str]) -> PackageSources:
    """The sources that pip's `options` name."""

    def option(name: str) -> str:
        values = (options.get(f"{section}.{name}") for section in SECTIONS)
        return next((value for value in values if value), "")

    folders = (_folder(place) for place in option("find-links").split())
    indexes = [option("index-url") or PYPI_SIMPLE_ENDPOINT, *option("extra-index-url").split()]
    if option("no-index").lower() in ("1", "true", "yes", "on", "y"):
        indexes = []
    return PackageSources(
        tuple(folder for folder in folders if folder is not None),
        tuple(indexes),
        option("cert") or None,
        option("proxy") or None,
    )


def locate(
    sources: PackageSources,
    session: requests.Session,
    project: str,
    archive: str,
    refused: Callable[[str, str], None],
) -> Iterator[str | Path]:
    """Every place where the archive can be had: a local file, or an address.

    `refused` is told of each source without it, and why.
    """
    for folder in sources.folders:
        if (folder / archive).is_file():
            yield folder / archive
    for index in sources.indexes:
        try:
            page = _page(index, session, project)
        except (NoSuchProjectError, FileNotFoundError):
            refused(without_password(index), f"has no {project}")
            continue
        except (requests.RequestException, OSError, ValueError) as error:
            refused(without_password(index), f"did not answer ({type(error).__name__})")
            continue
        found = [package.url for package in page.packages if package.filename == archive]
        if not found:
            refused(without_password(index), f"has no {archive}")
        for url in found:
            local = _folder(url)
            yield local if local is not None else _with_password(url, index)


def without_password(url: str) -> str:
    """The address as it may be shown."""
    parts = urlsplit(url)
    return urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))


def _page(index: str, session: requests.Session, project: str) -> ProjectPage:
    """The index's page of a project. Indexes in folders have an index.html per project."""
    folder = _folder(index)
    if folder is None:
        return PyPISimple(index, session=session).get_project_page(project, timeout=TIMEOUT)
    file = folder / project / "index.html"
    return ProjectPage.from_html(project, file.read_text(), base_url=file.resolve().as_uri())


def _with_password(url: str, index: str) -> str:
    """The address with the index's user and password, if it is on the index's own host."""
    parts, own = urlsplit(url), urlsplit(index)
    if "@" in own.netloc and parts.netloc == own.netloc.rpartition("@")[2]:
        return urlunsplit(parts._replace(netloc=own.netloc, scheme=own.scheme))
    return url


def _folder(place: str) -> Path | None:
    """A local path, given plainly or as a file: address; None for what is elsewhere."""
    parts = urlsplit(place)
    if parts.scheme == "file":
        return Path(url2pathname(parts.path))
    return None if parts.scheme in ("http", "https") else Path(place).expanduser()
