"""What is remembered between two prompts of one object.

Labeling tools send no session: each request carries the picture and the whole prompt. A prompt
that extends one already answered is recognised here, in two independent ways:

- `Sessions` holds the state after each answered step of a prompt, so that the next click costs
  one pass of the network. What is not remembered is replayed, to the same answer bit for bit.
- `Trails` holds in which order the clicks came, for tools that send positive and negative clicks
  apart, and which object they belong to.

Both are stores of small bytes under hashed keys (`backend.blobs`), in memory or in Redis.
"""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from backend.blobs import Blobs
from backend.prompt_record import PromptRecord, click_row, compact
from models.prompts import Click
from models.state import State

LOOK_BACK = 16
"""How many clicks a prompt may be ahead of the remembered one it extends."""


@dataclass(frozen=True)
class Remembered:
    """How far a prompt had been answered: after `answered` steps the state was `state`."""

    answered: int
    state: State | None


class Sessions:
    """States by (model version, segmenter settings, picture, ordered prompt)."""

    def __init__(self, blobs: Blobs) -> None:
        self._blobs = blobs

    def recall(self, keys: Sequence[str]) -> Remembered:
        """The longest remembered beginning of a prompt whose steps have these keys, in order.

        What has been damaged is a miss.
        """
        found = self._blobs.first([_state_key(key) for key in reversed(keys)])
        if found is None:
            return Remembered(0, None)
        index, data = found
        answered = len(keys) - index
        if not data:
            return Remembered(answered, None)
        state = State.from_bytes(data)
        if state is None:
            return self.recall(keys[: answered - 1])
        return Remembered(answered, state)

    def remember(self, key: str, state: State | None) -> State | None:
        """Keep the state after a step and return it as it will be read back.

        Going on from that, and not from `state` itself, is what makes remembered and replayed
        answers equal. A step that leaves no state is remembered too, as empty bytes. Raises
        ValueError for a state beyond `models.state.MAX_STATE_BYTES`.
        """
        data = b"" if state is None else state.to_bytes()
        self._blobs.put(_state_key(key), data)
        return State.from_bytes(data) if data else None


def step_keys(version: str, settings: str, image_id: str, record: PromptRecord) -> list[str]:
    """One key per step of `models.segmenter.steps`: equal keys mean equal answers."""
    digest = hashlib.sha256(compact([version, settings, image_id, record.base]).encode())
    keys = [digest.hexdigest()] if record.has_base else []
    for click in record.clicks:
        digest.update(compact(click_row(click)).encode())
        keys.append(digest.hexdigest())
    return keys


@dataclass(frozen=True)
class Trail:
    """How a prompt came about.

    `clicks` are in the order of clicking. `order_known` is False where that had to be guessed:
    positives first, then negatives. `object_id` is the one of the prompt that this one extends,
    None where it extends none.
    """

    clicks: tuple[Click, ...]
    order_known: bool
    object_id: str | None


class Trails:
    """Click orders and object ids by (picture, scope, base prompt, clicks).

    `scope` says whose work it is, as far as the tool tells; trails of different scopes never meet.
    """

    def __init__(self, blobs: Blobs, clock: Callable[[], float] = time.time) -> None:
        self._blobs = blobs
        self._clock = clock

    def follow(self, image_id: str, scope: str, record: PromptRecord, ordered: bool) -> Trail:
        """The order of a prompt's clicks and its object.

        `ordered` False means that `record.clicks` holds the positives in their order, then the
        negatives in theirs. The longest remembered combination of the first positives and the
        first negatives comes first, the latest one among equally long, then what is new: positives,
        then negatives.
        """
        names = _Names(image_id, scope, record)
        if ordered:
            counts = [names.counts(record.clicks[:length]) for length in names.lengths()]
        else:
            counts = names.combinations()
        found = self._blobs.many([names.key(*pair) for pair in counts])
        best: _Entry | None = None
        for pair, data in zip(counts, found, strict=True):
            entry = None if data is None else _Entry.read(data, pair)
            if entry is not None and (best is None or entry.rank > best.rank):
                best = entry
        object_id = None if best is None else best.object_id
        if ordered:
            return Trail(record.clicks, True, object_id)
        return _in_order(names, best, object_id)

    def remember(self, image_id: str, scope: str, record: PromptRecord, trail: Trail) -> None:
        """Keep the trail of a prompt, under the object id it has got."""
        names = _Names(image_id, scope, record)
        signs = "".join("+" if click.positive else "-" for click in trail.clicks)
        entry = [signs, trail.order_known, self._clock(), trail.object_id]
        self._blobs.put(names.key(*names.counts(trail.clicks)), compact(entry).encode())


