"""The golden files of MobileSAM: which network, picture and prompts each of them was made with."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from PIL import Image as PillowImage

from backend import settings, weights
from backend.errors import WeightsMissing
from models import checkpoints
from models.mobilesam_network import EncodedPrompt, MobileSam
from models.sam_frame import Frame
from tests.conftest import SHARED
from tests.goldens.cases import Arrays, Case

FULL_SIDE = 1024
SHARED_INPUTS = "synthetic.npz"
"""Other files of the folder take the picture and the mask prompt that they lack from here."""


@dataclass(frozen=True)
class GoldenFile:
    """One recording of the whole chain: a picture, a network, several prompts."""

    case: Case
    name: str

    @property
    def id(self) -> str:
        return f"{self.case.name}/{self.name}"

    @cached_property
    def arrays(self) -> Arrays:
        return self.case.arrays(f"{self.name}.npz")

    @property
    def real_weights(self) -> bool:
        return not self.name.startswith("golden")

    @property
    def side(self) -> int:
        """The input side S; it stands in the name where it is not the authors'."""
        told = re.fullmatch(r"size_(\d+)", self.name)
        return int(told[1]) if told else FULL_SIDE

    @property
    def prompts(self) -> list[str]:
        return [key[: -len("_low4")] for key in self.arrays if key.endswith("_low4")]

    @property
    def network(self) -> MobileSam:
        """The network as it is served, with the weights of this recording."""
        if not self.real_weights:
            return golden_network(self.case, self.side)
        return real_network(self.case.document["weights"]["checkpoint_sha256"], self.side)

    @cached_property
    def image(self) -> npt.NDArray[np.uint8]:
        pictures = self.case.document.get("pictures", {})
        if self.name in pictures:
            return photograph(self.case, pictures[self.name])
        return self.shared("in_image")

    @property
    def frame(self) -> Frame:
        return Frame.of(self.image.shape[:2], self.side)

    @property
    def mask_prompt(self) -> npt.NDArray[np.float32]:
        """float32 (S/4, S/4), raw logits."""
        return self.shared("in_mask_q").astype(np.float32) / 2

    def shared(self, key: str) -> npt.NDArray[Any]:
        """An input that this file has, or that the synthetic file has for all."""
        if key in self.arrays:
            return self.arrays[key]
        if not self.case.has(SHARED_INPUTS):
            pytest.skip(f"{self.id} needs {key}, which {SHARED_INPUTS} would have")
        return self.case.arrays(SHARED_INPUTS)[key]

    def prompt(self, name: str) -> EncodedPrompt:
        """A recorded prompt in the decoder's words."""
        coords = self.arrays.get(f"in_{name}_coords")
        labels = self.arrays.get(f"in_{name}_labels")
        box = self.arrays.get(f"in_{name}_box")
        boxes = None
        if box is not None:
            boxes = torch.from_numpy(self.frame.points(box.reshape(-1, 2))).reshape(-1, 4)
        batch = 1 if boxes is None else len(boxes)
        points = torch.zeros(batch, 0, 2)
        kinds = torch.zeros(batch, 0, dtype=torch.int64)
        if coords is not None:
            points = torch.from_numpy(self.frame.points(coords))[None]
            kinds = torch.from_numpy(np.asarray(labels, np.int64))[None]
        masks = None
        if self.arrays[f"in_{name}_use_mask"]:
            masks = torch.from_numpy(self.mask_prompt)[None, None]
        return EncodedPrompt(points, kinds, boxes, masks)


@lru_cache(maxsize=2)
def golden_network(case: Case, side: int) -> MobileSam:
    """The network under the golden weights, as it is served."""
    network = MobileSam(side)
    network.load_state_dict(case.state_dict(), strict=True)
    return network.for_inference()


@lru_cache(maxsize=2)
def real_network(sha256: str, side: int) -> MobileSam:
    """The network under the authors' weights, as it is served; skips where they are absent."""
    try:
        installed = weights.installed(settings.load(), "mobilesam@sa-1b")
    except WeightsMissing as missing:
        pytest.skip(f"recorded with the authors' weights: {missing}")
    if installed.source != sha256:
        pytest.skip(f"recorded with other weights than the installed {installed.version}")
    network = MobileSam(side)
    network.load_state_dict(dict(checkpoints.load(installed.path).tensors), strict=True)
    return network.for_inference()


def photograph(case: Case, entry: dict[str, Any]) -> npt.NDArray[np.uint8]:
    """A photograph beside the golden cases; skips where it is absent or decoded otherwise."""
    for data in (case.folder.parent.parent / "data", SHARED / "data"):
        path: Path = data / entry["picture"]
        if path.is_file():
            pixels = np.asarray(PillowImage.open(path).convert("RGB"))
            if hashlib.sha256(pixels.tobytes()).hexdigest() != entry["decoded_rgb_sha256"]:
                pytest.skip(f"{path.name} decodes to other pixels here than where it was recorded")
            return pixels
    pytest.skip(f"the photograph {entry['picture']} is absent")
