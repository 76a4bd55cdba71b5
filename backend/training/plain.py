"""Settings as plain values, for summaries and for telling two trainings apart."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any


def plain(value: Any) -> Any:
    """The value as what JSON can hold.

    A dataclass becomes a mapping of its fields, and its name stands under `kind`: two kinds with
    equal fields (two augmentations, say) stay apart. Raises TypeError for what is no plain value.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        entries = {entry.name: plain(getattr(value, entry.name)) for entry in _fields(value)}
        return {"kind": type(value).__name__, **entries}
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if value is None or isinstance(value, str | int | float | bool):
        return value
    raise TypeError(f"{value!r} is no plain value")


def _fields(value: Any) -> tuple[dataclasses.Field[Any], ...]:
    return dataclasses.fields(value)
