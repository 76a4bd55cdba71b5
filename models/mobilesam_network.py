"""MobileSAM's network: TinyViT in front of Segment Anything's prompt encoder and mask decoder.

Zhang et al., Faster Segment Anything: Towards Lightweight SAM for Mobile Applications (arXiv
2306.14289). Tensor names are the authors', so their file loads with `strict=True`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from models.backbones.tiny_vit import TinyVit, TinyVitShape
from models.fold_norm import channels_last, folded
from models.heads.sam_decoder import DecodedMasks, MaskDecoder
from models.heads.sam_prompt import PromptEncoder


@dataclass(frozen=True, slots=True)
class MobileSamShape:
    """The sizes of a MobileSAM; the defaults are the authors'. `encoder.neck` is the width."""

    encoder: TinyVitShape = field(default_factory=TinyVitShape)
    heads: int = 8
    mlp: int = 2048


@dataclass(frozen=True, slots=True)
class EncodedPrompt:
    """Prompts in the decoder's words, all of equally many tokens.

    `points` float32 (B, N, 2) of (x, y) in the input frame, `labels` (B, N) with 1 positive,
    0 negative, -1 padding; `boxes` (B, 4) of two corners or None; `masks` raw logits
    (B, 1, S/4, S/4) or None.
    """

    points: Tensor
    labels: Tensor
    boxes: Tensor | None = None
    masks: Tensor | None = None


class MobileSam(nn.Module):
    """The network for square inputs of `input_side` pixels, a multiple of 16.

    No weight depends on the side; the authors trained and ran it at 1024 alone.
    """

    def __init__(self, input_side: int = 1024, shape: MobileSamShape | None = None) -> None:
        super().__init__()
        shape = shape or MobileSamShape()
        dim = shape.encoder.neck
        self.image_encoder = TinyVit(shape.encoder)
        self.prompt_encoder = PromptEncoder(dim, input_side)
        self.mask_decoder = MaskDecoder(dim, shape.heads, shape.mlp)
        self._position: Tensor | None = None

    @property
    def input_side(self) -> int:
        """S, the side of the square input."""
        return self.prompt_encoder.input_side

    def encode(self, pictures: Tensor) -> Tensor:
        """Normalised pictures (B, 3, S, S) -> embeddings (B, 256, S/16, S/16)."""
        embedding: Tensor = self.image_encoder(pictures)
        return embedding

    def decode(self, embedding: Tensor, prompt: EncodedPrompt) -> DecodedMasks:
        """The four masks of each prompt and their scores.

        `embedding` is (1, 256, S/16, S/16), or one for each of the B prompts.
        """
        encoder = self.prompt_encoder
        sparse = encoder.sparse(prompt.points, prompt.labels, prompt.boxes)
        dense = encoder.dense(prompt.masks, len(prompt.points))
        position = encoder.grid_code() if self._position is None else self._position
        masks: DecodedMasks = self.mask_decoder(embedding, position, sparse, dense)
        return masks

    def for_inference(self, device: str = "cpu") -> MobileSam:
        """A private copy that only infers: batch norm folded, channels-last memory.

        What its weights alone determine is computed once, here.
        """
        inference = channels_last(folded(self)).requires_grad_(False).to(torch.device(device))
        inference._position = inference.prompt_encoder.grid_code()
        return inference
