"""A small network of ours that has really learned something: to cut out the shape clicked on."""

from __future__ import annotations

from functools import cache

import cv2
import numpy as np
import torch

from backend.training.crops import CropDraw
from backend.training.data.source import Annotated, Image, Kind, Layer, ObjectRef
from backend.training.maskloop import MaskloopSettings, MaskloopTask
from backend.training.resident import ResidentPictures
from models.backbones.tiny_vit import TinyVitShape
from models.maskloop import MaskloopOptions, MaskloopSegmenter
from models.maskloop_network import MaskloopNetwork, MaskloopShape

SMALL = MaskloopShape(
    encoder=TinyVitShape((32, 32, 32, 32), (1, 1, 1, 1), (7, 7, 7, 7)),
    decoder=(32, 16, 16, 16),
    prompt=(8, 16),
    context=1,
    heads=2,
)
VERSION = "maskloop@shapes:000000000000"
SIDE = 64


def shapes(seed: int, size: tuple[int, int] = (96, 128), count: int = 3) -> Annotated:
    """Plain discs and rectangles on a plain ground, each an object; later ones lie on top."""
    rng = np.random.default_rng(seed)
    image: Image = np.full((*size, 3), rng.integers(0, 256, 3), np.uint8)
    layer: Layer = np.zeros(size, np.int32)
    for index in range(1, count + 1):
        centre = (int(rng.integers(16, size[1] - 16)), int(rng.integers(16, size[0] - 16)))
        radius = int(rng.integers(10, 24))
        colour = rng.integers(0, 256, 3).tolist()
        drawn = np.zeros(size, np.uint8)
        if rng.random() < 0.5:
            cv2.circle(drawn, centre, radius, 1, -1)
        else:
            corner = (centre[0] - radius, centre[1] - radius // 2)
            cv2.rectangle(drawn, corner, (centre[0] + radius, centre[1] + radius // 2), 1, -1)
        image[drawn > 0] = colour
        layer[drawn > 0] = index
    present = tuple(ObjectRef(0, int(i)) for i in np.unique(layer) if i)
    return Annotated(image, (layer,), present, Kind.INSTANCES, "shapes", str(seed))


def task(network: MaskloopNetwork | None = None, seed: int = 0) -> MaskloopTask:
    """The training of our own network on a few pictures of shapes."""
    pictures = ResidentPictures.of((shapes(number) for number in range(24)), 24, 130)
    if network is None:
        torch.manual_seed(seed)
        network = MaskloopNetwork(SMALL)
    crop = CropDraw(zoom=(1.2, 2.5), whole=0.4, turn=0.1)
    return MaskloopTask(network, pictures, MaskloopSettings(side=SIDE, crop=crop), seed)


@cache
def trained() -> MaskloopNetwork:
    """The network after a short training."""
    learning = task()
    parameters = list(learning.network.parameters())
    optimiser = torch.optim.AdamW(parameters, 4e-3)
    learning.network.train()
    for step in range(120):
        torch.manual_seed(step)
        losses = learning.losses(
            learning.network, learning.batch(range(step * 12, step * 12 + 12)), 0
        )
        torch.stack(list(losses.values())).sum().backward()
        torch.nn.utils.clip_grad_norm_(parameters, 3.0)
        optimiser.step()
        optimiser.zero_grad()
    assert isinstance(learning.network, MaskloopNetwork)
    return learning.network.eval()


def small_segmenter(**options: object) -> MaskloopSegmenter:
    """The trained network as a segmenter of small crops."""
    chosen = MaskloopOptions(side=SIDE, min_crop_size=24, **options)  # type: ignore[arg-type]
    return MaskloopSegmenter(trained(), VERSION, options=chosen)
