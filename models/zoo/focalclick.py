"""FocalClick's entries: a shared folder of files and the table of the authors' README."""

from __future__ import annotations

from models.zoo.entries import (
    CORRECTING,
    PROMPTS,
    Architecture,
    WeightsFile,
    clicks_per_object,
)

_HOME = "https://github.com/alibaba/ClickSEG"
_FOLDER = "https://drive.google.com/drive/folders/1XzUlpPqbzAyMt009HVpEeW31ln1FeXfX"
_DATA = {
    "coco-lvis": "COCO and LVIS",
    "combined": "COCO and LVIS, MSRA10K, DUTS, ThinObject, YouTube-VOS, HFlickr and ADE20K",
}
_COLUMNS = tuple(
    f"{dataset} {quality}"
    for dataset in ("grabcut", "berkeley", "voc", "coco_mval", "sbd", "davis", "davis585")
    for quality in (85, 90)
)
_CORRECTED = ("davis585 85", "davis585 90")


def _weights(
    name: str, mebibytes: float, noc: tuple[float, ...], correcting: tuple[float, float]
) -> WeightsFile:
    """`noc` starts from nothing; `correcting` from the masks that DAVIS-585 brings along.

    The names of the files inside the folder are written down nowhere but there.
    """
    return WeightsFile(
        name=name,
        trained_on=_DATA[name],
        page=_FOLDER,
        mebibytes=mebibytes,
        licence_code="Apache-2.0 (LICENSE; the README says MIT)",
        licence_weights=f"none of their own; trained on {_DATA[name]}",
        published=clicks_per_object(_COLUMNS, noc)
        + clicks_per_object(_CORRECTED, correcting, CORRECTING),
    )


def _focalclick(name: str, backbone: str, parameters: int, *weights: WeightsFile) -> Architecture:
    return Architecture(
        name=name,
        system="FocalClick",
        backbone=backbone,
        module="models.focalclick",
        prompts=PROMPTS,
        input="a crop around the object, then a small one around what the click changed",
        parameters=parameters,
        source="Chen et al., FocalClick, arXiv 2204.02574",
        home=_HOME,
        weights=weights,
    )


ENTRIES = (
    _focalclick(
        "focalclick-segformerb0-s1",
        "SegFormer-B0",
        3_741_676,
        _weights(
            "coco-lvis",
            14.38,
            (1.60, 1.86, 2.05, 3.29, 3.54, 4.22, 3.08, 4.21, 4.98, 7.60, 5.13, 7.42, 6.21, 9.06),
            (2.63, 3.69),
        ),
    ),
    _focalclick(
        "focalclick-segformerb0-s2",
        "SegFormer-B0",
        3_741_676,
        _weights(
            "coco-lvis",
            14.38,
            (1.40, 1.66, 1.59, 2.27, 2.97, 3.52, 2.65, 3.59, 4.56, 6.86, 4.04, 5.49, 5.01, 7.22),
            (2.21, 3.08),
        ),
    ),
    _focalclick(
        "focalclick-segformerb3-s2",
        "SegFormer-B3",
        45_689_356,
        _weights(
            "coco-lvis",
            174.56,
            (1.44, 1.50, 1.55, 1.92, 2.46, 2.88, 2.32, 3.12, 3.53, 5.59, 3.61, 4.90, 4.06, 5.89),
            (2.00, 2.76),
        ),
        _weights(
            "combined",
            174.56,
            (1.22, 1.26, 1.35, 1.48, 2.54, 2.96, 2.51, 3.33, 3.70, 5.84, 2.92, 4.52, 3.98, 5.75),
            (1.98, 2.72),
        ),
    ),
    _focalclick(
        "focalclick-hrnet18s-s1",
        "HRNet-18s + OCR",
        4_249_464,
        _weights(
            "coco-lvis",
            16.58,
            (1.64, 1.88, 1.84, 2.89, 3.24, 3.91, 2.89, 4.00, 4.74, 7.29, 4.77, 6.56, 5.62, 8.08),
            (2.72, 3.82),
        ),
    ),
    _focalclick(
        "focalclick-hrnet18s-s2",
        "HRNet-18s + OCR",
        4_249_464,
        _weights(
            "coco-lvis",
            16.58,
            (1.48, 1.62, 1.60, 2.23, 2.93, 3.46, 2.61, 3.59, 4.43, 6.79, 3.90, 5.23, 4.87, 6.87),
            (2.47, 3.30),
        ),
    ),
    _focalclick(
        "focalclick-hrnet32-s2",
        "HRNet-32 + OCR",
        31_029_637,
        _weights(
            "coco-lvis",
            119.11,
            (1.64, 1.80, 1.70, 2.36, 2.80, 3.35, 2.62, 3.65, 4.24, 6.61, 4.01, 5.39, 4.77, 6.84),
            (2.32, 3.09),
        ),
        _weights(
            "combined",
            119.11,
            (1.30, 1.34, 1.49, 1.85, 2.84, 3.38, 2.80, 3.85, 4.35, 6.61, 3.19, 4.81, 4.80, 6.63),
            (2.37, 3.26),
        ),
    ),
)
