from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from backend.training import assembly
from backend.training.distributed import World
from backend.training.recipe import Inputs, Recipe
from backend.training.step import Stepper
from backend.training.task import Losses, Share
from backend.training.trained import Trained, evaluating
from tests.backend.training.toy import NORMED, PLAIN, ToyBatch, ToyTask

CPU = torch.device("cpu")


def parts(recipe: Recipe, inputs: Inputs | None = None) -> tuple[ToyTask, Trained, Stepper]:
    task = assembly.make_task(recipe, inputs or Inputs((), None, CPU, 0), World())
    assert isinstance(task, ToyTask)
    trained = assembly.make_trained(recipe, task, CPU)
    stepper = Stepper(
        task,
        task.network,
        trained.optimiser,
        trained.scaler,
        precision=recipe.precision,
        clip_norm=recipe.clip_norm,
        seed=recipe.seed,
        world=World(),
        device=CPU,
    )
    return task, trained, stepper


def tensors(network: nn.Module) -> Mapping[str, torch.Tensor]:
    return {name: tensor.clone() for name, tensor in network.state_dict().items()}


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_steps_lower_the_loss_in_every_precision(precision: Any) -> None:
    task, _, stepper = parts(replace(PLAIN, precision=precision))
    stream = task.batches(0, Share(size=8), CPU)
    totals = []
    for number in range(40):
        stepper.step(number, [next(stream)])
        assert stepper.tally is not None
        if number % 10 == 9:
            totals.append(stepper.tally.read(World()).total)
    assert totals[-1] < 0.6 * totals[0]
    assert {parameter.dtype for parameter in task.network.parameters()} == {torch.float32}


def test_parts_of_a_batch_make_the_step_of_the_whole() -> None:
    whole, _, whole_stepper = parts(PLAIN)
    split, _, split_stepper = parts(PLAIN)
    (batch,) = [next(whole.batches(0, Share(size=8), CPU))]
    stream = split.batches(0, Share(size=2), CPU)
    quarters = [next(stream) for _ in range(4)]
    assert torch.cat([part.numbers for part in quarters]).equal(batch.numbers)
    whole_stepper.step(0, [batch])
    split_stepper.step(0, quarters)
    for name, tensor in tensors(split.network).items():
        torch.testing.assert_close(tensor, whole.network.state_dict()[name], rtol=1e-4, atol=1e-6)
    assert whole_stepper.tally is not None
    assert split_stepper.tally is not None
    cross = [
        stepper.tally.read(World()).losses["cross"] for stepper in (whole_stepper, split_stepper)
    ]
    assert cross[0] == pytest.approx(cross[1], rel=1e-5)


@pytest.mark.parametrize("precision", ["float32", "bfloat16", "float16"])
def test_a_step_without_a_finite_gradient_changes_nothing_and_is_told(precision: Any) -> None:
    recipe = replace(PLAIN, precision=precision, settings={"poison": (1, 2)}, clip_norm=1.0)
    task, trained, stepper = parts(recipe)
    stream = task.batches(0, Share(size=4), CPU)
    stepper.step(0, [next(stream)])
    before = tensors(task.network)
    moments = [entry["exp_avg"].clone() for entry in trained.optimiser.state.values()]
    stepper.step(1, [next(stream)])
    assert stepper.tally is not None
    progress = stepper.tally.read(World())
    assert (progress.steps, progress.skipped, progress.streak) == (2, 1, 1)
    assert progress.not_finite == ["cross"]
    assert progress.total > 0  # of the step that had numbers
    for name, tensor in tensors(task.network).items():
        assert torch.equal(tensor, before[name])
    for kept, entry in zip(moments, trained.optimiser.state.values(), strict=True):
        assert torch.equal(kept, entry["exp_avg"])
        assert entry["step"].item() == 1
    stepper.step(2, [next(stream)])
    progress = stepper.tally.read(World())
    assert (progress.steps, progress.skipped, progress.streak) == (1, 0, 0)
    assert not torch.equal(task.network.head.weight, before["head.weight"])


def test_float16_scales_its_loss_and_lowers_the_scale_when_it_overflows() -> None:
    recipe = replace(PLAIN, precision="float16", settings={"poison": (0, 1)})
    task, trained, stepper = parts(recipe)
    scale = trained.scaler.get_scale()
    stepper.step(0, [next(task.batches(0, Share(size=4), CPU))])
    assert trained.scaler.get_scale() == scale / 2


def test_chance_is_a_function_of_the_batch_number() -> None:
    drawn = []
    for _ in range(2):
        task, _, stepper = parts(NORMED)
        batch = next(task.batches(7, Share(size=4), CPU))
        torch.rand(len(drawn) * 5)  # what happened before must not matter
        stepper.step(7, [batch])
        drawn.append(tensors(task.network))
    assert all(torch.equal(drawn[0][name], drawn[1][name]) for name in drawn[0])


def test_a_step_needs_a_batch_and_always_the_same_losses() -> None:
    class Renaming(ToyTask):
        def losses(self, network: nn.Module, batch: ToyBatch, step: int) -> Losses:
            return {f"cross{step}": network(batch.images).mean()}

    task, _, stepper = parts(replace(PLAIN, task=Renaming))
    batch = next(task.batches(0, Share(size=4), CPU))
    with pytest.raises(ValueError, match="no batch"):
        stepper.step(0, [])
    stepper.step(0, [batch])
    with pytest.raises(ValueError, match=r"cross0.*cross1"):
        stepper.step(1, [batch])


def test_a_parameter_in_no_group_is_an_error() -> None:
    class Forgetful(ToyTask):
        def groups(self) -> list[Any]:
            return list(super().groups()[:1])

    with pytest.raises(ValueError, match=r"2 parameters .* head\.weight"):
        parts(replace(PLAIN, task=Forgetful))


def test_evaluating_gives_every_module_its_mode_back() -> None:
    task, _, _ = parts(NORMED)
    task.network.norm.eval()
    with evaluating(task.network):
        assert not any(module.training for module in task.network.modules())
        assert not torch.is_grad_enabled()
    assert task.network.training
    assert task.network.stem.training
    assert not task.network.norm.training


def test_a_batch_is_divided_or_refused(tmp_path: Path) -> None:
    assert assembly.share_of(24, 3, World(rank=1, count=2)) == Share(1, 2, 4)
    with pytest.raises(assembly.InvalidRequest, match="multiple of 6"):
        assembly.share_of(28, 3, World(rank=1, count=2))


def test_shares_count_through_all_samples_whatever_the_number_of_processes() -> None:
    def seen(count: int, accumulate: int, batch: int = 8, steps: int = 3) -> list[int]:
        size = batch // (count * accumulate)
        return [
            number
            for step in range(steps)
            for part in range(accumulate)
            for rank in range(count)
            for number in Share(rank, count, size).samples(step * accumulate + part)
        ]

    assert seen(1, 1) == seen(2, 1) == seen(1, 4) == seen(2, 2) == list(range(24))
