"""What a network was shown and what it said, as pictures for TensorBoard."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt
from torch import Tensor

from backend.training.task import Pictures

Image = npt.NDArray[np.uint8]

POSITIVE, NEGATIVE, TRUTH = (0, 255, 0), (255, 0, 0), (255, 255, 0)
"""Colours of clicks and of the true outline, RGB."""

RADIUS = 3


def drawn(
    images: Tensor, labels: Tensor, points: Tensor, previous: Tensor, probabilities: Tensor
) -> Pictures:
    """One picture per sample, uint8 [N, H, 3 W, 3], of three parts side by side.

    The sample with clicks and the true outline; the previous mask; the answer. `images` are uint8
    [N, 3, H, W], `labels` [N, 1, H, W] of 1, 0 and -1, `points` [N, 2P, 3], `previous` and
    `probabilities` [N, 1, H, W] in 0..1.
    """
    rows = []
    for sample in range(len(images)):
        image = np.ascontiguousarray(images[sample].permute(1, 2, 0).cpu().numpy())
        parts = [
            with_clicks(with_outline(image, labels[sample, 0] == 1), points[sample]),
            shaded(image, previous[sample, 0]),
            shaded(image, probabilities[sample, 0]),
        ]
        rows.append(np.concatenate(parts, axis=1))
    return np.stack(rows)


def with_clicks(image: Image, points: Tensor) -> Image:
    """The picture with a dot for every click of [2P, 3] that is there."""
    canvas = image.copy()
    half = len(points) // 2
    for number, (row, column, _) in enumerate(points.tolist()):
        if max(row, column) >= 0:
            colour = POSITIVE if number < half else NEGATIVE
            cv2.circle(canvas, (round(column), round(row)), RADIUS, colour, cv2.FILLED)
    return canvas


def with_outline(image: Image, mask: Tensor) -> Image:
    """The picture with the outline of a mask, bool [H, W]."""
    canvas = image.copy()
    found, _ = cv2.findContours(
        mask.cpu().numpy().astype(np.uint8), cv2.RETR_LIST, cv2.CHAIN_APPROX_NONE
    )
    cv2.drawContours(canvas, found, -1, TRUTH, 1)
    return canvas


def shaded(image: Image, probabilities: Tensor) -> Image:
    """The picture, darker the less probable its pixels [H, W] are."""
    weights = 0.15 + 0.85 * probabilities.float().clamp(0, 1).cpu().numpy()
    return (image * weights[..., None]).astype(np.uint8)
