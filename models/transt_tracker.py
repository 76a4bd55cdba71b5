"""TransT's tracker as pure functions of frame and state.

Chen et al., "Transformer Tracking", CVPR 2021, section 3.4. The template is that of the first
frame for ever. A state holds it as 128 x 128 pixels; its features are remembered for as long as
there is room and computed again where they are not, one template at a time, so that they are the
same numbers.
"""

from __future__ import annotations

import copy
import math
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np
import torch
from torch import Tensor

from models.fold_norm import channels_last, folded
from models.prompts import Box
from models.tracker import (
    Image,
    StateRefused,
    Step,
    Tracked,
    Tracker,
    TrackState,
    checked_box,
    checked_image,
    numbers,
)
from models.tracking_boxes import Point, box_at, centred, window, window_side
from models.transt_network import STRIDE, Found, TransTNetwork, normalised
from models.transt_options import SEARCH_SIDE, TEMPLATE_SIDE, TransTOptions

TEMPLATE = "template"

CELLS = SEARCH_SIDE // STRIDE

CACHE_BYTES = 64 << 20
"""Of remembered template features: those of 256 objects."""


@dataclass(frozen=True)
class _Memory:
    """A state with its numbers read: where the object was, and the colour beyond the frame."""

    centre: Point
    size: Point
    colour: tuple[float, ...]

    @classmethod
    def recalled(cls, state: TrackState) -> _Memory:
        """Raises StateRefused."""
        x, y = numbers(state.values, "centre", 2)
        width, height = numbers(state.values, "size", 2)
        colour = numbers(state.values, "colour", 3)
        if min(width, height) <= 0 or not all(0 <= value <= 255 for value in colour):
            raise StateRefused("the tracker's state has impossible numbers; start the track again")
        return cls((x, y), (width, height), colour)

    def state(self, version: str, template: Image) -> TrackState:
        values = {
            "centre": list(self.centre),
            "size": list(self.size),
            "colour": list(self.colour),
        }
        return TrackState(version, values, {TEMPLATE: template})


