from __future__ import annotations

import numpy as np
import torch

from backend.training.example_pictures import NEGATIVE, POSITIVE, TRUTH, drawn, shaded


def test_what_is_shown_and_where() -> None:
    images = torch.full((1, 3, 40, 60), 100, dtype=torch.uint8)
    labels = torch.zeros(1, 1, 40, 60, dtype=torch.int8)
    labels[:, :, 10:30, 10:30] = 1
    labels[:, :, :, 58:] = -1
    points = torch.tensor([[[20.0, 20.0, 0.0], [-1, -1, -1], [5.4, 50.2, 1.0], [-1, -1, -1]]])
    previous = torch.zeros(1, 1, 40, 60)
    answer = previous.clone()
    answer[:, :, 12:28, 12:28] = 1
    shown = drawn(images, labels, points, previous, answer)
    assert (shown.shape, shown.dtype) == ((1, 40, 180, 3), np.uint8)
    first, second, third = shown[0, :, :60], shown[0, :, 60:120], shown[0, :, 120:]
    assert tuple(first[20, 20]) == POSITIVE
    assert tuple(first[5, 50]) == NEGATIVE
    assert tuple(first[10, 12]) == TRUTH
    assert tuple(first[35, 45]) == (100, 100, 100)
    assert (second == 15).all()
    assert (third[14:26, 14:26] == 100).all()
    assert (third[:10] == 15).all()


def test_probabilities_beyond_their_range_are_clipped() -> None:
    image = np.full((2, 2, 3), 200, np.uint8)
    shown = shaded(image, torch.tensor([[2.0, 1.0], [-1.0, 0.0]]))
    assert shown[0].tolist() == [[200] * 3] * 2
    assert shown[1].tolist() == [[30] * 3] * 2
