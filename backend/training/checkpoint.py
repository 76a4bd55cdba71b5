"""Checkpoints: everything that a training needs to go on as if it had never stopped.

A checkpoint is a file of `torch.save` with tensors and plain values alone, read back with
`weights_only=True`. It is written beside its place and moved there whole, so a process that is
killed at any moment leaves the one before.
"""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from backend.errors import InvalidRequest, TrainingFailed

FORMAT = 1
FOLDER = "checkpoints"
STATISTICS = frozenset({"running_mean", "running_var"})
_NAME = re.compile(r"step-(\d{9})\.pt")


def write(out: Path, step: int, content: Mapping[str, Any], keep: int) -> Path:
    """Write the checkpoint after `step` steps and remove all but the newest `keep`.

    Raises TrainingFailed where the file cannot be written; the older ones then stay.
    """
    folder = out / FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"step-{step:09d}.pt"
    unfinished = path.with_suffix(".part")
    try:
        with unfinished.open("wb") as file:
            torch.save({"format": FORMAT, "step": step, **content}, file)
            file.flush()
            os.fsync(file.fileno())
        unfinished.replace(path)
    except (OSError, RuntimeError) as error:  # torch's writer meets a full disk as the latter
        with contextlib.suppress(OSError):
            unfinished.unlink()
        raise TrainingFailed(
            f"the checkpoint {path} cannot be written ({str(error).splitlines()[0][:200]}); make"
            " room and run the same command again: it goes on from the checkpoint before"
        ) from None
    _sync_folder(folder)
    for old in found(out)[keep:]:
        old.unlink(missing_ok=True)
    for leftover in folder.glob("*.part"):
        leftover.unlink(missing_ok=True)
    return path


def found(out: Path) -> list[Path]:
    """The checkpoints of a training, the newest first."""
    folder = out / FOLDER
    names = [path for path in folder.glob("step-*.pt") if _NAME.fullmatch(path.name)]
    return sorted(names, reverse=True)


def read(path: Path) -> dict[str, Any]:
    """What a checkpoint holds, its tensors on the CPU.

    Raises InvalidRequest for a file that is none, is damaged, or is of another format.
    """
    try:
        content = torch.load(path, map_location="cpu", weights_only=True)
    except OSError:
        raise
    except Exception as error:
        reason = str(error).strip().split("\n", 1)[0][:200] or type(error).__name__
        raise InvalidRequest(
            f"the checkpoint {path} cannot be read ({reason}); delete it, and the training goes on"
            " from the one before",
            field="out",
        ) from None
    if not isinstance(content, dict) or content.get("format") != FORMAT:
        raise InvalidRequest(
            f"the checkpoint {path} was written by another version of this program; begin in a"
            " new --out, from its exported weights (--weights)",
            field="out",
        )
    return content


def halved(content: Mapping[str, Any]) -> dict[str, Any]:
    """The checkpoint at about half its size, and no longer exact.

    Weights and averaged weights go to float16; the optimiser's moments to bfloat16, since the
    second ones are smaller than float16 can say. Statistics of batch norms keep their precision.
    """
    small = {**content}
    for name in ("network", "average"):
        if content.get(name) is not None:
            small[name] = in_half(content[name])
    states = content["optimiser"]["state"]
    small["optimiser"] = {
        **content["optimiser"],
        "state": {
            number: {
                key: value.bfloat16() if isinstance(value, Tensor) and value.dim() else value
                for key, value in state.items()
            }
            for number, state in states.items()
        },
    }
    return small


def in_half(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors in float16, but for counters and the statistics of batch norms.

    Those statistics are few, and they may lie beyond what float16 can say.
    """
    return {
        name: value.half()
        if value.is_floating_point() and name.rpartition(".")[2] not in STATISTICS
        else value
        for name, value in tensors.items()
    }


def _sync_folder(folder: Path) -> None:
    """Have the disk know the new name, where the system can be asked for that."""
    try:
        handle = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
