"""The table of architectures: names, systems, weights, where those come from and on what terms.

One file a system, in the order in which people are shown them. Importing this package does not
import torch; `Architecture.network` and `.segmenter` do.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Mapping

from models.zoo import (
    clickattention,
    fbrs,
    focalclick,
    maskloop,
    mobilesam,
    ritm,
    s2m,
    simpleclick,
    transt,
)
from models.zoo.entries import (
    PROMPTS,
    USES,
    Architecture,
    PackagedFile,
    Published,
    UnknownModel,
    WeightsFile,
    version_text,
)

__all__ = [
    "ARCHITECTURES",
    "PROMPTS",
    "SEGMENTERS",
    "WEIGHTS_NAME",
    "Architecture",
    "PackagedFile",
    "Published",
    "UnknownModel",
    "WeightsFile",
    "architecture",
    "parse",
    "segmenting",
    "table",
    "version_text",
]

WEIGHTS_NAME = re.compile(r"[a-z0-9][a-z0-9._-]*")
"""What may follow the `@`: it becomes part of a file name and of every version id."""


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


ARCHITECTURES: Mapping[str, Architecture] = table(
    [
        *maskloop.ENTRIES,
        *mobilesam.ENTRIES,
        *ritm.ENTRIES,
        *fbrs.ENTRIES,
        *focalclick.ENTRIES,
        *clickattention.ENTRIES,
        *simpleclick.ENTRIES,
        *s2m.ENTRIES,
        *transt.ENTRIES,
    ]
)

SEGMENTERS: Mapping[str, Architecture] = {
    name: entry for name, entry in ARCHITECTURES.items() if entry.task == "segment"
}
"""Those that answer prompts with masks, and so can be offered to annotators' smart tools."""


def architecture(name: str) -> Architecture:
    """The architecture called `name`, without weights. Raises UnknownModel."""
    if name in ARCHITECTURES:
        return ARCHITECTURES[name]
    near = difflib.get_close_matches(name.lower(), ARCHITECTURES, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(ARCHITECTURES)}"
    raise UnknownModel(f"no model is called {name!r}; {hint}")


def segmenting(model: str) -> tuple[Architecture, str | None]:
    """`parse` for a name that has to be a segmenter's. Raises UnknownModel."""
    entry, weights = parse(model)
    if entry.task != "segment":
        raise UnknownModel(
            f"{entry.name} is there to {USES[entry.task]}; a model that answers clicks is wanted"
        )
    return entry, weights


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
