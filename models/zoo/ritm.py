"""RITM's entries: the HRNet models of the authors' README and its table of clicks."""

from __future__ import annotations

from models.zoo.entries import PROMPTS, Architecture, WeightsFile, clicks_per_object

_HOME = "https://github.com/SamsungLabs/ritm_interactive_segmentation"
_RELEASE = "https://github.com/saic-vul/ritm_interactive_segmentation/releases/download/v1.0/"
_COLUMNS = (
    "grabcut 85",
    "grabcut 90",
    "berkeley 90",
    "sbd 85",
    "sbd 90",
    "davis 85",
    "davis 90",
    "voc 85",
    "coco_mval 90",
)


def _weights(
    name: str, stem: str, mebibytes: float, noc: tuple[float, ...], unverified: str | None = None
) -> WeightsFile:
    data = "SBD" if name.startswith("sbd") else "COCO and LVIS"
    return WeightsFile(
        name=name,
        trained_on=data,
        file_name=f"{stem}.pth",
        url=f"{_RELEASE}{stem}.pth",
        mebibytes=mebibytes,
        unverified_sha256=unverified,
        licence_code="MIT",
        licence_weights=f"none of their own; trained on {data}",
        published=clicks_per_object(_COLUMNS, noc),
    )


def _ritm(name: str, backbone: str, parameters: int, *weights: WeightsFile) -> Architecture:
    return Architecture(
        name=name,
        system="RITM",
        backbone=backbone,
        module="models.ritm",
        prompts=PROMPTS,
        input="the picture, then a zoomed-in crop around the object, at every click",
        parameters=parameters,
        source="Sofiiuk et al., Reviving Iterative Training with Mask Guidance, arXiv 2102.06583",
        home=_HOME,
        weights=weights,
    )


ENTRIES = (
    _ritm(
        "ritm-hrnet18s",
        "HRNet-18s + OCR",
        4_237_744,
        _weights(
            "coco-lvis",
            "coco_lvis_h18s_itermask",
            16.5,
            (1.54, 1.68, 2.60, 4.04, 6.48, 4.70, 5.98, 2.57, 3.33),
        ),
    ),
    _ritm(
        "ritm-hrnet18",
        "HRNet-18 + OCR",
        10_068_217,
        _weights(
            "coco-lvis",
            "coco_lvis_h18_itermask",
            38.8,
            (1.42, 1.54, 2.26, 3.80, 6.06, 4.36, 5.74, 2.28, 2.98),
            # From the README of lucasew/ritm_annotation, not from the authors.
            unverified="5f69cfce354d1507e3850bfc39ee7057c8dd27b6a4910d1d2dc724916b9ee32b",
        ),
        _weights(
            "sbd",
            "sbd_h18_itermask",
            38.8,
            (1.76, 2.04, 3.22, 3.39, 5.43, 4.94, 6.71, 2.51, 4.39),
        ),
        _weights(
            "coco-lvis-baseline",
            "coco_lvis_h18_baseline",
            38.8,
            (1.54, 1.70, 2.48, 4.26, 6.86, 4.79, 6.00, 2.59, 3.58),
        ),
    ),
    _ritm(
        "ritm-hrnet32",
        "HRNet-32 + OCR",
        31_012_797,
        _weights(
            "coco-lvis",
            "coco_lvis_h32_itermask",
            119.0,
            (1.46, 1.56, 2.10, 3.59, 5.71, 4.11, 5.34, 2.57, 2.97),
        ),
    ),
)
