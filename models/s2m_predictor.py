"""S2M's predictor as a pure function of prepared picture, prompt and state."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.fold_norm import channels_last, folded
from models.padding import Border, border_to_multiple
from models.prompts import Prompt
from models.s2m_network import INPUTS, STRIDE
from models.s2m_options import S2mOptions
from models.s2m_strokes import Strokes, strokes_between, strokes_of
from models.scene import confinement, scene_of
from models.segmenter import Image, Prepared, Query, Result, Segmenter, picture_id, require_picture
from models.soft_aggregation import aggregated
from models.state import State
from models.zoom import Roi, Size, limited_size, whole

if TYPE_CHECKING:
    from models.s2m_network import S2mNetwork

Map = npt.NDArray[np.float32]

MEAN = (0.485, 0.456, 0.406)
STD = (0.229, 0.224, 0.225)

CPU_PASS_PIXELS = 2 * 400 * 400
"""On a CPU more pixels than this in one pass take longer each: they no longer fit its caches."""

PASS_PIXELS = 16 * 800 * 800
"""Pixels of one pass elsewhere."""


@dataclass(frozen=True)
class S2mPrepared(Prepared):
    """The picture as the network sees it: `image` is uint8 [h, w, 3], RGB."""

    image: Image

    @property
    def shown(self) -> Size:
        """(height, width) of what the network sees, without its border."""
        return self.image.shape[0], self.image.shape[1]

    @property
    def border(self) -> Border:
        """What is added around it."""
        return border_to_multiple(self.shown, STRIDE)


@dataclass(frozen=True)
class Seen:
    """All that the network sees of one object.

    `strokes` uint8 [2, h, w] are as large as the prepared picture's `image`, `previous` float32
    is so with its border; None means that there is no previous mask, all zero.
    """

    prepared: S2mPrepared
    strokes: Strokes
    previous: Map | None


@dataclass(frozen=True)
class _Asked:
    """One question: what the network would see, and where a box lets the mask be."""

    seen: Seen
    mask: npt.NDArray[np.bool_] | None
    limits: Roi | None

    @property
    def is_drawn_on(self) -> bool:
        """Whether there is anything new, so that the network has to be asked."""
        known = self.seen.previous is not None or bool(self.seen.strokes[0].any())
        return known and bool(self.seen.strokes.any())


class S2mSegmenter(Segmenter):
    """Network and predictor. The network given is copied, and stays as it is."""

    def __init__(
        self,
        network: S2mNetwork,
        version: str,
        device: str = "cpu",
        options: S2mOptions | None = None,
    ) -> None:
        self.options = options or S2mOptions()
        self.version = version
        self.settings = self.options.text
        self.device = torch.device(device)
        fast = self.options.fast_arithmetic
        self._layout = torch.channels_last if fast else torch.contiguous_format
        own = channels_last(folded(network)) if fast else copy.deepcopy(network).eval()
        self._network = own.to(self.device).requires_grad_(False)
        self._mean = torch.tensor(MEAN).view(3, 1, 1)
        self._std = torch.tensor(STD).view(3, 1, 1)

    def prepare(self, image: Image, picture: str | None = None) -> S2mPrepared:
        """Shrink the picture to what the network sees. Raises ValueError."""
        require_picture(image)
        size = (image.shape[0], image.shape[1])
        shown = limited_size(size, self.options.picture_side)
        own = _resampled(np.array(image, order="C", copy=True), shown).astype(np.uint8)
        return S2mPrepared(picture or picture_id(image), size, own.nbytes, own)

    def batch_key(self, query: Query) -> Hashable:
        """The size of the network's input: questions of one size share a pass."""
        prepared = _own(query.prepared)
        return prepared.border.around(prepared.shown)

    def segment_batch(self, queries: Sequence[Query]) -> list[Result]:
        """Answer questions about pictures that are shown equally large."""
        every = [self._asked(query) for query in queries]
        waiting = [asked for asked in every if asked.is_drawn_on]
        logits = iter(self.logits([asked.seen for asked in waiting]))
        return [
            self._answer(asked, alone(next(logits))) if asked.is_drawn_on else self._as_given(asked)
            for asked in every
        ]

    def segment_many(
        self,
        prepared: Prepared,
        prompts: Sequence[Prompt],
        states: Sequence[State | None] | None = None,
    ) -> list[Result]:
        """Segment several objects of one picture so that no pixel belongs to two of them.

        For each object the positive strokes of the others are negative ones. The answers are
        aggregated softly; see `S2mOptions.hard_aggregation`.
        """
        if len(prompts) < 2:
            return super().segment_many(prepared, prompts, states)
        states = states or [None] * len(prompts)
        pairs = zip(prompts, states, strict=True)
        every = [self._asked(Query(prepared, prompt, state)) for prompt, state in pairs]
        strokes = strokes_between([asked.seen.strokes for asked in every])
        together = [
            replace(asked, seen=replace(asked.seen, strokes=drawn))
            for asked, drawn in zip(every, strokes, strict=True)
        ]
        shares = aggregated(
            torch.from_numpy(self._independent(together)),
            hard=self.options.hard_aggregation,
            keep_background=False,
        ).probability.numpy()
        return [self._over_picture(a, share) for a, share in zip(together, shares, strict=True)]

    @torch.inference_mode()
    def logits(self, every: Sequence[Seen]) -> list[Tensor]:
        """The network's answers, float32 on the CPU, each as large as its picture with its border.

        All pictures must be equally large with their borders.
        """
        if not every:
            return []
        height, width = every[0].prepared.border.around(every[0].prepared.shown)
        budget = CPU_PASS_PIXELS if self.device.type == "cpu" else PASS_PIXELS
        length = max(1, budget // (height * width))
        found: list[Tensor] = []
        for first in range(0, len(every), length):
            part = torch.stack([self._input(seen) for seen in every[first : first + length]])
            part = part.to(self.device).contiguous(memory_format=self._layout)
            found += self._network(part)[:, 0].float().cpu().contiguous().unbind()
        return found

    def _input(self, seen: Seen) -> Tensor:
        """float32 [6, h, w] with the border, which is zero after normalising."""
        prepared = seen.prepared
        left, _, top, _ = prepared.border
        height, width = prepared.shown
        whole_input = torch.zeros(INPUTS, *prepared.border.around(prepared.shown))
        inner = whole_input[:, top : top + height, left : left + width]
        colours = prepared.image[..., ::-1].copy() if self.options.bgr else prepared.image
        picture = torch.from_numpy(colours).permute(2, 0, 1).float().div_(255)
        inner[:3] = picture.sub_(self._mean).div_(self._std)
        inner[4:] = torch.from_numpy(seen.strokes)
        if seen.previous is not None:
            whole_input[3] = torch.from_numpy(seen.previous)
        return whole_input

    def _asked(self, query: Query) -> _Asked:
        prepared, prompt = _own(query.prepared), query.prompt
        mask, size = prompt.mask, prepared.size
        if mask is not None and mask.shape != size:
            raise ValueError(f"the initial mask is {mask.shape} and the picture {size} large")
        if mask is not None and not mask.any():
            mask = None
        scene = scene_of(prompt, size)
        strokes = strokes_of(prompt, scene.box, size, prepared.shown, self.options)
        seen = Seen(prepared, strokes, self._previous(prepared, mask, query.state))
        return _Asked(seen, mask, confinement(scene, self.options.box_margin))

    def _previous(
        self, prepared: S2mPrepared, mask: npt.NDArray[np.bool_] | None, state: State | None
    ) -> Map | None:
        """The previous mask: the last answer with `feedback`, else the initial mask."""
        if (
            self.options.feedback
            and state is not None
            and state.belongs_to(self.version, prepared.picture)
            and "previous" in state.arrays
        ):
            return _restored(state, prepared)
        if mask is None:
            return None
        return self.previous_of(prepared, mask.astype(np.float32))

    def previous_of(self, prepared: S2mPrepared, values: Map) -> Map:
        """Probabilities [H, W] over the picture as a previous mask, with the border."""
        shown = _resampled(values, prepared.shown)
        if not self.options.soft_previous:
            shown = (shown > self.options.threshold).astype(np.float32)
        left, right, top, bottom = prepared.border
        return np.pad(shown, ((top, bottom), (left, right)))

    def _independent(self, every: Sequence[_Asked]) -> Map:
        """[K, H, W]: what every object would be without the others."""
        logits = iter(self.logits([asked.seen for asked in every if asked.is_drawn_on]))
        size = every[0].seen.prepared.size
        found = np.zeros((len(every), *size), np.float32)
        for values, asked in zip(found, every, strict=True):
            inside = asked.limits or whole(size)
            part = np.s_[inside.top : inside.bottom + 1, inside.left : inside.right + 1]
            if asked.is_drawn_on:
                answer = inner(next(logits).sigmoid(), asked.seen.prepared)
                values[part] = _resampled(answer, size)[part]
            elif asked.mask is not None:
                values[part] = asked.mask[part]
        return found

    def _as_given(self, asked: _Asked) -> Result:
        """Without a stroke an initial mask is right; nothing is an empty answer."""
        if asked.mask is None:
            return Result.empty(asked.seen.prepared.size)
        return self._over_picture(asked, asked.mask.astype(np.float32))

    def _answer(self, asked: _Asked, probability: Tensor) -> Result:
        """The answer over the picture to a probability map with the border."""
        prepared = asked.seen.prepared
        values = _resampled(inner(probability, prepared), prepared.size)
        return self._over_picture(asked, values)

    def _over_picture(self, asked: _Asked, values: Map) -> Result:
        """The answer that says `values` [H, W] of the picture."""
        prepared = asked.seen.prepared
        if asked.mask is None and not asked.is_drawn_on:
            return Result.empty(prepared.size)
        inside = asked.limits or whole(prepared.size)
        part = values[inside.top : inside.bottom + 1, inside.left : inside.right + 1]
        result = Result(
            prepared.size,
            (inside.left, inside.top, inside.right + 1, inside.bottom + 1),
            np.ascontiguousarray(part),
            threshold=self.options.threshold,
        )
        return replace(result, state=self._state(prepared, result))

    def _state(self, prepared: S2mPrepared, result: Result) -> State:
        """What the next click needs: the answer, with `feedback`, and nothing without."""
        if not self.options.feedback:
            return State(self.version, prepared.picture)
        previous = self.previous_of(prepared, result.probability)
        kept = (
            previous.astype(np.float16) if self.options.soft_previous else np.packbits(previous > 0)
        )
        return State(self.version, prepared.picture, {"previous": kept})


def alone(logits: Tensor) -> Tensor:
    """Probabilities of an object that shares the picture with the background only.

    Any shape. Aggregation doubles the log odds; it is also what training judges.
    """
    return aggregated(logits.sigmoid()[None], keep_background=False).probability[0]


def inner(values: Tensor, prepared: S2mPrepared) -> npt.NDArray[Any]:
    """The part [h, w] without the border of values [h, w] with it; of their own type."""
    left, _, top, _ = prepared.border
    height, width = prepared.shown
    return np.ascontiguousarray(values[top : top + height, left : left + width].numpy())


def _restored(state: State, prepared: S2mPrepared) -> Map:
    kept = state.arrays["previous"]
    if kept.dtype == np.uint8:
        height, width = prepared.border.around(prepared.shown)
        kept = np.unpackbits(kept, count=height * width).reshape(height, width)
    return kept.astype(np.float32)


def _resampled(values: npt.NDArray[Any], size: Size) -> npt.NDArray[Any]:
    """[h, w] or [h, w, C] at another size, edges on edges; the array itself at its own."""
    if values.shape[:2] == size:
        return values
    way = cv2.INTER_AREA if values.shape[0] > size[0] else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(values, size[::-1], interpolation=way))


def _own(prepared: Prepared) -> S2mPrepared:
    assert isinstance(prepared, S2mPrepared)  # noqa: S101 - the contract of prepare()
    return prepared
