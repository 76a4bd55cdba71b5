"""What a run leaves beside its weights: everything that a model card says about it."""

from __future__ import annotations

import dataclasses
import hashlib
import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from backend.errors import InvalidRequest
from backend.training import curves
from backend.training.recipe import Recipe
from backend.version import VERSION
from models import checkpoints

FILE = "run.json"

FREE = frozenset({"steps", "schedule", "channels_last", "compiled"})
"""Fields of a recipe with which a training may go on although they differ."""


@dataclass
class History:
    """What happened so far, over all runs of a training; plain values, kept in checkpoints.

    `begun` is a UTC time. `seconds` are those of one process, `device_hours` those of all.
    `peak_mebibytes` is the most memory that one process held, the device's on CUDA.
    `skipped` counts steps that changed nothing. `resumed` and `measured` are rows with a `step`.
    """

    begun: str = ""
    seconds: float = 0.0
    device_hours: float = 0.0
    peak_mebibytes: int = 0
    skipped: int = 0
    resumed: list[dict[str, Any]] = field(default_factory=list)
    measured: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True)
class Told:
    """What the summary says of a run from its beginning on, as plain values.

    The recipe (`described`), the run's settings, the file of weights that the training began
    with, the data's fingerprints, what the task says of itself, and the machine.
    """

    recipe: Mapping[str, Any]
    settings: Mapping[str, Any]
    start_weights: Mapping[str, Any] | None
    data: Sequence[Mapping[str, Any]]
    task: Mapping[str, Any]
    machine: Mapping[str, Any]


def now() -> str:
    """The time, UTC, ISO 8601 to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def described(recipe: Recipe) -> dict[str, Any]:
    """The recipe as plain values that JSON gives back unchanged."""
    plain = {
        entry.name: getattr(recipe, entry.name)
        for entry in dataclasses.fields(recipe)
        if entry.name != "task"
    }
    text = json.dumps(plain, default=_plain, sort_keys=True)
    told: dict[str, Any] = json.loads(text)
    return told


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, str]:
    """What of a recipe (`described`) is no longer as it was: sentences by field.

    The fields in FREE may differ; the others change the training.
    """
    return {
        name: f"{name} was {before.get(name)!r} and is {after.get(name)!r}"
        for name in sorted(before.keys() | after.keys())
        if name != "summary" and before.get(name) != after.get(name)
    }


def fingerprint(path: Path) -> dict[str, Any]:
    """Which data lie at a path, a file or a folder: count, bytes, and a digest.

    The digest is the sha256 of the sorted relative names and sizes: the same data at another
    place have the same one, and nothing is read, however much there is.
    """
    files = sorted(_files(path))
    digest = hashlib.sha256()
    for name, size in files:
        digest.update(f"{name}\0{size}\n".encode())
    return {
        "path": str(path),
        "files": len(files),
        "bytes": sum(size for _, size in files),
        "sha256_of_names_and_sizes": digest.hexdigest(),
    }


def same_data(before: Iterable[Mapping[str, Any]], after: Iterable[Mapping[str, Any]]) -> bool:
    """Whether two lists of fingerprints tell of the same data, wherever these lie."""
    key = "sha256_of_names_and_sizes"
    return [entry[key] for entry in before] == [entry[key] for entry in after]


def exported(path: Path) -> dict[str, Any]:
    """What the summary says of a file of weights."""
    return {
        "file": path.name,
        "bytes": path.stat().st_size,
        "sha256": checkpoints.sha256(path),
    }


def read(out: Path) -> dict[str, Any] | None:
    """The summary in a folder; None without one. Raises InvalidRequest for a damaged one."""
    path = out / FILE
    if not path.is_file():
        return None
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        document["recipe"]["name"]
    except (ValueError, KeyError, TypeError):
        raise InvalidRequest(
            f"{path} is no summary of a training; give a folder of its own (--out)", field="out"
        ) from None
    return document


def write(
    out: Path,
    *,
    status: str,
    step: int,
    told: Told,
    history: History,
    weights: Sequence[Mapping[str, Any]],
) -> None:
    """Write the summary of the training after `step` steps, whole or not at all."""
    document = {
        "program": VERSION,
        "status": status,
        "step": step,
        "written": now(),
        **{entry.name: getattr(told, entry.name) for entry in dataclasses.fields(told)},
        **dataclasses.asdict(history),
        "measured": [curves.finite(row) for row in history.measured],
        "weights": list(weights),
        "curves": curves.thinned(curves.read(out)),
    }
    path = out / FILE
    unfinished = path.with_suffix(".part")
    text = json.dumps(document, indent=2, default=_plain)
    unfinished.write_text(text + "\n", encoding="utf-8")
    unfinished.replace(path)


def _plain(value: Any) -> Any:
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {entry.name: getattr(value, entry.name) for entry in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return dict(value)
    if isinstance(value, set | frozenset):
        return sorted(value)
    return str(value)


def _files(path: Path) -> Iterator[tuple[str, int]]:
    if path.is_file():
        yield path.name, path.stat().st_size
        return
    seen = set()
    for folder, below, names in os.walk(path, followlinks=True):
        real = os.path.realpath(folder)
        if real in seen:  # a link that leads back
            below.clear()
            continue
        seen.add(real)
        for name in names:
            file = Path(folder) / name
            if file.is_file():
                yield file.relative_to(path).as_posix(), file.stat().st_size
