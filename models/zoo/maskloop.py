"""The entry of our own network, whose weights are shipped with the program."""

from __future__ import annotations

from models.zoo.entries import PROMPTS, Architecture, WeightsFile

ENTRIES = (
    Architecture(
        name="maskloop",
        system="maskloop",
        backbone="TinyViT-5M",
        module="models.maskloop",
        prompts=PROMPTS,
        input="the whole picture, then crops around the object, as squares of 320 pixels",
        parameters=5_831_931,
        source="docs/maskloop.md",
        home="docs/maskloop.md",
        weights=(
            WeightsFile(
                name="open",
                trained_on="5,981 pictures of everyday scenes and special domains",
                licence_code="Apache-2.0",
                licence_weights="research only: see the model card, docs/maskloop.md",
                size=11_725_486,
                sha256="6c50bd5e29a266ae1f26ec603331364da1c48ca9de0e8457b8d382b6f7c210cb",
                shipped=True,
            ),
        ),
    ),
)
