"""What a network begins with: fresh weights, a whole network's, or a pre-trained backbone's."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from torch import Tensor, nn
from torch.nn import functional

from backend.errors import InvalidRequest
from models import checkpoints
from models.checkpoints import CheckpointError
from models.restricted_reader import check

POSITIONS = "pos_embed"
"""A tensor of this name may be stored for another size of picture."""

WRAPPERS = ("state_dict", "model", "model_state")
"""Keys under which files keep their tensors."""

PREFIXES = ("module.", "model.")
"""What files put before every name."""

ENOUGH = 0.5
"""Share of the backbone's tensors that a file must hold to be that backbone's."""

MAGNITUDE = 2.0
"""Of gluon's Xavier initialisation, as RITM and f-BRS set it."""


@dataclass(frozen=True)
class Backbone:
    """Where a pre-trained backbone's tensors belong.

    A tensor called x in the file is `prefix` + x in the network; before that, `renamed` replaces
    parts of its name. Other tensors of the file (classifiers, say) are passed over.
    """

    prefix: str
    renamed: tuple[tuple[str, str], ...] = ()

    def name(self, name: str) -> str:
        """The network's name of the file's tensor `name`."""
        for prefix in PREFIXES:
            name = name.removeprefix(prefix)
        for old, new in self.renamed:
            name = name.replace(old, new)
        return self.prefix + name


HRNET = Backbone("feature_extractor.", (("last_layer", "aux_head"),))
"""ImageNet HRNets of the HRNet project (hrnetv2_w18_imagenet_pretrained.pth and so on)."""

RESNET = Backbone("feature_extractor.backbone.")
"""ResNets: torchvision's names for ResNet-34, GluonCV's v1s (deep stem) for ResNet-50 and -101."""

MIT = Backbone("feature_extractor.backbone.")
"""Mix transformers of the SegFormer project (mit_b0.pth, mit_b3.pth)."""

MAE = Backbone("backbone.")
"""Vision transformers pre-trained by masked autoencoding (mae_pretrain_vit_base.pth and so on)."""


def start_from(network: nn.Module, architecture: str, file: Path, backbone: Backbone) -> str:
    """Give the network the weights in `file`; says what they were, in words.

    `file` holds a whole network of `architecture` (ours or its authors'), or tensors of a backbone
    alone. Raises InvalidRequest with a sentence for anything else.
    """
    try:
        checkpoint = checkpoints.load_for(architecture, file)
    except CheckpointError as error:
        tensors = tensors_in(file)
        if tensors is None:
            raise InvalidRequest(str(error), field="weights") from None
        return _start_backbone(network, file, tensors, backbone, str(error))
    try:
        network.load_state_dict(dict(checkpoint.tensors))
    except RuntimeError as error:
        reason = str(error).replace("\n", " ")[:300]
        raise InvalidRequest(
            f"{file.name} holds another kind of {architecture} ({reason})", field="weights"
        ) from None
    return f"all weights of {file.name}"


def _start_backbone(
    network: nn.Module, file: Path, tensors: Mapping[str, Tensor], backbone: Backbone, reason: str
) -> str:
    state = network.state_dict()
    fitting: dict[str, Tensor] = {}
    for name, tensor in tensors.items():
        target = backbone.name(name)
        if target not in state:
            continue
        if name.endswith(POSITIONS):
            tensor = resized_positions(tensor, state[target].shape[1])  # noqa: PLW2901
        if tensor.shape != state[target].shape:
            raise InvalidRequest(
                f"{file.name} does not fit: its {name} is {list(tensor.shape)}, the network's"
                f" {target} {list(state[target].shape)}; give the backbone of the same size",
                field="weights",
            )
        fitting[target] = tensor
    own = [name for name in state if name.startswith(backbone.prefix) and _counts(name)]
    share = sum(name in fitting for name in own) / len(own)
    if share < ENOUGH:
        raise InvalidRequest(
            f"{file.name} is neither a whole network ({reason}) nor its backbone: it has"
            f" {share:.0%} of the tensors under {backbone.prefix}",
            field="weights",
        )
    network.load_state_dict(fitting, strict=False)
    return f"{len(fitting)} tensors of the backbone in {file.name}"


def _counts(name: str) -> bool:
    return not name.endswith("num_batches_tracked")


def resized_positions(positions: Tensor, count: int) -> Tensor:
    """Position embeddings [1, 1 + g * g, D] for a square grid of `count` - 1 tokens.

    The first row, the class token's, stays; the others are resized bicubically, without
    antialiasing.
    """
    grid, wanted = math.isqrt(positions.shape[1] - 1), math.isqrt(count - 1)
    if grid == wanted or grid**2 != positions.shape[1] - 1 or wanted**2 != count - 1:
        return positions
    first, rest = positions[:, :1], positions[:, 1:]
    field = rest.reshape(1, grid, grid, -1).permute(0, 3, 1, 2)
    field = functional.interpolate(field, (wanted, wanted), mode="bicubic", align_corners=False)
    return torch.cat([first, field.flatten(2).transpose(1, 2)], dim=1)


def gluon_xavier(network: nn.Module) -> None:
    """Fresh weights as RITM and f-BRS begin: those of MXNet's Xavier, gaussian, magnitude 2.

    Kernels are normal with a variance of 2 over the mean of fan-in and fan-out (Glorot and Bengio,
    2010, has the same mean), biases 0; batch norms scale by 1 and shift by 0. Other parameters
    stay. Draws from torch's global generator.
    """
    kinds = (nn.Conv1d, nn.Conv2d, nn.ConvTranspose2d, nn.Linear)
    for module in network.modules():
        if isinstance(module, kinds):
            window = module.weight[0, 0].numel() if module.weight.dim() > 2 else 1
            factor = (module.weight.shape[0] + module.weight.shape[1]) * window / 2
            nn.init.normal_(module.weight, std=math.sqrt(MAGNITUDE / factor))
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.ones_(module.weight)
            nn.init.zeros_(module.bias)


def tensors_in(file: Path) -> Mapping[str, Tensor] | None:
    """The tensors of a file that is not one of our networks; None where it holds none."""
    content: Any
    try:
        with safe_open(file, framework="pt", device="cpu") as opened:
            return {name: opened.get_tensor(name) for name in opened.keys()}  # noqa: SIM118
    except SafetensorError:
        pass
    try:
        check(file)
        content = torch.load(file, map_location="cpu", weights_only=True)
    except Exception:
        return None
    for wrapper in WRAPPERS:
        if isinstance(content, Mapping) and isinstance(content.get(wrapper), Mapping):
            content = content[wrapper]
    if not isinstance(content, Mapping):
        return None
    return {
        name: value
        for name, value in content.items()
        if isinstance(name, str) and isinstance(value, Tensor)
    }
