"""What trains our own network: resident pictures, simulated prompts in rounds, its losses."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from backend import settings as configuration
from backend.errors import InvalidRequest
from backend.training import prompting
from backend.training.crops import CropDraw, choose, cut, pasted
from backend.training.losses import normalized_focal, soft_iou
from backend.training.photometric import Photometric
from backend.training.prompting import PREVIOUS, PromptDraw
from backend.training.resident import Mixture, ResidentPictures
from backend.training.task import Losses, ParameterGroup, Pictures, Share, Task
from backend.weights import installed
from models import checkpoints
from models.maskloop_network import Answer, MaskloopNetwork, start_from_mobilesam

ENCODER = ("patch_embed.", "layers.")
EXAMPLES = 8


@dataclass(frozen=True)
class MaskloopSettings:
    """How the network is trained.

    `side` is that of the square crops, a multiple of 16.
    `rounds` are the probabilities of 0, 1, 2, ... simulated answers before the one that is
    learned from, each followed by a click on its error. `encoder_rate` multiplies the learning
    rate of the pre-trained encoder, `paste` is the probability of copy-paste.
    """

    side: int = 224
    rounds: tuple[float, ...] = (0.35, 0.25, 0.2, 0.2)
    second_look: float = 0.1
    encoder_rate: float = 0.15
    paste: float = 0.25
    focal: float = 1.0
    overlap: float = 1.0
    auxiliary: float = 0.4
    quality: float = 0.1
    crop: CropDraw = field(default_factory=CropDraw)
    prompt: PromptDraw = field(default_factory=PromptDraw)
    photometric: Photometric = field(default_factory=Photometric)
    mixture: Mixture = field(
        default_factory=lambda: Mixture(
            {"instances": 1.0, "salient": 1.0, "parts": 0.5, "regions": 0.6}
        )
    )


@dataclass(frozen=True)
class MaskloopBatch:
    """`images` float32 [B, 3, S, S] in [0, 1]; `targets` [B, 1, S, S] of 1, 0 and -1 (unknown)."""

    images: Tensor
    targets: Tensor


class MaskloopTask(Task[MaskloopBatch]):
    """Iterative training (RITM, arXiv 2102.06583, section 3.2) on the device's own pictures."""

    def __init__(
        self,
        network: MaskloopNetwork,
        pictures: ResidentPictures,
        settings: MaskloopSettings,
        seed: int,
        fingerprint: str = "",
    ) -> None:
        self.network = network
        self.resident = pictures
        self.settings = settings
        self.seed = seed
        self.fingerprint = fingerprint
        self._weights = settings.mixture.weights(pictures)

    def groups(self) -> Sequence[ParameterGroup]:
        """Encoder and the rest, with and without weight decay."""
        found: dict[str, list[nn.Parameter]] = {}
        for name, parameter in self.network.named_parameters():
            part = "encoder" if name.startswith(ENCODER) else "head"
            kind = "" if parameter.dim() > 1 and "attention_biases" not in name else "-plain"
            found.setdefault(part + kind, []).append(parameter)
        return [
            ParameterGroup(
                name,
                parameters,
                rate=self.settings.encoder_rate if name.startswith("encoder") else 1.0,
                decay=not name.endswith("-plain"),
            )
            for name, parameters in found.items()
        ]

    def batches(self, start: int, share: Share, device: torch.device) -> Iterator[MaskloopBatch]:
        """See `Task.batches`."""
        number = start
        while True:
            yield self.batch(share.samples(number))
            number += 1

    def batch(self, samples: range) -> MaskloopBatch:
        """The batch of these sample numbers, drawn from (seed, the first of them)."""
        rng = np.random.default_rng([self.seed, samples.start])
        settings = self.settings
        chosen = choose(self.resident, self._weights, len(samples), settings.crop, rng)
        images, targets = cut(self.resident, chosen, settings.side)
        images, targets = pasted(images, targets, settings.paste, rng)
        images = settings.photometric(images, rng)
        return MaskloopBatch(images, targets)

    def losses(self, network: nn.Module, batch: MaskloopBatch, step: int) -> Losses:
        """See `Task.losses`."""
        generator = torch.Generator(batch.images.device)
        generator.manual_seed(int(torch.randint(1 << 62, ()).item()))
        maps = self._prompted(batch, generator)
        images = batch.images.contiguous(memory_format=torch.channels_last)
        answer: Answer = network(images, maps.contiguous(memory_format=torch.channels_last))
        return self._terms(answer, batch.targets)

    def _prompted(self, batch: MaskloopBatch, generator: torch.Generator) -> Tensor:
        """The prompt maps after some simulated rounds."""
        settings = self.settings
        maps = prompting.first_prompt(batch.targets, settings.prompt, generator)
        chance = float(torch.rand((), generator=generator, device=maps.device))
        rounds = int(np.searchsorted(np.cumsum(settings.rounds), chance, side="right"))
        self.network.eval()
        for _ in range(min(rounds, len(settings.rounds) - 1)):
            with torch.no_grad():
                logits = self.network(batch.images, maps).logits
            maps = maps.clone()
            maps[:, PREVIOUS] = logits[:, 0].float().sigmoid()
            looks = torch.rand(len(maps), generator=generator, device=maps.device)
            wanted = looks >= settings.second_look
            maps = prompting.add_clicks(
                maps, batch.targets, generator, settings.prompt.centred, wanted
            )
        self.network.train()
        return prompting.degraded(maps, generator)

    def _terms(self, answer: Answer, targets: Tensor) -> Losses:
        settings = self.settings
        logits = answer.logits.float()
        small = functional.interpolate(targets, size=answer.aux.shape[-2:], mode="nearest")
        aux = answer.aux.float()
        overlap = soft_iou(logits, targets)
        with torch.no_grad():
            reached = hard_iou(logits, targets)
        return {
            "focal": settings.focal * normalized_focal(logits, targets).mean(),
            "overlap": settings.overlap * overlap.mean(),
            "aux_focal": settings.auxiliary * normalized_focal(aux, small).mean(),
            "aux_overlap": settings.auxiliary * soft_iou(aux, small).mean(),
            "quality": settings.quality * (answer.quality.float() - reached).square().mean(),
        }

    def pictures(self, batch: MaskloopBatch) -> Pictures:
        """Crop, prompt and truth beside the answer, side by side."""
        part = MaskloopBatch(batch.images[:EXAMPLES], batch.targets[:EXAMPLES])
        generator = torch.Generator(part.images.device).manual_seed(0)
        maps = prompting.first_prompt(part.targets, self.settings.prompt, generator)
        logits = self.network(part.images, maps).logits
        shown = [
            np.concatenate([drawn(image, target, map_), drawn(image, answer, map_)], axis=1)
            for image, target, answer, map_ in zip(
                part.images, part.targets > 0.5, logits > 0, maps, strict=True
            )
        ]
        return np.stack(shown)

    def describe(self) -> Mapping[str, Any]:
        """Counts of what is drawn from."""
        here = self.resident
        names, counts = np.unique(here.sources, return_counts=True)
        return {
            "fingerprint": self.fingerprint,
            "pictures": len(here.sizes),
            "objects": len(here.objects),
            "pictures_by_source": dict(zip(names.tolist(), counts.tolist(), strict=True)),
        }


