"""TransT's entry: a shared folder with both of its networks, and the authors' table."""

from __future__ import annotations

from models.zoo.entries import Architecture, Published, WeightsFile

_FOLDER = "https://drive.google.com/drive/folders/1GVQV1GoW-ttDJRRqaVAtLUtubtgLhWCE"

SETS = {
    "lasot": ("LaSOT", "auc"),
    "trackingnet": ("TrackingNet", "auc"),
    "got10k": ("GOT-10k", "ao"),
    "otb100": ("OTB100", "auc"),
    "nfs": ("NFS", "auc"),
    "uav123": ("UAV123", "auc"),
}
"""The published sets in the order of the authors' table: as papers write them, and the metric."""


def _weights(name: str, mebibytes: float, values: tuple[float, ...]) -> WeightsFile:
    return WeightsFile(
        name=name,
        trained_on="LaSOT, GOT-10k, COCO and TrackingNet",
        page=_FOLDER,
        mebibytes=mebibytes,
        licence_code="GPL-3.0",
        licence_weights=(
            "none of their own, in a GPL-3.0 repository; trained on LaSOT, GOT-10k, COCO and"
            " TrackingNet from ImageNet weights"
        ),
        published=tuple(
            Published(dataset, metric, value)
            for (dataset, (_, metric)), value in zip(SETS.items(), values, strict=True)
        ),
    )


ENTRIES = (
    Architecture(
        name="transt",
        system="TransT",
        backbone="ResNet-50 + Transformer",
        module="models.transt",
        prompts=("box",),
        input="a square around the object's last box, 256, on every frame",
        parameters=23_046_641,
        source="Chen et al., Transformer Tracking, arXiv 2103.15436",
        home="https://github.com/chenxin-dlut/TransT",
        weights=(
            _weights("n4", 87.9, (64.9, 81.4, 72.3, 69.4, 65.7, 69.1)),
            _weights("n2", 63.8, (64.2, 80.9, 69.9, 68.1, 65.7, 67.0)),
        ),
        task="track",
    ),
)
