from __future__ import annotations

import pytest
import torch
from torch import nn

from backend.training.optimisation import (
    gradient_norm,
    left_out,
    make_optimiser,
    rate_factor,
    set_rate,
)
from backend.training.recipe import Optimiser, Schedule
from backend.training.task import ParameterGroup


def factors(schedule: Schedule, steps: int) -> list[float]:
    return [rate_factor(schedule, step, steps) for step in range(steps)]


def test_multi_step_falls_at_each_milestone() -> None:
    schedule = Schedule("multi-step", milestones=(2, 4), factor=0.1)
    assert factors(schedule, 6) == pytest.approx([1, 1, 0.1, 0.1, 0.01, 0.01])


def test_cosine_falls_from_one_to_the_floor() -> None:
    found = factors(Schedule("cosine", floor=0.2), 100)
    assert found[0] == 1.0
    assert found[50] == pytest.approx(0.6)
    assert found[99] == pytest.approx(0.2, abs=1e-3)
    assert found == sorted(found, reverse=True)


@pytest.mark.parametrize("kind", ["constant", "multi-step", "cosine"])
def test_a_warm_up_rises_in_a_straight_line_and_meets_the_schedule(kind: str) -> None:
    found = factors(Schedule(kind, milestones=(50,), warm_up=4), 60)  # type: ignore[arg-type]
    assert found[:5] == pytest.approx([0.25, 0.5, 0.75, 1.0, 1.0])


def test_a_constant_rate_stays() -> None:
    assert factors(Schedule(), 3) == [1.0, 1.0, 1.0]


def test_groups_have_their_own_rate_and_decay() -> None:
    first, second = nn.Parameter(torch.ones(2)), nn.Parameter(torch.ones(2))
    optimiser = make_optimiser(
        Optimiser("adamw", rate=0.1, weight_decay=0.5),
        [
            ParameterGroup("slow", [first], rate=0.1),
            ParameterGroup("free", [second], decay=False),
            ParameterGroup("empty", []),
        ],
    )
    set_rate(optimiser, 0.2)
    assert [group["lr"] for group in optimiser.param_groups] == pytest.approx([0.02, 0.2])
    first.grad, second.grad = torch.zeros(2), torch.zeros(2)
    optimiser.step()
    # AdamW without a gradient only decays: by rate x decay, and where decay is asked for.
    assert first.detach() == pytest.approx(torch.full((2,), 1 - 0.02 * 0.5))
    assert second.detach().tolist() == [1.0, 1.0]


def test_adam_puts_weight_decay_into_the_gradient() -> None:
    parameter = nn.Parameter(torch.ones(1))
    optimiser = make_optimiser(
        Optimiser("adam", rate=0.1, weight_decay=0.5), [ParameterGroup("all", [parameter])]
    )
    parameter.grad = torch.zeros(1)
    optimiser.step()
    assert parameter.item() == pytest.approx(0.9, abs=1e-6)


def test_a_forgotten_parameter_is_found_and_a_frozen_one_is_none() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2, bias=False))
    network[0].bias.requires_grad_(requires_grad=False)
    groups = [ParameterGroup("second", list(network[1].parameters()))]
    assert left_out(network, groups) == ["0.weight"]


def test_the_gradient_is_shortened_to_the_limit_and_its_norm_before_is_told() -> None:
    parameters = [nn.Parameter(torch.zeros(2)) for _ in range(3)]
    parameters[0].grad, parameters[1].grad = torch.tensor([3.0, 0.0]), torch.tensor([0.0, 4.0])
    assert gradient_norm(parameters, None).item() == pytest.approx(5.0)
    assert parameters[0].grad.tolist() == [3.0, 0.0]
    assert gradient_norm(parameters, 1.0).item() == pytest.approx(5.0)
    assert gradient_norm(parameters, 1.0).item() == pytest.approx(1.0, abs=1e-5)
