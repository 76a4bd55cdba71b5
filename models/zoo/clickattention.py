"""ClickAttention's entries: a shared folder of files and the authors' rows of their README.

Its rows about other systems are no source for those: they differ from the systems' own tables.
"""

from __future__ import annotations

from models.zoo.entries import PROMPTS, Architecture, WeightsFile, clicks_per_object

_HOME = "https://github.com/hahamyt/ClickAttention"
_FOLDER = "https://drive.google.com/drive/folders/172RwWhFASrhVmgcbF5Bl5gI5UyMD66DN"
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


def _clickattention(
    name: str, backbone: str, parameters: int, noc: tuple[float, ...]
) -> Architecture:
    """The names and sizes of the files inside the folder are written down nowhere but there."""
    weights = WeightsFile(
        name="coco-lvis",
        trained_on="COCO and LVIS",
        page=_FOLDER,
        licence_code="Apache-2.0",
        licence_weights="none of their own; trained on COCO and LVIS",
        published=clicks_per_object(_COLUMNS, noc),
    )
    return Architecture(
        name=name,
        system="ClickAttention",
        backbone=backbone,
        module="models.clickattention",
        prompts=PROMPTS,
        input="the whole picture, stretched to a square, at every click",
        parameters=parameters,
        source="ClickAttention, arXiv 2408.06021",
        home=_HOME,
        weights=(weights,),
    )


ENTRIES = (
    _clickattention(
        "clickattention-b0-s2",
        "SegFormer-B0",
        6_049_442,
        (1.66, 2.65, 4.45, 6.90, 5.44, 2.81, 3.77, 2.87, 3.36),
    ),
    _clickattention(
        "clickattention-b3-s2",
        "SegFormer-B3",
        54_889_794,
        (1.46, 1.95, 3.26, 5.23, 4.72, 2.17, 2.89, 2.05, 2.37),
    ),
)
