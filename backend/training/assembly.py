"""The parts of a training put together from its recipe: task, optimiser, average, scaler."""

from __future__ import annotations

import torch
from torch import nn
from torch.amp import GradScaler

from backend.errors import InvalidRequest
from backend.training import distributed
from backend.training.chance import seed_all
from backend.training.distributed import World
from backend.training.ema import AveragedWeights
from backend.training.optimisation import left_out, make_optimiser
from backend.training.recipe import Inputs, Recipe
from backend.training.task import AnyTask, Share
from backend.training.trained import Trained
from models.checkpoints import CheckpointError


def share_of(batch: int, accumulate: int, world: World) -> Share:
    """What of a batch one process takes. Raises InvalidRequest where it cannot be divided."""
    parts = world.count * accumulate
    if batch % parts:
        raise InvalidRequest(
            f"a batch of {batch} cannot be divided over {world.count} processes in {accumulate}"
            f" parts each; give a multiple of {parts} (--batch)",
            field="batch",
        )
    return Share(world.rank, world.count, batch // parts)


def tune(device: torch.device) -> None:
    """Make a GPU the current one, with its fastest kernels, and TF32 for products in float32."""
    if device.type == "cuda":
        torch.cuda.set_device(device)
        torch.set_float32_matmul_precision("high")
        torch.backends.cudnn.benchmark = True


def make_task(recipe: Recipe, inputs: Inputs, world: World) -> AnyTask:
    """The recipe's task, its network ready to be trained: fresh weights depend on the seed alone.

    Raises InvalidRequest for weights that do not fit, and what the task raises.
    """
    seed_all(recipe.seed)
    try:
        with distributed.first_before_others(world):
            task = recipe.task(recipe, inputs)
    except CheckpointError as error:
        raise InvalidRequest(f"--weights: {error}", field="weights") from None
    if recipe.sync_batch_norm:
        task.network = distributed.synchronised(task.network, world, inputs.device)
    if recipe.channels_last:
        # The overloads of `to` do not know a memory format alone.
        task.network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    task.network.train()
    return task


def make_trained(recipe: Recipe, task: AnyTask, device: torch.device) -> Trained:
    """The state to train, at its beginning.

    Raises ValueError where the task's groups leave out a parameter that wants a gradient.
    """
    groups = task.groups()
    if forgotten := left_out(task.network, groups):
        raise ValueError(
            f"{len(forgotten)} parameters that want a gradient are in no group of the task:"
            f" {', '.join(forgotten[:3])}"
        )
    return Trained(
        task.network,
        None if recipe.ema is None else AveragedWeights(task.network, recipe.ema),
        make_optimiser(recipe.optimiser, groups),
        GradScaler(device.type, enabled=recipe.precision == "float16"),
    )


def wrapped(recipe: Recipe, task: AnyTask, world: World, device: torch.device) -> nn.Module:
    """The network as the step calls it: over all processes, compiled if the recipe says so."""
    network = distributed.wrapped(task.network, world, device, unused=task.unused_parameters)
    if recipe.compiled:
        compiled: nn.Module = torch.compile(network)  # type: ignore[assignment]
        return compiled
    return network
