"""Whether a folder's training can be gone on with: the same recipe, weights and data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from backend.errors import InvalidRequest
from backend.training import checkpoint, summary
from backend.training.recipe import Recipe
from models import checkpoints


@dataclass(frozen=True)
class Start:
    """Where a training begins or goes on.

    `content` is the checkpoint, None at the very beginning. `weights` says which file the
    training began with, None for none. `changes` are sentences on what is no longer as it was.
    """

    content: Mapping[str, Any] | None
    weights: Mapping[str, Any] | None
    changes: tuple[str, ...] = ()

    @property
    def step(self) -> int:
        """The steps that are done."""
        return 0 if self.content is None else int(self.content["step"])


def find(
    out: Path,
    recipe: Recipe,
    data: Sequence[Mapping[str, Any]],
    weights: Path | None,
    *,
    accept_changes: bool,
) -> Start:
    """Where to begin in `out`.

    Raises InvalidRequest for the folder of another recipe, and for other settings or starting
    weights than those of its checkpoint unless changes are accepted. Other data are told, and
    accepted: they may have grown.
    """
    given = None if weights is None else _weights(weights)
    kept = checkpoint.found(out)
    content = checkpoint.read(kept[0]) if kept else None
    before = content["run"] if content is not None else summary.read(out)
    if before is None:
        return Start(None, given)
    if before["recipe"]["name"] != recipe.name:
        raise InvalidRequest(
            f"{out} holds a training of {before['recipe']['name']}, not of {recipe.name}; give"
            " another folder (--out)",
            field="out",
        )
    if content is None:
        return Start(None, given)
    differing = summary.differences(before["recipe"], summary.described(recipe))
    free = [sentence for name, sentence in differing.items() if name in summary.FREE]
    changes = [sentence for name, sentence in differing.items() if name not in summary.FREE]
    began = before["start_weights"]
    if given is not None and (began is None or began["sha256"] != given["sha256"]):
        changes.append(f"the training began with {_name(began)}, not with {_name(given)}")
    if changes and not accept_changes:
        raise InvalidRequest(
            f"{out} holds a training with other settings: {'; '.join(changes)}. Give the same"
            " ones, another folder (--out), or --accept-changes to go on with the new ones",
            field="out",
        )
    if not summary.same_data(before["data"], data):
        changes.append("the data are not those of the checkpoint")
    return Start(content, began, (*changes, *free))


def _weights(path: Path) -> dict[str, Any]:
    return {"file": path.name, "sha256": checkpoints.sha256(path)}


def _name(weights: Mapping[str, Any] | None) -> str:
    return "no file of weights" if weights is None else str(weights["file"])
