"""The weights store: fetched once, checked, converted to safetensors, kept in the data directory.

A model's weights are `weights/<architecture>@<name>.safetensors` with a small JSON record beside
them that is written last: what has no record is not installed. Files never change in place.
Weights that are shipped lie inside the program, and the table of models is their record.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from filelock import FileLock

import models
from backend import weights_trust
from backend.errors import InvalidRequest, UnknownModelName, WeightsMissing
from backend.settings import Settings
from backend.weights_sources import DownloadFailed, Fetcher, Note, silent
from models import zoo

if TYPE_CHECKING:
    from models.checkpoints import Checkpoint

COMMAND = "python -m backend weights"

SHIPPED = Path(models.__file__).parent / "weights"
"""Weights that need no fetching: part of the program, and never written to."""


@dataclass(frozen=True, slots=True)
class InstalledWeights:
    """Weights in the store.

    `version` is the model version id: its digits are the start of `sha256`, that of the stored
    safetensors file, into which equal weights always convert alike. `source` is the sha256 of the
    author's file.
    """

    path: Path
    version: str
    sha256: str
    architecture: str
    weights: str
    size: int
    source: str | None = None

    @property
    def model(self) -> str:
        """`architecture@weights`."""
        return f"{self.architecture}@{self.weights}"


@dataclass(frozen=True, slots=True)
class Verification:
    """One stored file compared with its record; `problem` is None where they agree."""

    model: str
    problem: str | None


def installed(settings: Settings, model: str) -> InstalledWeights:
    """The stored weights of `architecture` or `architecture@weights`. Does not import torch.

    Without a name the default weights are meant, or the only ones there are. Raises
    UnknownModelName, and WeightsMissing with the command to type.
    """
    entry, name = _parse(model)
    if name is None:
        own = [found for found in stored(settings) if found.architecture == entry.name]
        names = [found.weights for found in own]
        default = entry.weights_file().name
        name = names[0] if len(names) == 1 and default not in names else default
        if len(names) > 1 and default not in names:
            choice = ", ".join(f"{entry.name}@{other}" for other in names)
            raise WeightsMissing(
                f"several weights of {entry.name} are installed; name one of {choice}",
                field="model",
            )
    found = _record(settings, entry.name, name)
    if found is None:
        raise WeightsMissing(_missing(entry, name), field="model")
    return found


def stored(settings: Settings) -> list[InstalledWeights]:
    """Everything in the store, by name."""
    files = sorted(_folder(settings).glob("*@*.json"))
    pairs = (file.stem.split("@", 1) for file in files)
    records = (_record(settings, architecture, name) for architecture, name in pairs)
    return [record for record in records if record is not None]


def present(settings: Settings) -> list[InstalledWeights]:
    """Everything that can be used at once: what is shipped, then what is stored."""
    pairs = ((entry, file) for entry in zoo.ARCHITECTURES.values() for file in entry.weights)
    shipped = (_shipped(entry.name, file.name) for entry, file in pairs)
    return [*filter(None, shipped), *stored(settings)]


def verify(settings: Settings) -> list[Verification]:
    """Compare every file that can be used with the digest that is on record."""
    return [Verification(found.model, _problem(found)) for found in present(settings)]


def pull(settings: Settings, model: str, fetcher: Fetcher | None = None) -> InstalledWeights:
    """Fetch published weights unless they are here already and intact.

    Raises UnknownModelName, WeightsMissing where no source has them, with what to do by hand, and
    InvalidRequest for a file that is not the one that came first.
    """
    fetcher = fetcher or Fetcher()
    entry, name = _parse(model)
    try:
        file = entry.weights_file(name)
    except zoo.UnknownModel as error:
        raise UnknownModelName(str(error), field="model") from None
    with _locked(settings, fetcher.note):
        found = _record(settings, entry.name, file.name)
        if found is not None and _problem(found) is None:
            return found
        if file.url is None and file.package is None:
            raise WeightsMissing(_by_hand(entry, file), field="model")
        try:
            checkpoint = fetcher.fetch(entry.name, file, _folder(settings) / "downloads")
        except DownloadFailed as error:
            raise WeightsMissing(
                f"{file.file_name} could not be fetched ({error}). Connect to the network, or:"
                f" {_by_hand(entry, file)}",
                field="model",
            ) from None
        return _store(settings, checkpoint, file.name, fetcher.note)


def add(
    settings: Settings, path: Path, name: str | None = None, note: Note = silent
) -> InstalledWeights:
    """Store a weights file that is already on this machine, recognised by its content.

    `name` is what follows the `@`; by default the published name, or one made of the file's. An
    author's file may be given as it is. Raises InvalidRequest for what is no such file and for a
    name that is taken by other weights, here or in the table of models.
    """
    from models import checkpoints

    try:
        checkpoint = checkpoints.load(path)
        name = name or checkpoint.weights or checkpoints.name_from(path)
    except (checkpoints.CheckpointError, OSError) as error:
        raise InvalidRequest(str(error), field="file") from None
    if not zoo.WEIGHTS_NAME.fullmatch(name):
        raise InvalidRequest(
            f"weights cannot be called {name!r}: use lower-case letters, digits, dots, dashes and"
            " underscores",
            field="name",
        )
    with _locked(settings, silent):
        return _store(settings, checkpoint, name, note)


def _by_hand(entry: zoo.Architecture, file: zoo.WeightsFile) -> str:
    """What a person does to get a file without this program, and the line to type then."""
    if file.shipped:
        return f"{entry.name}@{file.name} is part of this program; install the program again"
    size = f" ({file.mebibytes:.1f} MiB)" if file.mebibytes else ""
    what = file.file_name or f"the file of {entry.name}"
    line = f"{COMMAND} add {file.file_name or 'FILE'} --name {file.name}"
    if file.url is None:
        return (
            f"the authors offer {entry.name}@{file.name} in a shared folder alone: open {file.page}"
            f" in a browser, download {what}{size}, and type: {line}"
        )
    also = f" (or from {file.page})" if file.page else ""
    return f"bring the file from {file.url}{also}{size} and type: {line}"


def _parse(model: str) -> tuple[zoo.Architecture, str | None]:
    try:
        return zoo.parse(model)
    except zoo.UnknownModel as error:
        raise UnknownModelName(str(error), field="model") from None


def _missing(entry: zoo.Architecture, name: str) -> str:
    model = f"{entry.name}@{name}"
    if name == entry.weights_file().name:
        return f"the weights of {entry.name} are not installed; type: {COMMAND} pull {entry.name}"
    if any(file.name == name for file in entry.weights):
        return f"the weights {model} are not installed; type: {COMMAND} pull {model}"
    return f"no weights are installed as {model}; type: {COMMAND} add FILE --name {name}"


def _folder(settings: Settings) -> Path:
    return settings.data_dir / "weights"


def _locked(settings: Settings, note: Note) -> FileLock:
    """One process at a time changes the store; the others wait and then find the work done."""
    _folder(settings).mkdir(parents=True, exist_ok=True)
    lock = FileLock(_folder(settings) / ".lock")
    try:
        lock.acquire(blocking=False)
    except TimeoutError:
        note("another process is at work on the weights; waiting for it")
        return lock
    lock.release()
    return lock


def _record(settings: Settings, architecture: str, name: str) -> InstalledWeights | None:
    """What the record of these weights says; None where it is absent, damaged or without file."""
    shipped = _shipped(architecture, name)
    if shipped is not None:
        return shipped
    path = _folder(settings) / f"{architecture}@{name}.safetensors"
    try:
        record = json.loads(path.with_suffix(".json").read_text())
        size, digest = int(record["size"]), str(record["sha256"])
        if path.stat().st_size != size:
            return None
        return InstalledWeights(
            path, str(record["version"]), digest, architecture, name, size, record["source"]
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _shipped(architecture: str, name: str) -> InstalledWeights | None:
    """Weights of these names that came with the program."""
    entry = zoo.ARCHITECTURES.get(architecture)
    for file in entry.weights if entry else ():
        if file.shipped and file.name == name:
            path = SHIPPED / f"{architecture}@{name}.safetensors"
            digest = str(file.sha256)
            version = zoo.version_text(architecture, name, digest)
            return InstalledWeights(path, version, digest, architecture, name, file.size or 0)
    return None


def _problem(found: InstalledWeights) -> str | None:
    from models import checkpoints

    if checkpoints.sha256(found.path) == found.sha256:
        return None
    if found.path.parent == SHIPPED:
        return f"{found.path} is not as it was shipped; install the program again"
    return f"{found.path} has changed since it was stored; type: {COMMAND} pull {found.model}"


def _store(settings: Settings, checkpoint: Checkpoint, name: str, note: Note) -> InstalledWeights:
    """Check the author's digest, then write safetensors and record, each by an atomic rename."""
    from models import checkpoints

    present = _record(settings, checkpoint.architecture, name)
    intact = present is not None and _problem(present) is None
    if present is not None and intact and checkpoint.source and present.source == checkpoint.source:
        return present
    _check_digest(settings, checkpoint, name, note)
    path = _folder(settings) / f"{checkpoint.architecture}@{name}.safetensors"
    fresh = path.with_suffix(".new")
    checkpoints.save(replace(checkpoint, weights=name), fresh)
    # The server may run as another user than the one who fetched.
    fresh.chmod(0o644)
    digest = checkpoints.sha256(fresh)
    if present is not None and intact and present.sha256 != digest:
        fresh.unlink()
        raise InvalidRequest(
            f"other weights are installed as {present.model} already; choose another name with"
            " --name",
            field="name",
        )
    fresh.replace(path)
    record = {
        "version": zoo.version_text(checkpoint.architecture, name, digest),
        "sha256": digest,
        "size": path.stat().st_size,
        "source": checkpoint.source,
    }
    written = path.with_suffix(".record")
    written.write_text(json.dumps(record, indent=1) + "\n")
    written.replace(path.with_suffix(".json"))
    found = _record(settings, checkpoint.architecture, name)
    if found is None:
        raise WeightsMissing(f"{path} was stored but cannot be read back; is the disk full?")
    return found


def _check_digest(settings: Settings, checkpoint: Checkpoint, name: str, note: Note) -> None:
    """Hold a file that bears a published name to what is known of that file."""
    published = zoo.architecture(checkpoint.architecture).weights
    model = f"{checkpoint.architecture}@{name}"
    for file in published:
        if file.name == name:
            remark = weights_trust.check(_folder(settings), model, file, checkpoint.source)
            if remark:
                note(remark)
