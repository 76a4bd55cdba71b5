"""The simulated annotator of prompt maps."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from backend.training import prompting
from backend.training.prompting import BOX, NEGATIVE, POSITIVE, PREVIOUS, PromptDraw

SIDE = 112
ONLY_CLICK = PromptDraw(box=0, stroke=0, mask=0, many=0)


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def targets(count: int = 8) -> Tensor:
    """Rectangles of known place; the last ten rows are unknown."""
    target = torch.zeros(count, 1, SIDE, SIDE)
    for sample in range(count):
        target[sample, 0, 20 + sample : 60 + sample, 30:80] = 1
    target[:, :, -10:] = -1
    return target


def centres(plane: Tensor) -> Tensor:
    """The middle (row, column) of what is set, float [B, 2]."""
    found = [sample.nonzero().float().mean(dim=0) for sample in plane]
    return torch.stack(found)


def test_the_first_click_lies_on_the_object() -> None:
    target = targets()
    maps = prompting.first_prompt(target, ONLY_CLICK, generator())
    rows, columns = centres(maps[:, POSITIVE]).round().long().unbind(1)
    assert (target[torch.arange(8), 0, rows, columns] == 1).all()
    assert not maps[:, NEGATIVE:].any()


def test_centred_clicks_are_at_the_middle() -> None:
    target = targets()
    maps = prompting.first_prompt(target, replace(ONLY_CLICK, centred=1.0), generator())
    off = (centres(maps[:, POSITIVE]) - centres(target[:, 0] == 1)).abs()
    # The deepest line of a wide rectangle is as long as it is wide less its height.
    assert off[:, 0].max() <= 4
    assert off[:, 1].max() <= 9


def test_the_next_click_goes_to_the_larger_error() -> None:
    target = targets()
    maps = torch.zeros(8, 4, SIDE, SIDE)
    maps[:, PREVIOUS] = (target[:, 0] == 1).float()
    maps[:4, PREVIOUS, :, 30:60] = 0
    maps[4:, PREVIOUS, 75:100, 85:110] = 1
    after = prompting.add_clicks(maps, target, generator(), 0.5)
    assert after[:4, POSITIVE].flatten(1).any(dim=1).all()
    assert not after[:4, NEGATIVE].any()
    assert after[4:, NEGATIVE].flatten(1).any(dim=1).all()
    assert not after[4:, POSITIVE].any()
    assert (centres(after[:4, POSITIVE])[:, 1] < 61).all()
    assert (centres(after[4:, NEGATIVE])[:, 1] > 84).all()


def test_nothing_wrong_no_click() -> None:
    target = targets()
    maps = torch.zeros(8, 4, SIDE, SIDE)
    maps[:, PREVIOUS] = (target[:, 0] == 1).float()
    # Wrong where nothing is known: no error.
    maps[:, PREVIOUS, -10:] = 1
    assert torch.equal(prompting.add_clicks(maps, target, generator(), 0.5), maps)


def test_an_error_thinner_than_a_cell_still_gets_its_click() -> None:
    target = torch.zeros(2, 1, 448, 448)
    target[:, :, 100, 40:300] = 1
    maps = prompting.first_prompt(target, ONLY_CLICK, generator())
    assert centres(maps[:, POSITIVE])[:, 0].tolist() == pytest.approx([100, 100])


def test_unwanted_samples_stay() -> None:
    target = targets()
    maps = torch.zeros(8, 4, SIDE, SIDE)
    wanted = torch.arange(8) % 2 == 0
    after = prompting.add_clicks(maps, target, generator(), 0.5, wanted)
    assert after.flatten(1).any(dim=1).tolist() == wanted.tolist()


def test_a_stroke_follows_the_object() -> None:
    target = targets()
    wanted = torch.ones(8, dtype=torch.bool)
    maps = prompting.add_strokes(torch.zeros(8, 4, SIDE, SIDE), target, generator(), wanted)
    stroke = maps[:, POSITIVE] > 0
    on = (target[:, 0] == 1) & stroke
    assert (stroke.flatten(1).sum(dim=1) > 29).all()
    assert (on.flatten(1).sum(dim=1) > 0.7 * stroke.flatten(1).sum(dim=1)).all()


def test_boxes_are_near_the_object() -> None:
    target = targets(64)
    boxes = prompting.boxes(target, generator())
    inside = (target[:, 0] == 1).float()
    held = (boxes * inside).flatten(1).sum(dim=1) / inside.flatten(1).sum(dim=1)
    grown = boxes.flatten(1).sum(dim=1) / inside.flatten(1).sum(dim=1)
    assert held.min() > 0.6
    assert held.median() > 0.95
    assert grown.max() < 2.5


def test_a_spoiled_mask_is_wrong_but_not_by_much() -> None:
    target = targets(32)
    spoiled = prompting.spoiled(target, generator()) > 0.5
    truth = target == 1
    common = (spoiled & truth).flatten(1).sum(dim=1)
    either = (spoiled | truth).flatten(1).sum(dim=1)
    share = common / either
    assert share.min() > 0.4
    assert 0.7 < share.mean() < 0.99


def test_all_kinds_of_prompt_occur() -> None:
    draw = PromptDraw(box=0.25, stroke=0.25, mask=0.2, many=0.25)
    maps = prompting.first_prompt(targets(64), draw, generator())
    present = maps.flatten(2).any(dim=2)
    assert all(bool(present[:, plane].any()) for plane in (POSITIVE, NEGATIVE, BOX, PREVIOUS))
    assert present.any(dim=1).all()


def test_degrading_touches_the_previous_mask_alone() -> None:
    maps = torch.zeros(32, 4, SIDE, SIDE)
    maps[:, PREVIOUS, 30:60, 30:60] = 1
    maps[:, POSITIVE, 40, 40] = 1
    after = prompting.degraded(maps, generator(), chance=0.5)
    assert torch.equal(after[:, :PREVIOUS], maps[:, :PREVIOUS])
    softer = (after[:, PREVIOUS] != maps[:, PREVIOUS]).flatten(1).any(dim=1)
    assert 0.2 < softer.float().mean() < 0.8