@dataclass(frozen=True)
class _Entry:
    """What is remembered of one combination of positives and negatives."""

    signs: str
    order_known: bool
    at: float
    object_id: str | None

    @property
    def rank(self) -> tuple[int, float]:
        return len(self.signs), self.at

    @classmethod
    def read(cls, data: bytes, counts: tuple[int, int]) -> _Entry | None:
        try:
            signs, order_known, at, object_id = json.loads(data)
            if (signs.count("+"), signs.count("-")) != counts:
                return None
            return cls(signs, bool(order_known), float(at), object_id)
        except (ValueError, TypeError, AttributeError):
            return None


class _Names:
    """The keys of a prompt's combinations: its first i positives with its first j negatives."""

    def __init__(self, image_id: str, scope: str, record: PromptRecord) -> None:
        self.positives = tuple(click for click in record.clicks if click.positive)
        self.negatives = tuple(click for click in record.clicks if not click.positive)
        self._fewest = 0 if record.has_base else 1
        self._head = compact([image_id, scope, record.base])
        self._positive = _running(self.positives)
        self._negative = _running(self.negatives)

    def key(self, positives: int, negatives: int) -> str:
        text = f"{self._head}{self._positive[positives]}{self._negative[negatives]}"
        return "trail:" + hashlib.sha256(text.encode()).hexdigest()

    def lengths(self) -> range:
        """How many clicks of an ordered prompt the remembered one may have, longest first."""
        total = len(self.positives) + len(self.negatives)
        return range(total, max(total - LOOK_BACK, self._fewest) - 1, -1)

    def combinations(self) -> list[tuple[int, int]]:
        """Every (positives, negatives) within reach, longest first."""
        pairs = []
        for missing in range(LOOK_BACK + 1):
            for fewer in range(missing + 1):
                pair = len(self.positives) - fewer, len(self.negatives) - (missing - fewer)
                if min(pair) >= 0 and sum(pair) >= self._fewest:
                    pairs.append(pair)
        return pairs

    @staticmethod
    def counts(clicks: Sequence[Click]) -> tuple[int, int]:
        positives = sum(click.positive for click in clicks)
        return positives, len(clicks) - positives


def _running(clicks: Sequence[Click]) -> list[str]:
    """The digest of no click, of the first one, of the first two and so on."""
    digest = hashlib.sha256()
    digests = [digest.hexdigest()]
    for click in clicks:
        digest.update(compact(click_row(click)).encode())
        digests.append(digest.hexdigest())
    return digests


def _in_order(names: _Names, best: _Entry | None, object_id: str | None) -> Trail:
    """The clicks in the remembered order, then the new positives, then the new negatives."""
    signs = "" if best is None else best.signs
    positives, negatives = iter(names.positives), iter(names.negatives)
    clicks = [next(positives if sign == "+" else negatives) for sign in signs]
    new_positives, new_negatives = tuple(positives), tuple(negatives)
    known = (best is None or best.order_known) and not (new_positives and new_negatives)
    return Trail((*clicks, *new_positives, *new_negatives), known, object_id)


def _state_key(key: str) -> str:
    return "state:" + key
