"""SimpleClick's entries: a shared folder of files.

The authors' README has no table, so the numbers here are what others wrote down, and say whose.
"""

from __future__ import annotations

from models.zoo.entries import (
    PROMPTS,
    Architecture,
    Published,
    WeightsFile,
    clicks_per_object,
)

_HOME = "https://github.com/uncbiag/SimpleClick"
_FOLDER = "https://drive.google.com/drive/folders/1qpK0gtAPkVMF7VC42UA9XF4xMWr5KJmL"
_COLUMNS = (
    "grabcut 90",
    "berkeley 90",
    "sbd 85",
    "sbd 90",
    "davis 90",
    "coco_mval 85",
    "coco_mval 90",
    "voc 85",
    "voc 90",
)


def _weights(
    name: str, data: str, file_name: str | None, published: tuple[Published, ...] = ()
) -> WeightsFile:
    return WeightsFile(
        name=name,
        trained_on=data,
        page=_FOLDER,
        file_name=file_name,
        licence_code="MIT",
        licence_weights=(
            f"none of their own; trained on {data} from MAE's ImageNet weights (CC BY-NC 4.0)"
        ),
        published=published,
    )


def _coco_lvis(size: str, published: tuple[Published, ...] = ()) -> WeightsFile:
    return _weights("coco-lvis", "COCO and LVIS", f"cocolvis_vit_{size}.pth", published)


def _simpleclick(name: str, backbone: str, parameters: int, *weights: WeightsFile) -> Architecture:
    return Architecture(
        name=name,
        system="SimpleClick",
        backbone=backbone,
        module="models.simpleclick",
        prompts=PROMPTS,
        input="a crop around the object, square 448, at every click",
        parameters=parameters,
        source="Liu et al., SimpleClick, arXiv 2210.11006",
        home=_HOME,
        weights=weights,
    )


ENTRIES = (
    _simpleclick(
        "simpleclick-vit-b",
        "ViT-B",
        98_025_513,
        _coco_lvis(
            "base",
            clicks_per_object(
                _COLUMNS,
                (1.50, 1.86, 3.38, 5.50, 5.18, 2.18, 2.92, 2.06, 2.38),
                told_by="ClickAttention's README",
            ),
        ),
    ),
    _simpleclick("simpleclick-vit-l", "ViT-L", 324_206_377, _coco_lvis("large")),
    _simpleclick(
        "simpleclick-vit-h",
        "ViT-H",
        662_184_793,
        _coco_lvis("huge"),
        _weights(
            "sbd",
            "SBD",
            None,
            clicks_per_object(("sbd 90",), (4.15,), told_by="the paper's abstract"),
        ),
    ),
)
