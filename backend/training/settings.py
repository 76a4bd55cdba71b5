"""How a training is run, as against what is trained: nothing here changes the weights."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class RunSettings:
    """Settings of a run beside its recipe.

    `device` is auto, cpu, cuda or cuda:N. Each step's batch is taken in `accumulate` parts a
    process, which saves memory. `workers` processes load data for each training process. `minutes`
    stops the run, with a checkpoint, after so long. A checkpoint is written every `save_minutes`,
    and the newest `keep` stay; `checkpoint_half` writes them at half their size, no longer exact.
    Numbers are shown every `log_steps`, pictures every `picture_steps`, and the task measures
    every `measure_steps`, on the evaluation sets in the folders `validation` if it can. `half`
    exports a second file of weights in float16. `name` is what follows the `@` in the exported
    weights' name, the output folder's name by default.
    `accept_changes` goes on from a checkpoint that other settings have led to.
    """

    device: str = "auto"
    accumulate: int = 1
    workers: int = 2
    minutes: float | None = None
    save_minutes: float = 10.0
    keep: int = 2
    checkpoint_half: bool = False
    log_steps: int = 20
    picture_steps: int = 500
    measure_steps: int = 2000
    validation: tuple[Path, ...] = ()
    half: bool = False
    name: str | None = None
    accept_changes: bool = False
