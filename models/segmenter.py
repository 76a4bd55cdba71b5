"""The contract of every click-to-mask system, and the two rules that hold for all of them."""

from __future__ import annotations

import hashlib
from abc import ABC, abstractmethod
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from models.prompts import Prompt
from models.state import State

Image = npt.NDArray[np.uint8]
Region = tuple[int, int, int, int]


def picture_id(image: Image) -> str:
    """The hex sha256 of an upright uint8 HxWx3 RGB picture: of its size, then of its pixels."""
    digest = hashlib.sha256(f"{image.shape[0]}x{image.shape[1]}:".encode())
    digest.update(np.ascontiguousarray(image).data)
    return digest.hexdigest()


def require_picture(image: Image) -> None:
    """Raise ValueError for what is no picture: uint8 HxWx3 with at least one pixel."""
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(
            f"a picture is uint8 [H, W, 3]; this one is {image.dtype} {list(image.shape)}"
        )


@dataclass(frozen=True)
class Prepared:
    """What does not depend on the prompt, made once a picture and shared by all its objects.

    Immutable. `size` is (height, width) of the picture; `nbytes` what keeping it costs.
    """

    picture: str
    size: tuple[int, int]
    nbytes: int


@dataclass(frozen=True)
class Result:
    """One answer: probabilities inside a region of the picture, zero outside it.

    `size` is (height, width) of the picture, `region` (left, top, right, bottom) half-open whole
    pixels, `values` float32 of the region's height x width, in [0, 1]. `score` is the network's
    own estimate of the mask's IoU, where it gives one. With `aborted` a deadline has ended the work
    on it early, or on one that it continues: it need not come out the same again.
    """

    size: tuple[int, int]
    region: Region
    values: npt.NDArray[np.float32]
    state: State | None = None
    score: float | None = None
    threshold: float = 0.5
    aborted: bool = False

    @classmethod
    def empty(cls, size: tuple[int, int]) -> Result:
        """Nothing found: an answer without a region and without a state."""
        return cls(size, (0, 0, 0, 0), np.zeros((0, 0), np.float32))

    @cached_property
    def probability(self) -> npt.NDArray[np.float32]:
        """float32 HxW over the whole picture."""
        left, top, right, bottom = self.region
        if self.region == (0, 0, self.size[1], self.size[0]):
            return self.values
        whole = np.zeros(self.size, np.float32)
        whole[top:bottom, left:right] = self.values
        return whole

    @cached_property
    def mask(self) -> npt.NDArray[np.bool_]:
        """bool HxW: where the probability exceeds the threshold."""
        left, top, right, bottom = self.region
        whole = np.zeros(self.size, np.bool_)
        whole[top:bottom, left:right] = self.values > self.threshold
        return whole


@dataclass(frozen=True)
class Query:
    """One object's question to a segmenter: the arguments of `Segmenter.segment`."""

    prepared: Prepared
    prompt: Prompt
    state: State | None = None


class Segmenter(ABC):
    """Network and predictor as a pure function of (prepared picture, prompt, state).

    `version` is the model version id (`architecture@weights:digest`), `settings` a short text
    that differs whenever an option that changes answers differs. Implementations hold no state
    between calls beyond their weights; calls come from one thread at a time.
    """

    version: str
    settings: str

    @abstractmethod
    def prepare(self, image: Image, picture: str | None = None) -> Prepared:
        """Do the work that no prompt changes. `image` is uint8 HxWx3 RGB, upright.

        `picture` is its picture id where the caller has it already.
        """

    @abstractmethod
    def segment_batch(self, queries: Sequence[Query]) -> list[Result]:
        """Answer several questions, all of one `batch_key`, in one pass of the network.

        A state of another version or picture counts as None.
        """

    def batch_key(self, query: Query) -> Hashable:
        """Questions with equal keys may share a pass; None stands alone."""
        return None

    def segment(self, prepared: Prepared, prompt: Prompt, state: State | None = None) -> Result:
        """Answer one prompt, continuing from `state`: that of the same prompt less what is new."""
        return self.segment_batch([Query(prepared, prompt, state)])[0]

    def segment_many(
        self,
        prepared: Prepared,
        prompts: Sequence[Prompt],
        states: Sequence[State | None] | None = None,
    ) -> list[Result]:
        """Segment several objects of one picture so that no pixel belongs to two of them.

        A contested pixel goes to the object with the highest probability there, the earlier one
        on a tie.
        """
        states = states or [None] * len(prompts)
        pairs = zip(prompts, states, strict=True)
        return without_overlap([self.segment(prepared, prompt, state) for prompt, state in pairs])


def without_overlap(results: Sequence[Result]) -> list[Result]:
    """The same results, each zeroed where another one's probability is higher."""
    if len(results) < 2:
        return list(results)
    winner = np.argmax(np.stack([result.probability for result in results]), axis=0)
    separated = []
    for index, result in enumerate(results):
        left, top, right, bottom = result.region
        own = winner[top:bottom, left:right] == index
        separated.append(replace(result, values=np.where(own, result.values, np.float32(0))))
    return separated


def steps(prompt: Prompt) -> list[Prompt]:
    """The prompts an annotator went through to reach this one, the last being `prompt` itself.

    What was given beside the clicks comes first and together, then the clicks one by one. Every
    answer is defined by these steps, so it never depends on which of them were asked for.
    """
    start = 0 if prompt.has_base else 1
    return [prompt.first(count) for count in range(start, len(prompt.clicks) + 1)]


def replay(
    segmenter: Segmenter,
    prepared: Prepared,
    prompt: Prompt,
    state: State | None = None,
    answered: int = 0,
) -> list[Result]:
    """Walk the steps of a prompt from the one after `answered` steps; one result per step.

    `state` is the state after `answered` steps. Steps that only say where the object is not give
    an empty result and leave no state.
    """
    results = []
    for step in steps(prompt)[answered:]:
        if step.points_at_something:
            result = segmenter.segment(prepared, step, state)
        else:
            result = Result.empty(prepared.size)
        state = result.state
        results.append(result)
    return results