def started(seed: int, weights: Path | None) -> MaskloopNetwork:
    """The network to begin with: fresh from `seed`, then what `weights` give.

    Those are a maskloop's, or a MobileSAM's encoder; None takes the MobileSAM of the data
    directory. Raises WeightsMissing, and InvalidRequest for weights of another network.
    """
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        network = MaskloopNetwork()
    path = weights or installed(configuration.load(), "mobilesam").path
    try:
        checkpoint = checkpoints.load(path)
    except checkpoints.CheckpointError as error:
        raise InvalidRequest(str(error), field="weights") from None
    if checkpoint.architecture == "maskloop":
        network.load_state_dict(dict(checkpoint.tensors))
    elif checkpoint.architecture == "mobilesam":
        start_from_mobilesam(network, checkpoint.tensors)
    else:
        raise InvalidRequest(
            f"{path.name} holds weights of {checkpoint.architecture}; maskloop starts from a"
            " maskloop or a mobilesam",
            field="weights",
        )
    return network


def hard_iou(logits: Tensor, targets: Tensor) -> Tensor:
    """IoU [B] of the masks above a logit of 0, over known pixels; 1 where both are empty."""
    known = targets >= 0
    found, truth = (logits > 0) & known, targets > 0.5
    both = (found & truth).flatten(1).sum(dim=1).float()
    either = (found | truth).flatten(1).sum(dim=1).float()
    return torch.where(either > 0, both / either.clamp_min(1), torch.ones_like(both))


def drawn(image: Tensor, mask: Tensor, maps: Tensor) -> np.ndarray[Any, np.dtype[np.uint8]]:
    """A crop with a mask's outline and the prompt, uint8 [S, S, 3]."""
    canvas = (image.float().clamp(0, 1) * 255).byte().permute(1, 2, 0).cpu().numpy().copy()
    outline = mask[0].cpu().numpy().astype(np.uint8)
    contours, _ = cv2.findContours(outline, cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, contours, -1, (255, 255, 0), 1)
    positive, negative, box = (plane.cpu().numpy() > 0 for plane in maps[:PREVIOUS])
    edges, _ = cv2.findContours(box.astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE)
    cv2.drawContours(canvas, edges, -1, (0, 255, 255), 1)
    canvas[positive] = (0, 255, 0)
    canvas[negative] = (255, 0, 0)
    return canvas