class TransTTracker(Tracker):
    """Network and tracker. The network given is copied, and stays as it is."""

    def __init__(
        self,
        network: TransTNetwork,
        version: str,
        device: str = "cpu",
        options: TransTOptions | None = None,
        cache_bytes: int = CACHE_BYTES,
    ) -> None:
        self.device = torch.device(device)
        self.options = (options or TransTOptions()).resolved(self.device.type)
        self.version = version
        self.settings = self.options.text
        fast = self.options.fast_arithmetic
        own = channels_last(folded(network)) if fast else copy.deepcopy(network).eval()
        self._layout = torch.channels_last if fast else torch.contiguous_format
        self._network = own.requires_grad_(False).to(self.device)
        self._window = hann_window(CELLS)
        self._features: OrderedDict[str, Tensor] = OrderedDict()
        self._cache_bytes = cache_bytes

    def start(self, image: Image, box: Box) -> TrackState:
        """Cut out the template around `box`. Nothing is computed from it yet."""
        centre, size = centred(checked_box(box, checked_image(image)))
        colour = mean_colour(image)
        side = window_side(size, self.options.template_context)
        template = window(image, centre, side, TEMPLATE_SIDE, colour)
        return _Memory(centre, size, colour).state(self.version, template)

    def track_batch(self, steps: Sequence[Step]) -> list[Tracked]:
        """Find all objects, a few search regions in each pass of the network."""
        memories = [self._recalled(step) for step in steps]
        together = self.options.objects_per_pass
        assert together is not None  # noqa: S101 - resolved above
        found: list[Tracked] = []
        for start in range(0, len(steps), together):
            part = slice(start, start + together)
            found.extend(self._passed(steps[part], memories[part]))
        return found

    def _recalled(self, step: Step) -> _Memory:
        checked_image(step.image)
        state = step.state
        if state.version != self.version:
            raise StateRefused(
                f"the track was begun with {state.version[:80]} and this is {self.version}; start"
                " the track again"
            )
        template = state.pictures.get(TEMPLATE)
        if template is None or template.shape != (TEMPLATE_SIDE, TEMPLATE_SIDE, 3):
            raise StateRefused("the tracker's state has no template; start the track again")
        return _Memory.recalled(state)

    @torch.inference_mode()
    def _passed(self, steps: Sequence[Step], memories: Sequence[_Memory]) -> list[Tracked]:
        """One pass of the network, and the choice among its answers."""
        sides = [window_side(memory.size, self.options.search_context) for memory in memories]
        regions = [
            window(step.image, memory.centre, side, SEARCH_SIDE, memory.colour)
            for step, memory, side in zip(steps, memories, sides, strict=True)
        ]
        templates = torch.stack([self._template(step.state) for step in steps])
        answers = self._network.match(templates, self._encoded(np.stack(regions)))
        logits, boxes = (part.float().cpu() for part in answers)
        return [
            self._chosen(Found(logits[index], boxes[index]), step, memories[index], sides[index])
            for index, step in enumerate(steps)
        ]

    def _encoded(self, pictures: Image) -> Tensor:
        """uint8 [B, side, side, 3] -> features [B, 256, side/8, side/8] on the device."""
        ordered = pictures[..., ::-1] if self.options.channels == "bgr" else pictures
        shown = normalised(torch.from_numpy(np.ascontiguousarray(ordered)).to(self.device))
        return self._network.encode(shown.contiguous(memory_format=self._layout))

    def _template(self, state: TrackState) -> Tensor:
        """The template's features [256, 16, 16], from before where they are remembered."""
        key = state.digest(TEMPLATE)
        known = self._features.pop(key, None)
        if known is None:
            known = self._encoded(state.pictures[TEMPLATE][None])[0]
        self._features[key] = known
        while len(self._features) > max(1, self._cache_bytes // known.nbytes):
            self._features.popitem(last=False)
        return known

    def _chosen(self, found: Found, step: Step, memory: _Memory, side: int) -> Tracked:
        """The best cell's box in the frame, and what follows from it."""
        scores = target_scores(found.logits)
        best = int(penalised(scores, self._window, self.options.window).argmax())
        x, y, width, height = (float(value) * side for value in found.boxes[best])
        centre = (x + memory.centre[0] - side / 2, y + memory.centre[1] - side / 2)
        frame = (step.image.shape[0], step.image.shape[1])
        centre, size = kept_inside(centre, (width, height), frame, self.options.least_side)
        after = _Memory(centre, size, memory.colour)
        state = after.state(self.version, step.state.pictures[TEMPLATE])
        return Tracked(box_at(centre, size), state, float(scores[best]))


def mean_colour(image: Image) -> tuple[float, ...]:
    """The mean of each channel of uint8 [H, W, 3]. Sums of whole numbers are exact."""
    pixels = image.shape[0] * image.shape[1]
    return tuple(total / pixels for total in cv2.sumElems(image)[:3])


def hann_window(cells: int) -> Tensor:
    """How near the middle each cell of a square grid lies: float64 [cells * cells], row by row."""
    line = torch.from_numpy(np.hanning(cells))
    return torch.outer(line, line).flatten()


def target_scores(logits: Tensor) -> Tensor:
    """The probability of the target, float32 [N], from logits [N, 2]."""
    return logits.softmax(dim=-1)[:, 0]


def penalised(scores: Tensor, window: Tensor, share: float) -> Tensor:
    """Scores [N] with a share of the window in place of the same share of them: float64 [N]."""
    return scores * (1 - share) + window * share


def kept_inside(
    centre: Point, size: Point, frame: tuple[int, int], least: float
) -> tuple[Point, Point]:
    """Centre and size within a frame of (height, width); the box itself may still leave it."""
    height, width = frame
    inside = (_within(centre[0], 0, width), _within(centre[1], 0, height))
    return inside, (_within(size[0], least, width), _within(size[1], least, height))


def _within(value: float, low: float, high: float) -> float:
    return max(low, min(value, high)) if math.isfinite(value) else low
