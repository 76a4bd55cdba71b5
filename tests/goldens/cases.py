"""Golden cases: recorded outputs of original implementations, one folder a network.

A test module picks its folders by what their case.json says, never by their names, so any folder
of the same layout can be checked:

    def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
        parametrize(metafunc, "case", cases(metafunc.config, lambda document: "x" in document))
"""

from __future__ import annotations

import json
import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch

from tests.conftest import SHARED

Arrays = dict[str, npt.NDArray[Any]]
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Case:
    """One folder of golden outputs."""

    folder: Path

    @property
    def name(self) -> str:
        return self.folder.name

    @cached_property
    def document(self) -> Document:
        """The folder's case.json: parameters, prompts, tolerances."""
        return json.loads((self.folder / "case.json").read_text())

    def has(self, file: str) -> bool:
        return (self.folder / file).is_file()

    def arrays(self, file: str) -> Arrays:
        """All arrays of one .npz of the folder."""
        with np.load(self.folder / file) as archive:
            return {name: archive[name] for name in archive.files}

    def state_dict(self, *, overrides: bool = True) -> dict[str, torch.Tensor]:
        """The weights under which the outputs were recorded, by the authors' tensor names."""
        manifest = json.loads((self.folder / "manifest.json").read_text())
        arrays = golden_arrays(manifest)
        if overrides and self.has("overrides.npz"):
            arrays.update(self.arrays("overrides.npz"))
        described = self.document.get("weights")
        if overrides and isinstance(described, Mapping):
            overridden(arrays, described.get("overrides", ()))
        return {name: torch.from_numpy(np.asarray(array)) for name, array in arrays.items()}


def overridden(arrays: Arrays, overrides: Iterable[Mapping[str, Any]]) -> None:
    """Change weights in place as a case.json describes it.

    Each entry names one `tensor` or all that a `pattern` is found in, and may limit itself to
    ranges of output and of input channels; it multiplies and then adds, in float32.
    """
    for entry in overrides:
        names = [
            name
            for name in arrays
            if name == entry.get("tensor")
            or ("pattern" in entry and re.search(entry["pattern"], name))
        ]
        ranges = [entry[key] for key in ("out_channels", "in_channels") if key in entry]
        part = tuple(slice(*bounds) for bounds in ranges)
        if "in_channels" in entry and "out_channels" not in entry:
            part = (slice(None), *part)
        assert names, f"{entry} is of no tensor"
        for name in names:
            arrays[name][part] *= np.float32(entry.get("multiply", 1))
            arrays[name][part] += np.float32(entry.get("add", 0))


def golden_array(name: str, shape: Sequence[int], dtype: str) -> npt.NDArray[Any]:
    """One tensor's values, a function of its name and shape alone.

    Uniform draws of PCG64 seeded with the name's CRC-32: norm scales and variances in [0.5, 1.5],
    kernels He-scaled by fan-in, other vectors within 0.1 of zero, counters zero.
    """
    if not np.issubdtype(np.dtype(dtype), np.floating):
        return np.zeros(shape, dtype)
    unit = np.random.Generator(np.random.PCG64(zlib.crc32(name.encode()))).random(tuple(shape))
    leaf = name.rpartition(".")[2]
    if leaf == "running_var" or (leaf == "weight" and len(shape) == 1):
        return (unit + 0.5).astype(dtype)
    bound = np.sqrt(6.0 / np.prod(shape[1:])) if len(shape) > 1 else 0.1
    return ((2.0 * unit - 1.0) * bound).astype(dtype)


def golden_arrays(manifest: Mapping[str, Mapping[str, Any]]) -> Arrays:
    """The values of every tensor that a manifest names: {name: {"shape", "dtype"}}."""
    return {
        name: golden_array(name, entry["shape"], entry["dtype"]) for name, entry in manifest.items()
    }


def golden_folder(config: pytest.Config) -> Path:
    """Where the golden cases are: `--goldens DIR`, or the folder beside the checkout."""
    chosen = config.getoption("goldens", default=None)
    return Path(chosen).resolve() if chosen else SHARED / "goldens"


def cases(config: pytest.Config, wanted: Callable[[Document], bool]) -> list[Case]:
    """The cases whose case.json is `wanted`: DIR's own, or those of the folders in it."""
    root = golden_folder(config)
    folders = [root, *sorted(root.iterdir())] if root.is_dir() else []
    found = [Case(folder) for folder in folders if (folder / "case.json").is_file()]
    return [case for case in found if wanted(case.document)]


def parametrize(
    metafunc: pytest.Metafunc,
    names: str,
    rows: Iterable[Any],
    ids: Iterable[str] | None = None,
) -> None:
    """Give a test one row after another, the case's folder in each id; skip it without any."""
    rows = list(rows)
    if not rows:
        folder = golden_folder(metafunc.config)
        reason = f"no golden case of this kind in {folder}; name a folder with --goldens DIR"
        nothing = [None] * len(names.split(","))
        rows = [pytest.param(*nothing, marks=pytest.mark.skip(reason=reason))]
        ids = ["absent"]
    elif ids is None:
        ids = [row.name for row in rows]
    metafunc.parametrize(names, rows, ids=list(ids))
