"""S2M's entry."""

from __future__ import annotations

from models.zoo.entries import PROMPTS, Architecture, WeightsFile

_WEIGHTS = WeightsFile(
    name="lvis",
    trained_on="LVIS, FSS-1000, DUTS, ECSSD, BIG and HRSOD",
    file_name="s2m.pth",
    page="https://drive.google.com/file/d/1HKwklVey3P2jmmdmrACFlkXtcvNxbKMM",
    licence_code="MIT",
    licence_weights="none of their own; trained on LVIS and saliency sets",
)

ENTRIES = (
    Architecture(
        name="s2m",
        system="S2M",
        backbone="ResNet-50 + DeepLabV3+",
        module="models.s2m",
        prompts=PROMPTS,
        input="the whole picture, long side at most 800 (option), with previous mask and strokes",
        parameters=39_822_974,
        source="Cheng et al., Modular Interactive Video Object Segmentation, arXiv 2103.07941",
        home="https://github.com/hkchengrex/Scribble-to-Mask",
        weights=(_WEIGHTS,),
    ),
)
