"""Which network an author's file belongs to, told by its content alone.

One module a system, each with `recognise(file) -> Recognised | None`: None says that the file is
not of this system, `CheckpointError` that it is, but cannot be used, and why.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from torch import Tensor

from models.plain_values import BoundedCopy, NotPlain
from models.recognition import (
    clickattention,
    fbrs,
    focalclick,
    mobilesam,
    ritm,
    s2m,
    simpleclick,
    transt,
    unsupported,
)
from models.recognition.opened import CheckpointError, OpenedFile, Recognised, some

__all__ = ["SYSTEMS", "CheckpointError", "OpenedFile", "Recognised", "recognised"]

SYSTEMS: tuple[Callable[[OpenedFile], Recognised | None], ...] = (
    unsupported.recognise,
    mobilesam.recognise,
    ritm.recognise,
    fbrs.recognise,
    focalclick.recognise,
    clickattention.recognise,
    simpleclick.recognise,
    s2m.recognise,
    transt.recognise,
)
"""Asked in this order. What is known and not implemented comes first: it is refused by name."""


def recognised(content: object, name: str) -> Recognised:
    """The architecture of a file called `name` that holds `content`.

    Raises CheckpointError with a sentence.
    """
    file = opened(content, name)
    for recognise in SYSTEMS:
        found = recognise(file)
        if found is not None:
            return found
    if file.config is not None:
        raise CheckpointError(
            f"{name} is configured for the class {file.config.get('class')!r}, which is no network"
            " that is known here"
        )
    raise CheckpointError(
        f"{name} holds the tensors of no network that is known here; they begin with"
        f" {some(file.tensors)}"
    )


def opened(content: object, name: str) -> OpenedFile:
    """A file's tensors and configuration. Raises CheckpointError where it has another form.

    Four forms are known: a flat table of tensors, the pair `state_dict` and `config`, a `network`
    beside the optimiser that trains it, and PyTracking's container.
    """
    if not isinstance(content, Mapping) or not all(isinstance(key, str) for key in content):
        kind = "several models" if isinstance(content, list | tuple) else type(content).__name__
        raise CheckpointError(f"{name} holds {kind}, not the weights of one network")
    if {"state_dict", "config"} <= content.keys():
        return _with_config(content["state_dict"], content["config"], name)
    if {"network", "optimizer"} <= content.keys() and isinstance(content["network"], Mapping):
        content = content["network"]
    content = transt.unwrapped(content) or content
    if not _is_state_dict(content):
        raise CheckpointError(
            f"{name} holds neither a flat table of tensors nor the pair state_dict and"
            f" config; its keys are {some(content)}"
        )
    return OpenedFile(name, content)


def _with_config(tensors: object, config: object, name: str) -> OpenedFile:
    if not isinstance(tensors, Mapping) or not isinstance(config, Mapping):
        raise CheckpointError(f"{name}: state_dict and config must both be tables")
    if not _is_state_dict(tensors):
        raise CheckpointError(f"{name}: state_dict must hold tensors and nothing else")
    if not all(isinstance(key, str) for key in config):
        raise CheckpointError(f"{name}: the keys of config must be names")
    try:
        return OpenedFile(name, tensors, BoundedCopy(_if_plain)(config))
    except NotPlain as error:
        raise CheckpointError(f"{name}: config cannot be used: {error}") from None


def _if_plain(value: object) -> object:
    """What may stand in a configuration, which is stored as JSON; None for all else."""
    return value if isinstance(value, bool | int | float) else None


def _is_state_dict(content: Mapping[Any, Any]) -> bool:
    pairs = content.items()
    return bool(content) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in pairs)
