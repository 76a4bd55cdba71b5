"""One process or many: what `torchrun` starts, and what the processes agree on."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch import distributed as processes
from torch.nn.parallel import DistributedDataParallel

from backend.errors import InvalidSettings


@dataclass(frozen=True)
class World:
    """The processes of a training: this one's number, how many, its number on this machine."""

    rank: int = 0
    count: int = 1
    local: int = 0

    @property
    def first(self) -> bool:
        """Whether this process writes the files and speaks."""
        return self.rank == 0


def world_of(environment: Mapping[str, str]) -> World:
    """What `torchrun` put into the environment; one process where it did not start this."""
    if "WORLD_SIZE" not in environment or "RANK" not in environment:
        return World()
    return World(
        int(environment["RANK"]),
        int(environment["WORLD_SIZE"]),
        int(environment.get("LOCAL_RANK", "0")),
    )


def own_device(device: str, world: World) -> torch.device:
    """The device of this process, by number on CUDA: with several, the GPU of its local number.

    Raises InvalidSettings where there are more processes on the machine than GPUs.
    """
    chosen = torch.device(device)
    if chosen.type != "cuda":
        return chosen
    if world.count == 1:
        return torch.device("cuda", chosen.index or 0)
    if world.local >= torch.cuda.device_count():
        raise InvalidSettings(
            f"process {world.local} of this machine finds {torch.cuda.device_count()} GPUs:"
            " start no more processes (--nproc-per-node) than the machine has",
            field="device",
        )
    return torch.device("cuda", world.local)


@contextlib.contextmanager
def joined(world: World, device: torch.device) -> Iterator[None]:
    """The processes of the world know each other inside; nothing happens for a single one."""
    if world.count == 1:
        yield
        return
    processes.init_process_group(
        "nccl" if device.type == "cuda" else "gloo",
        device_id=device if device.type == "cuda" else None,
    )
    try:
        yield
    finally:
        processes.destroy_process_group()


@contextlib.contextmanager
def first_before_others(world: World) -> Iterator[None]:
    """The first process runs the block before the others do: what it fetches, they find."""
    if world.count > 1 and not world.first:
        processes.barrier()
    yield
    if world.count > 1 and world.first:
        processes.barrier()


def synchronised(network: nn.Module, world: World, device: torch.device) -> nn.Module:
    """The network with batch norms over all processes: on GPUs, which alone can do that."""
    if world.count == 1 or device.type != "cuda":
        return network
    converted: nn.Module = nn.SyncBatchNorm.convert_sync_batchnorm(network)  # type: ignore[no-untyped-call]
    return converted


def wrapped(network: nn.Module, world: World, device: torch.device, *, unused: bool) -> nn.Module:
    """The network whose gradients are the mean over all processes, from equal weights on."""
    if world.count == 1:
        return network
    return DistributedDataParallel(
        network,
        device_ids=[device] if device.type == "cuda" else None,
        find_unused_parameters=unused,
        gradient_as_bucket_view=True,
    )


def unsynchronised(network: nn.Module) -> contextlib.AbstractContextManager[None]:
    """Gradients are only added up inside: for all parts of a step but the last."""
    inner = getattr(network, "_orig_mod", network)
    if isinstance(inner, DistributedDataParallel):
        return inner.no_sync()
    return contextlib.nullcontext()


def mean_over(values: Tensor, world: World) -> Tensor:
    """The mean of a tensor over all processes."""
    if world.count > 1:
        processes.all_reduce(values)
        values = values / world.count
    return values


def any_of(flag: bool, world: World, device: torch.device) -> bool:
    """Whether any process says so; every process must ask."""
    if world.count == 1:
        return flag
    asked = torch.tensor(int(flag), device=device)
    processes.all_reduce(asked, op=processes.ReduceOp.MAX)
    return bool(asked.item())
