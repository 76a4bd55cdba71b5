"""f-BRS's entries: the authors' release and their README's table, RGB-BRS beside f-BRS-B."""

from __future__ import annotations

from models.zoo.entries import PROMPTS, Architecture, WeightsFile, clicks_per_object

_HOME = "https://github.com/SamsungLabs/fbrs_interactive_segmentation"
_RELEASE = "https://github.com/saic-vul/fbrs_interactive_segmentation/releases/download/v1.0/"
_COLUMNS = tuple(
    f"{dataset} {quality}"
    for dataset in ("grabcut", "berkeley", "davis", "sbd", "coco_mval")
    for quality in (85, 90)
)


def _weights(
    stem: str,
    mebibytes: float,
    rgb_brs: tuple[float, ...],
    f_brs_b: tuple[float, ...],
    page: str | None = None,
) -> WeightsFile:
    name, data = ("coco-lvis", "COCO and LVIS") if stem.endswith("_lvis") else ("sbd", "SBD")
    return WeightsFile(
        name=name,
        trained_on=data,
        file_name=f"{stem}.pth",
        url=f"{_RELEASE}{stem}.pth",
        page=page,
        mebibytes=mebibytes,
        licence_code="MPL-2.0",
        licence_weights=f"none of their own; trained on {data}",
        published=clicks_per_object(_COLUMNS, f_brs_b, "f-BRS-B")
        + clicks_per_object(_COLUMNS, rgb_brs, "RGB-BRS"),
    )


def _fbrs(name: str, backbone: str, parameters: int, *weights: WeightsFile) -> Architecture:
    return Architecture(
        name=name,
        system="f-BRS",
        backbone=backbone,
        module="models.fbrs",
        prompts=PROMPTS,
        input="the picture, then a zoomed-in crop; corrected until it agrees with every click",
        parameters=parameters,
        source="Sofiiuk et al., f-BRS, arXiv 2001.10331",
        home=_HOME,
        weights=weights,
    )


ENTRIES = (
    _fbrs(
        "fbrs-resnet34",
        "ResNet-34 + DeepLabV3+",
        23_361_148,
        _weights(
            "resnet34_dh128_sbd",
            89.0,
            (2.04, 2.50, 2.22, 4.49, 5.34, 7.91, 4.19, 6.83, 4.16, 5.52),
            (2.06, 2.48, 2.40, 4.17, 5.34, 7.73, 4.47, 7.28, 4.31, 5.79),
        ),
    ),
    _fbrs(
        "fbrs-resnet50",
        "ResNet-50 + DeepLabV3+",
        31_452_559,
        _weights(
            "resnet50_dh128_lvis",
            120.0,
            (1.54, 1.76, 1.56, 2.70, 4.93, 6.22, 4.04, 6.85, 2.41, 3.47),
            (1.52, 1.74, 1.56, 2.61, 4.94, 6.36, 4.29, 7.20, 2.34, 3.43),
        ),
        _weights(
            "resnet50_dh128_sbd",
            120.0,
            (2.16, 2.56, 2.17, 4.27, 5.27, 7.51, 4.00, 6.59, 4.12, 5.61),
            (2.20, 2.64, 2.17, 4.22, 5.44, 7.81, 4.55, 7.45, 4.31, 6.26),
        ),
    ),
    _fbrs(
        "fbrs-resnet101",
        "ResNet-101 + DeepLabV3+",
        58_542_146,
        _weights(
            "resnet101_dh256_sbd",
            223.0,
            (2.10, 2.46, 2.34, 3.91, 5.19, 7.23, 3.78, 6.28, 3.98, 5.45),
            (2.30, 2.68, 2.61, 4.22, 5.32, 7.35, 4.20, 7.10, 4.11, 5.91),
            # The copy that CVAT's own function for f-BRS fetches.
            page="https://drive.google.com/file/d/1Z9dQtpWVTobEdmUBntpUU0pJl-pEXUwR",
        ),
    ),
    _fbrs(
        "fbrs-hrnet18",
        "HRNet-18 + OCR",
        10_058_980,
        _weights(
            "hrnet18_ocr64_sbd",
            39.0,
            (1.68, 1.94, 1.99, 3.81, 5.49, 7.98, 4.19, 6.84, 3.62, 5.04),
            (1.86, 2.18, 2.07, 3.96, 5.62, 8.08, 4.70, 7.65, 3.87, 5.57),
        ),
    ),
    _fbrs(
        "fbrs-hrnet32",
        "HRNet-32 + OCR",
        31_003_560,
        _weights(
            "hrnet32_ocr128_lvis",
            119.0,
            (1.54, 1.60, 1.63, 2.59, 5.06, 6.34, 4.18, 6.96, 2.38, 3.55),
            (1.54, 1.69, 1.64, 2.44, 5.17, 6.50, 4.37, 7.26, 2.35, 3.44),
        ),
        _weights(
            "hrnet32_ocr128_sbd",
            119.0,
            (1.80, 2.16, 2.00, 3.58, 5.40, 7.59, 3.87, 6.33, 3.61, 5.12),
            (1.78, 2.16, 2.13, 3.69, 5.54, 7.62, 4.31, 7.08, 3.82, 5.44),
        ),
    ),
)
