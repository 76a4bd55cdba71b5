"""MobileSAM's file, `mobile_sam.pt`: a flat table of tensors."""

from __future__ import annotations

from collections.abc import Mapping

from models.recognition.opened import CheckpointError, OpenedFile, Recognised

MARKS: Mapping[str, tuple[int, ...]] = {
    "image_encoder.patch_embed.seq.0.c.weight": (32, 3, 3, 3),
    "image_encoder.layers.3.blocks.1.attn.attention_biases": (10, 49),
    "prompt_encoder.pe_layer.positional_encoding_gaussian_matrix": (2, 128),
}


def recognise(file: OpenedFile) -> Recognised | None:
    """MobileSAM by three tensors that together no other network has."""
    if all(file.shape(name) == shape for name, shape in MARKS.items()):
        return Recognised("mobilesam", file.tensors)
    if "image_encoder.pos_embed" in file.tensors:
        raise CheckpointError(
            f"{file.name} is a Segment Anything checkpoint with a ViT encoder; of that family"
            " only MobileSAM (mobile_sam.pt) is known here"
        )
    return None
