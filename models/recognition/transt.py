"""TransT's files: PyTracking's container, with the network's tensors under `net`."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor

from models.recognition.opened import CheckpointError, OpenedFile, Recognised
from models.transt_network import LAYERS, layers_of

NET = "net"
"""The container's entry with the tensors. Beside it lie notes of training, and objects of the
authors' code that say how the network was built; nothing of those is used."""

MARKS: Mapping[str, tuple[int, ...]] = {
    "class_embed.layers.2.weight": (2, 256),
    "bbox_embed.layers.2.weight": (4, 256),
    "input_proj.weight": (256, 1024, 1, 1),
}
"""Tensors that together no other network has."""

BACKBONE = "backbone.0.body."


def unwrapped(content: Mapping[str, object]) -> Mapping[str, Tensor] | None:
    """The tensors of a container of PyTracking; None where `content` is none."""
    net = content.get(NET)
    if not isinstance(net, Mapping) or not net or isinstance(content.get("state_dict"), Mapping):
        return None
    if not all(isinstance(key, str) and isinstance(net[key], Tensor) for key in net):
        return None
    return net


def recognise(file: OpenedFile) -> Recognised | None:
    """TransT by its heads and its backbone; N4 or N2 by the number of fusion layers."""
    if any(file.shape(name) != shape for name, shape in MARKS.items()):
        return None
    if not file.has_any(BACKBONE):
        return None
    layers = layers_of(list(file.tensors))
    if layers not in LAYERS:
        raise CheckpointError(
            f"{file.name} is a TransT network with {layers} fusion layers; known are"
            " 4 (N4) and 2 (N2)"
        )
    return Recognised("transt", file.tensors, {} if layers == LAYERS[0] else {"layers": layers})
