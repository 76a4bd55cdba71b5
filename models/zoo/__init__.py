"""The table of architectures: names, systems, weights, where those come from and on what terms.

One file a system, in the order in which people are shown them. Importing this package does not
import torch; `Architecture.network` and `.segmenter` do.
"""

from __future__ import annotations

from models.zoo.entries import (
    PROMPTS,
    Architecture,
    PackagedFile,
    Published,
    UnknownModel,
    WeightsFile,
)
from models.zoo.names import ARCHITECTURES, WEIGHTS_NAME, architecture, parse, table

__all__ = [
    "ARCHITECTURES",
    "PROMPTS",
    "WEIGHTS_NAME",
    "Architecture",
    "PackagedFile",
    "Published",
    "UnknownModel",
    "WeightsFile",
    "architecture",
    "parse",
    "table",
]
