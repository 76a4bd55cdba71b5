"""What passes between the loader and the systems that recognise its files."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor


class CheckpointError(ValueError):
    """A file that is no weights file, is damaged, or belongs to a network that is not known."""


@dataclass(frozen=True)
class OpenedFile:
    """An author's file, read safely, whose network is not known yet.

    `name` is the file's name, for sentences alone. `tensors` is the state dict by the authors'
    tensor names, never empty. `config` is the serialised configuration {"class", "params"} of the
    systems that store one beside the tensors, plain values only, else None.
    """

    name: str
    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any] | None = None

    @property
    def class_name(self) -> str:
        """The class that the configuration names, without its package; empty without one.

        People rename the authors' package, and different systems use one path, so only this last
        part says something, and the tensors have to agree.
        """
        return str((self.config or {}).get("class", "")).rpartition(".")[2]

    def shape(self, name: str) -> tuple[int, ...] | None:
        """The shape of one tensor, None where there is no such tensor."""
        tensor = self.tensors.get(name)
        return None if tensor is None else tuple(tensor.shape)

    def has_any(self, prefix: str) -> bool:
        """Whether any tensor's name begins with `prefix`."""
        return any(name.startswith(prefix) for name in self.tensors)

    def parameter(self, name: str) -> Any:
        """The value of one of the configuration's parameters, None where it is not given."""
        parameters = (self.config or {}).get("params")
        entry = parameters.get(name) if isinstance(parameters, Mapping) else None
        return entry.get("value") if isinstance(entry, Mapping) else None


@dataclass(frozen=True)
class Recognised:
    """The architecture that a file belongs to.

    `tensors` are those of the network's state dict exactly: counters that old files lack are
    added and leftovers of training removed by the system that recognises the file. `config` is
    what `network_of` of the system's module builds the network from; empty for its default.
    """

    architecture: str
    tensors: Mapping[str, Tensor]
    config: Mapping[str, Any] = field(default_factory=dict)


def some(names: Iterable[object]) -> str:
    """The first few of many names, for a sentence."""
    return ", ".join(repr(name) for name in list(names)[:3]) or "none"
