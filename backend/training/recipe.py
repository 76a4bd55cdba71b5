"""Recipes: the settings of a training, as values. What they mean is the loop's business."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from backend.errors import InvalidRequest

if TYPE_CHECKING:
    import torch

    from backend.training.task import AnyTask

Precision = Literal["float32", "bfloat16", "float16"]

EPOCH = 30_000
"""Samples that the authors of RITM and of the systems after it call an epoch."""


@dataclass(frozen=True)
class Optimiser:
    """Adam (Kingma and Ba, 2015) or AdamW (Loshchilov and Hutter, 2019).

    `rate` is the learning rate at its highest; a parameter group may multiply it.
    """

    kind: Literal["adam", "adamw"] = "adam"
    rate: float = 5e-4
    betas: tuple[float, float] = (0.9, 0.999)
    eps: float = 1e-8
    weight_decay: float = 0.0


@dataclass(frozen=True)
class Schedule:
    """The learning rate over the steps, as a factor on `Optimiser.rate`.

    `constant` stays at 1. `multi-step` multiplies by `factor` at each of the `milestones` (steps).
    `cosine` falls from 1 to `floor` along half a cosine. All of them first rise in a straight
    line over `warm_up` steps, and the cosine begins after those.
    """

    kind: Literal["constant", "multi-step", "cosine"] = "constant"
    milestones: tuple[int, ...] = ()
    factor: float = 0.1
    floor: float = 0.0
    warm_up: int = 0


@dataclass(frozen=True)
class Inputs:
    """What a task is made from, beside its recipe.

    `data` are the paths that the user gave, in that order. `weights` is the file to start from;
    None leaves it to the task (fresh weights, or pre-trained ones that it fetches). The network
    goes to `device`. `workers` processes load data; 0 loads in the training process. `validation`
    are the folders of evaluation sets to measure on now and then.
    """

    data: tuple[Path, ...]
    weights: Path | None
    device: torch.device
    workers: int
    validation: tuple[Path, ...] = ()


TaskFactory = Callable[["Recipe", Inputs], "AnyTask"]


@dataclass(frozen=True)
class Recipe:
    """How a network is trained.

    `steps` optimisation steps of `batch` samples each, over all processes and accumulated parts
    together. `ema` is the decay of the averaged weights, which are the ones exported; None exports
    the last ones. `clip_norm` limits the norm of the gradient. Sampling, augmentation and
    simulated clicks are functions of `seed`. `task` makes what is trained. `settings` are the
    task's own, plain values that JSON can hold: they are kept in the run's summary, and a training
    resumes only with the same ones.
    """

    name: str
    architecture: str
    summary: str
    task: TaskFactory
    steps: int
    batch: int
    optimiser: Optimiser = field(default_factory=Optimiser)
    schedule: Schedule = field(default_factory=Schedule)
    precision: Precision = "float32"
    ema: float | None = None
    clip_norm: float | None = None
    sync_batch_norm: bool = False
    channels_last: bool = False
    compiled: bool = False
    seed: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)

    def with_steps(self, steps: int) -> Recipe:
        """The recipe stretched or shortened to `steps`, milestones and warm-up in proportion."""
        scale = steps / self.steps
        schedule = replace(
            self.schedule,
            milestones=tuple(round(step * scale) for step in self.schedule.milestones),
            warm_up=round(self.schedule.warm_up * scale),
        )
        return replace(self, steps=steps, schedule=schedule)


def steps_of(epochs: float, batch: int, samples: int = EPOCH) -> int:
    """The steps of `epochs` passes of `samples` samples each; an incomplete batch counts not."""
    return int(epochs * (samples // batch))


def named(name: str, recipes: Mapping[str, Recipe]) -> Recipe:
    """The recipe called `name`. Raises InvalidRequest with those that come near."""
    if name in recipes:
        return recipes[name]
    near = difflib.get_close_matches(name.lower(), recipes, n=3, cutoff=0.5)
    hint = f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(recipes)}"
    raise InvalidRequest(f"no recipe is called {name!r}; {hint}", field="recipe")
