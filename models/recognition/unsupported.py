"""Networks that published files exist for and that are not implemented: refused by name.

They come from repositories whose other networks are known here, in the same container, so people
will meet them: CDNet and two baselines from FocalClick's repository, xTiny from SimpleClick's.
"""

from __future__ import annotations

from collections.abc import Mapping

from models.recognition.opened import CheckpointError, OpenedFile, Recognised

MARKS: Mapping[str, Mapping[str, tuple[int, ...]]] = {
    "CDNet": {"PDM.aff_x.kernel": (8, 1, 3, 3)},
    "MobileNetV2 baseline": {
        "maps_transform.0.weight": (16, 3, 3, 3),
        "feature_extractor.backbone.block1.0.conv.0.conv.weight": (32, 1, 3, 3),
    },
    "PP-LCNet baseline": {
        "maps_transform.0.weight": (16, 3, 3, 3),
        "feature_extractor.backbone.blocks2.0.dw_conv.conv.weight": (16, 1, 3, 3),
    },
    "SimpleClick ViT-xTiny": {
        "patch_embed_coords.proj.weight": (160, 3, 16, 16),
        "head.conv_seg.weight": (1, 128, 1, 1),
    },
}
"""Tensors that together no other network has."""


def recognise(file: OpenedFile) -> Recognised | None:
    """None where the file is of none of these. Raises CheckpointError with the network's name."""
    for name, marks in MARKS.items():
        if all(file.shape(tensor) == shape for tensor, shape in marks.items()):
            raise CheckpointError(f"{file.name} is a {name} checkpoint, which is not implemented")
    return None
