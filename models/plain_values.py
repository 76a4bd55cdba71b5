"""Values of a file copied within bounds, however often a file lets one value stand for many."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

DEEPEST = 32
"""Nesting of tables and lists; a checkpoint's configuration has five levels."""

MOST_VALUES = 200_000
MOST_CHARACTERS = 4_000_000
"""Of all texts together."""


class NotPlain(ValueError):
    """Values nested too deep, or too many, counted as often as they are mentioned; odd keys."""


class BoundedCopy:
    """Copies tables, lists and tuples, so that no two share a part and none contains itself.

    A few bytes of a pickle can describe a tree whose written form fills the memory: a list of two
    mentions of a list of two mentions, thirty times. `leaf` turns what is none of these into what
    the copy holds. The bounds hold for all that one object copies.
    """

    def __init__(self, leaf: Callable[[Any], Any]) -> None:
        self._leaf = leaf
        self._values = 0
        self._characters = 0

    def __call__(self, value: Any, depth: int = 0) -> Any:
        """The copy. Raises NotPlain, and what `leaf` raises."""
        self._values += 1
        if depth > DEEPEST or self._values > MOST_VALUES:
            raise NotPlain("its tables are nested too deep, or are of absurd size")
        if isinstance(value, Mapping):
            return {self._key(key): self(entry, depth + 1) for key, entry in value.items()}
        if isinstance(value, list | tuple):
            entries = (self(entry, depth + 1) for entry in value)
            return list(entries) if isinstance(value, list) else tuple(entries)
        return self._text(value) if isinstance(value, str) else self._leaf(value)

    def _text(self, value: str) -> str:
        self._characters += len(value)
        if self._characters > MOST_CHARACTERS:
            raise NotPlain("its texts are of absurd size")
        return value

    def _key(self, key: object) -> str | int:
        if isinstance(key, str):
            return self._text(key)
        if not isinstance(key, int):
            raise NotPlain("it has a table with keys that are neither texts nor integers")
        return key
