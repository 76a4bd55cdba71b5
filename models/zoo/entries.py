"""What the zoo knows of an architecture and of its files: plain values, one entry a name."""

from __future__ import annotations

import importlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from models.segmenter import Segmenter
    from models.tracker import Tracker

Task = Literal["segment", "track", "propagate"]
"""What a network is for: masks of prompts, boxes through frames, or masks through frames."""

PROMPTS = ("clicks", "box", "scribbles", "mask")
"""The kinds of prompt that there are. Networks that know only clicks get the others placed as
clicks and as a previous mask."""

CORRECTING = "from an initial mask"
"""The `mode` of published numbers where the annotator corrects a mask that the set brings along."""


USES: Mapping[Task, str] = {
    "segment": "segment objects by clicks",
    "track": "track boxes through video",
    "propagate": "carry masks through video",
}
"""The tasks in words, for sentences."""


class UnknownModel(ValueError):
    """A model name that the zoo does not have; the message names those that come near."""


@dataclass(frozen=True, slots=True)
class PackagedFile:
    """The same file inside a source archive of a Python package.

    `project` is the package's name in an index, `archive` the archive's file name, `size` its
    bytes and `sha256` its digest; `member` is the file's path inside it. Nothing in the archive is
    ever run.
    """

    project: str
    archive: str
    size: int
    sha256: str
    member: str


@dataclass(frozen=True, slots=True)
class Published:
    """One number from a table: `metric` on `dataset`, `noc@90` on `grabcut` say, or `auc`.

    `mode` says how the model was run where the table has several ways, `told_by` whose table it
    is where that is not the authors' own.
    """

    dataset: str
    metric: str
    value: float
    mode: str = ""
    told_by: str = ""


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One authors' file of weights.

    `name` is what follows the `@` in a model's name and tells the training data. `url` is the
    file's own address and `page` one that a person opens in a browser, a shared folder say; unless
    the file is shipped, at least one of them is there. `file_name` is None where the authors' name
    for it is not known.
    `mebibytes` is the size as published, `size` in bytes and `sha256` (hex) where they are known
    for certain; `unverified_sha256` is what a third party says, which is compared and never
    enforced. `trained_on` names the data in words. `shipped` files lie beside this program's own
    code, in `models/weights`, and need no fetching: `size` and `sha256` are those of that file.
    """

    name: str
    trained_on: str
    licence_code: str
    licence_weights: str
    url: str | None = None
    page: str | None = None
    file_name: str | None = None
    mebibytes: float | None = None
    size: int | None = None
    sha256: str | None = None
    unverified_sha256: str | None = None
    package: PackagedFile | None = None
    shipped: bool = False
    published: tuple[Published, ...] = ()

    @property
    def address(self) -> str:
        """Where the file comes from: its own address, else the page that leads to it."""
        return self.url or self.page or ""


@dataclass(frozen=True, slots=True)
class Architecture:
    """One network of one system.

    `module` holds `network(name)` and, by its `task`, `segmenter(name, weights, device, **options)`
    or `tracker` with the same arguments. `prompts` are the kinds of prompt answered, `input` says
    what the network sees of a picture, and `parameters` counts the values in the authors' file,
    batch-norm statistics included. `source` is the paper, `home` the authors' repository. The
    first of `weights` is the default.
    """

    name: str
    system: str
    backbone: str
    module: str
    prompts: tuple[str, ...]
    input: str
    parameters: int
    source: str
    home: str
    weights: tuple[WeightsFile, ...]
    task: Task = "segment"

    @property
    def mebibytes(self) -> float:
        """The size of the network's values in float32, which is nearly that of its files."""
        return self.parameters * 4 / 2**20

    def network(self) -> nn.Module:
        """The network with the authors' tensor names and fresh random weights."""
        module = importlib.import_module(self.module)
        network: nn.Module = module.network(self.name)
        return network

    def segmenter(
        self, weights: str | Path | None = None, device: str = "cpu", **options: Any
    ) -> Segmenter:
        """A ready segmenter; see `models.segmenter` (the function) for the arguments.

        Raises UnknownModel for a network that is for something else.
        """
        self._require("segment")
        module = importlib.import_module(self.module)
        segmenter: Segmenter = module.segmenter(self.name, weights, device, **options)
        return segmenter

    def tracker(
        self, weights: str | Path | None = None, device: str = "cpu", **options: Any
    ) -> Tracker:
        """A ready tracker; see `models.tracker` (the function) for the arguments.

        Raises UnknownModel for a network that is for something else.
        """
        self._require("track")
        module = importlib.import_module(self.module)
        tracker: Tracker = module.tracker(self.name, weights, device, **options)
        return tracker

    def _require(self, task: Task) -> None:
        if self.task != task:
            raise UnknownModel(
                f"{self.name} is there to {USES[self.task]}, and not to {USES[task]}"
            )

    def weights_file(self, name: str | None = None) -> WeightsFile:
        """The authors' file called `name`, the default one for None. Raises UnknownModel."""
        if name is None:
            return self.weights[0]
        for file in self.weights:
            if file.name == name:
                return file
        known = ", ".join(f"{self.name}@{file.name}" for file in self.weights)
        raise UnknownModel(f"{self.name} has no published weights {name!r}; there are {known}")


def version_text(architecture: str, weights: str, digest: str) -> str:
    """The version id of weights: the first 12 hex digits of their file's sha256 are part of it."""
    return f"{architecture}@{weights}:{digest[:12]}"


def clicks_per_object(
    columns: Iterable[str], values: Iterable[float], mode: str = "", told_by: str = ""
) -> tuple[Published, ...]:
    """One row of a paper's table; a column `grabcut 90` is the number of clicks to IoU 0.90.

    Raises ValueError where there are not as many values as columns.
    """
    rows = []
    for column, value in zip(columns, values, strict=True):
        dataset, quality = column.split()
        rows.append(Published(dataset, f"noc@{quality}", value, mode, told_by))
    return tuple(rows)
