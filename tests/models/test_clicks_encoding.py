"""Clicks as maps."""

from __future__ import annotations

import pytest
import torch

from models.clicks_encoding import DistMaps, mirrored, points_tensor


def disks(points: list[list[float]], *, whole_pixels: bool = False) -> torch.Tensor:
    encoder = DistMaps(5, disks=True, whole_pixels=whole_pixels)
    return encoder(torch.tensor([points]), (40, 50))[0]


def test_disk_of_radius_five_has_81_pixels() -> None:
    maps = disks([[20.0, 25, 0], [-1, -1, -1]])
    assert maps[0].sum() == 81
    assert maps[0, 20, 30] == 1
    assert maps[0, 20, 31] == 0
    assert maps[1].sum() == 0


def test_fractional_centres_are_not_rounded() -> None:
    assert disks([[20.5, 25.5, 0], [-1, -1, -1]])[0].sum() == 80


def test_whole_pixels_round_halves_to_even_and_drop_clicks_outside() -> None:
    maps = disks([[20.5, 25.5, 0], [3.0, 50.2, 1]], whole_pixels=True)
    assert torch.equal(maps[0], disks([[20.0, 26, 0], [-1, -1, -1]])[0])
    assert maps[1].sum() == 0


def test_click_beyond_one_edge_reaches_in_and_beyond_two_does_not() -> None:
    assert disks([[-3.0, 25, 0], [-1, -1, -1]])[0].sum() > 0
    assert disks([[-3.0, -2, 0], [-1, -1, -1]])[0].sum() == 0


def test_overrun_marks_the_pixel_that_lies_there_in_memory() -> None:
    encoder = DistMaps(5, disks=True, whole_pixels=True)
    encoder.overrun = True
    points = torch.tensor([[[12.0, -7, 0], [-1, -1, -1], [-1, -1, -1], [1.0, 60, 1]]])
    maps = encoder(points, (40, 50))[0]
    assert maps[0].nonzero().tolist() == [[11, 43]]
    assert maps[1].nonzero().tolist() == [[2, 10]]
    below = encoder(torch.tensor([[[41.0, 3, 0], [-1, -1, -1]]]), (40, 50))[0]
    assert below.nonzero().tolist() == [[1, 1, 3]]
    beyond = encoder(torch.tensor([[[-1.0, -1, -1], [41.0, 3, 0]]]), (40, 50))[0]
    assert beyond.sum() == 0


def test_tanh_of_the_distance_to_the_nearest_click() -> None:
    encoder = DistMaps(260, disks=False)
    points = torch.tensor([[[10.0, 10, 0], [10, 30, 1], [-1, -1, -1], [-1, -1, -1]]])
    maps = encoder(points, (40, 50))[0]
    assert maps[0, 10, 30] == 0
    assert maps[0, 10, 13] == pytest.approx(torch.tanh(torch.tensor(6 / 260)).item())
    assert maps[1].min() == 1


def test_integer_points_serve_too() -> None:
    whole = torch.tensor([[[20, 25, 0], [-1, -1, -1]]])
    encoder = DistMaps(5, disks=True)
    assert torch.equal(encoder(whole, (40, 50)), encoder(whole.float(), (40, 50)))


def test_each_picture_of_a_batch_has_its_own_clicks() -> None:
    lists = [[(20.0, 25.0, True), (5.0, 5.0, False)], [(7.0, 9.0, True)]]
    encoder = DistMaps(5, disks=True)
    together = encoder(points_tensor(lists), (40, 50))
    for index, clicks in enumerate(lists):
        assert torch.equal(together[index], encoder(points_tensor([clicks]), (40, 50))[0])


def test_points_are_padded_by_sign_in_the_order_of_clicking() -> None:
    clicks = [(1.0, 2.0, True), (3.0, 4.0, False), (5.0, 6.0, True)]
    assert points_tensor([clicks]).tolist() == [
        [[1, 2, 0], [5, 6, 2], [3, 4, 1], [-1, -1, -1]],
    ]
    assert points_tensor([[]]).tolist() == [[[-1, -1, -1], [-1, -1, -1]]]


def test_mirrored_clicks_lie_on_the_mirrored_picture() -> None:
    clicks = [(20.0, 9.0, True), (5.0, 41.0, False)]
    encoder = DistMaps(5, disks=True)
    maps = encoder(points_tensor([clicks]), (40, 50))
    flipped = encoder(points_tensor([mirrored(clicks, 50)]), (40, 50))
    assert torch.equal(maps.flip(3), flipped)
