"""RITM's predictor as a pure function of prepared picture, prompt and state."""

from __future__ import annotations

import copy
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import torch
from torch import Tensor

from models.brs import refine
from models.brs_correction import Shown, correction
from models.brs_loss import click_masks
from models.clicks_encoding import Positions, mirrored, points_tensor
from models.fold_norm import channels_last, folded
from models.prompts import Prompt
from models.resampling import gathered, resized, spread
from models.ritm_options import RitmOptions
from models.ritm_refinement import basis_of, is_refined, keeps_features, left_by, limits, start
from models.ritm_view import Basis, Memory, Refinement, View, anchored, look, look_again
from models.scene import Scene, confinement, scene_of
from models.segmenter import Image, Prepared, Query, Result, Segmenter, picture_id, require_picture
from models.zoom import Roi, Size, common, limited_size, mask_roi, scaled_size, whole

if TYPE_CHECKING:
    from models.ritm_network import RitmNetwork

CPU_PASS_PIXELS = 2 * 400 * 400
"""On a CPU more pixels than this in one pass take longer each: they no longer fit its caches."""

MOST_IMAGES = 64
"""Images of one pass elsewhere."""

LONGEST_MAP_SIDE = 1024
"""A larger previous map is remembered at this size, so that every state stays small."""


@dataclass(frozen=True)
class RitmPrepared(Prepared):
    """The picture itself, and what the first click on it sees.

    `image` is uint8 [H, W, 3] RGB; `first` float32 [3, h, w] in [0, 1] or None where the first
    click sees the picture as it is.
    """

    image: Tensor
    first: Tensor | None


@dataclass(frozen=True)
class _Task:
    """One question on its way through the network."""

    prepared: RitmPrepared
    prompt: Prompt
    scene: Scene
    memory: Memory
    view: View


class _Outcome(NamedTuple):
    """What the network says of a task: float32 [h, w] on the CPU, and what refining it leaves."""

    probability: Tensor
    refinement: Refinement


class RitmSegmenter(Segmenter):
    """Network and predictor. The network given is copied, and stays as it is."""

    def __init__(
        self,
        network: RitmNetwork,
        version: str,
        device: str = "cpu",
        options: RitmOptions | None = None,
    ) -> None:
        self.options = options or RitmOptions()
        self.version = version
        self.settings = self.options.text
        self.device = torch.device(device)
        fast = self.options.fast_arithmetic
        self._layout = torch.channels_last if fast else torch.contiguous_format
        own = channels_last(folded(network)) if fast else copy.deepcopy(network).eval()
        self._network = own.to(self.device).requires_grad_(False)
        self._network.dist_maps.whole_pixels = self.options.cpu_maps
        self._network.dist_maps.overrun = self.options.cpu_maps_overrun
        self._sees_previous = network.config.with_prev_mask
        self._normalises_early = network.normalised_before_zoom and not fast

    def prepare(self, image: Image, picture: str | None = None) -> RitmPrepared:
        """Keep the picture, and shrink it for the first click. Raises ValueError."""
        require_picture(image)
        own = torch.from_numpy(np.array(image, order="C", copy=True))
        size = (image.shape[0], image.shape[1])
        shown = limited_size(
            limited_size(size, self.options.first_click_side), self.options.max_size
        )
        first = None if shown == size else _pixels(own, whole(size), shown)
        nbytes = own.nbytes + (0 if first is None else first.nbytes)
        return RitmPrepared(picture or picture_id(image), size, nbytes, own, first)

    def batch_key(self, query: Query) -> Hashable:
        """The size of the network's input: questions of one size share a pass.

        A question whose answer is refined stands alone.
        """
        task = self._task(query)
        if not isinstance(task, _Task) or is_refined(task.scene, self.options):
            return None
        return task.view.size

    def segment_batch(self, queries: Sequence[Query]) -> list[Result]:
        """Answer questions whose inputs to the network are of one size, or that need no network."""
        tasks = [self._task(query) for query in queries]
        waiting = [task for task in tasks if isinstance(task, _Task)]
        answers = iter(self._answers(waiting))
        return [next(answers) if isinstance(task, _Task) else task for task in tasks]

    def _answers(self, tasks: Sequence[_Task]) -> list[Result]:
        results = []
        for task, outcome in zip(tasks, self._outcomes(tasks), strict=True):
            result, memory = self._answer(task, outcome)
            again = look_again(memory, task.view, task.scene, self.options)
            if again is not None:
                known = replace(task.memory, refinement=memory.refinement)
                second = replace(task, view=again, memory=known)
                result, memory = self._answer(second, self._outcomes([second])[0])
            state = memory.state(self.version, task.prepared.picture)
            results.append(replace(result, state=state))
        return results

    def _task(self, query: Query) -> _Task | Result:
        """The question made ready for the network, or its answer where no network is needed."""
        prepared, prompt = query.prepared, query.prompt
        assert isinstance(prepared, RitmPrepared)  # noqa: S101 - the contract of prepare()
        mask_begins = not self.options.mask_every_click
        scene = scene_of(prompt, prepared.size, mask_begins=mask_begins)
        memory = self._memory(query)
        if not scene.positive and (prompt.mask is None or memory.bounds is None):
            return Result.empty(prepared.size)
        if not scene.clicks:
            return self._given_mask(prepared, memory, prompt)
        view = look(memory, scene, self.options)
        return _Task(prepared, prompt, scene, memory, view)

    def _memory(self, query: Query) -> Memory:
        """What is known from before: the state's, or the initial mask's where that is new."""
        mask, size = query.prompt.mask, query.prepared.size
        if mask is not None and mask.shape != size:
            raise ValueError(f"the initial mask is {mask.shape} and the picture {size} large")
        if self.options.one_shot:
            return Memory()
        state = query.state
        if state is not None and state.belongs_to(self.version, query.prepared.picture):
            return Memory.recalled(state)
        if mask is None or self.options.mask_every_click:
            return Memory()
        return Memory.of_mask(np.ascontiguousarray(mask, np.bool_), self.options)

    def _given_mask(self, prepared: RitmPrepared, memory: Memory, prompt: Prompt) -> Result:
        """An initial mask is right until somebody clicks."""
        assert prompt.mask is not None and memory.bounds is not None  # noqa: S101 - see _task
        top, bottom, left, right = memory.bounds
        values = prompt.mask[top : bottom + 1, left : right + 1].astype(np.float32)
        state = memory.state(self.version, prepared.picture)
        region = (left, top, right + 1, bottom + 1)
        return Result(prepared.size, region, values, state, threshold=self.options.threshold)

    def _answer(self, task: _Task, outcome: _Outcome) -> tuple[Result, Memory]:
        """Network output as an answer over the picture, and what to remember of it."""
        view, options = task.view, self.options
        probability, refinement = outcome
        values = probability[None, None]
        for size in view.back:
            values = resized(values, size)
        region, inside = view.region, values[0, 0]
        limits = confinement(task.scene, options.box_margin)
        if limits is not None:
            region = common(region, limits)
            inside = _part(inside, region, view.region)
        array = np.ascontiguousarray(inside.numpy())
        corners = (region.left, region.top, region.right + 1, region.bottom + 1)
        result = Result(
            task.prepared.size,
            corners,
            array,
            threshold=options.threshold,
            aborted=refinement.aborted,
        )
        bounds = mask_roi(array > options.zoom_threshold, (region.top, region.left))
        memory = Memory(None, view.region, bounds, view.roi, view.frame, refinement)
        if not self._sees_previous:
            return result, memory
        if options.full_size_state:
            full = torch.from_numpy(result.probability)
            return result, replace(memory, previous=full, region=whole(result.size))
        kept = resized(probability[None, None], _map_size(view.size))[0, 0]
        return result, replace(memory, previous=kept.half())

    def _outcomes(self, tasks: Sequence[_Task]) -> list[_Outcome]:
        """What the network says of tasks; those that need no refining are of one size."""
        at_once = [task for task in tasks if not is_refined(task.scene, self.options)]
        probabilities = iter(self._probabilities(at_once))
        return [
            self._refined(task)
            if is_refined(task.scene, self.options)
            else _Outcome(next(probabilities), self._unrefined(task))
            for task in tasks
        ]

    def _unrefined(self, task: _Task) -> Refinement:
        """What a task leaves that is answered without refining."""
        return replace(task.memory.refinement, x=None, basis=self._basis(task))

    def _probabilities(self, tasks: Sequence[_Task]) -> list[Tensor]:
        """The network's answers, all of one size: float32 [h, w] on the CPU for each task."""
        if not tasks:
            return []
        inputs, lists = self._inputs(tasks)
        with torch.inference_mode():
            length = self._pass_length(tasks[0].view.size)
            starts = range(0, len(lists), length)
            parts = [slice(start, start + length) for start in starts]
            logits = torch.cat([self._pass(inputs[part], lists[part]) for part in parts])
            return list(self._merged(logits))

    def _merged(self, logits: Tensor) -> Tensor:
        """Probabilities [n, h, w] on the CPU of logits [B, h, w], those of mirrored pictures after
        each other's.
        """
        if self.options.flip:
            direct, flipped = logits.view(-1, 2, *logits.shape[1:]).unbind(1)
            logits = (direct + flipped.flip(2)) / 2
        return logits.sigmoid().float().cpu()

    def _refined(self, task: _Task) -> _Outcome:
        """A task's answer, corrected until it agrees with the clicks."""
        options, view = self.options, task.view
        basis = basis_of(task.memory, task.scene, view, options)
        marks = [view.marks, mirrored(view.marks, view.size[1])] if options.flip else [view.marks]
        # Gradients are needed, whatever the caller has turned off.
        with torch.inference_mode(False), torch.no_grad():
            found = correction(self._network, options.brs_mode, self._shown_to(task, basis))
            masks = click_masks(
                marks, view.size, self.device, wrapping=options.brs_wrapping_squares
            )
            x = start(task.memory.refinement, view, found.length, options)
            refined = refine(found, masks, x, limits(options))
            probability = self._merged(refined.logits[:, 0])[0]
        kept = basis or self._basis(task)
        return _Outcome(probability, left_by(refined, kept, task.memory.refinement, options))

    def _shown_to(self, task: _Task, basis: Basis | None) -> Shown:
        """What the network sees when its answer is refined: the view, or an earlier one's."""
        size = task.view.size
        if basis is not None:
            view = anchored(basis, task.view, task.scene, self.options)
            memory = Memory(basis.previous, basis.region)
            task = replace(task, view=view, memory=memory)
        inputs, lists = self._inputs([task])
        image, previous = self._on_device(inputs)
        return Shown(
            image=image,
            points=points_tensor(lists, self.device),
            previous=previous,
            mirrored=self.options.flip,
            size=size,
        )

    def _basis(self, task: _Task) -> Basis | None:
        """What this task's features are made from, where they are to outlive it."""
        if not keeps_features(self.options):
            return None
        shown = self._shown(task)
        return Basis(task.view.source, task.view.sizes, shown.previous, shown.region)

    def _inputs(self, tasks: Sequence[_Task]) -> tuple[Tensor, list[Positions]]:
        """What the network sees, [B, 3 or 4, h, w], and the clicks of each; with flip, every
        picture is followed by its mirror image.
        """
        images: list[Tensor] = []
        lists: list[Positions] = []
        for task in tasks:
            seen, clicks = self._input(task), task.view.clicks
            images.append(seen)
            lists.append(clicks)
            if self.options.flip:
                images.append(seen.flip(2))
                lists.append(mirrored(clicks, task.view.size[1]))
        return torch.stack(images), lists

    def _pass_length(self, size: Size) -> int:
        """How many images of a size go through the network at once."""
        if self.device.type != "cpu" or not self.options.fast_arithmetic:
            return MOST_IMAGES
        return max(1, CPU_PASS_PIXELS // (size[0] * size[1]))

    def _pass(self, seen: Tensor, clicks: Sequence[Positions]) -> Tensor:
        """Logits [B, h, w] of what is seen, [B, 3 or 4, h, w]."""
        image, previous = self._on_device(seen)
        points = points_tensor(clicks, self.device)
        return self._network.answer(image, points, previous).instances[:, 0]

    def _on_device(self, seen: Tensor) -> tuple[Tensor, Tensor | None]:
        """The normalised pictures [B, 3, h, w] and the previous maps [B, 1, h, w] of inputs."""
        seen = seen.to(self.device)
        image = seen[:, :3].contiguous(memory_format=self._layout)
        if not self._normalises_early:
            image = self._network.normalised(image)
        return image, seen[:, 3:] if self._sees_previous else None

    def _input(self, task: _Task) -> Tensor:
        """Picture and previous map as the network sees them: float32 [3 or 4, h, w]."""
        view, fast = task.view, self.options.fast_arithmetic
        first = view.sizes[0] if fast else view.source.size
        picture = _picture(task, first)
        if self._normalises_early:
            picture = self._network.normalised(picture.to(self.device))[0].cpu()
        layers = [picture]
        if self._sees_previous:
            previous = self._shown(task).seen(view.source, first)
            layers.append(torch.zeros(1, *first) if previous is None else previous[None])
        both = torch.cat(layers)[None]
        for size in view.sizes:
            both = resized(both, size)
        return both[0]

    def _shown(self, task: _Task) -> Memory:
        """The memory whose map the network is shown."""
        mask = task.prompt.mask
        if mask is None or not self.options.mask_every_click:
            return task.memory
        given = torch.from_numpy(np.ascontiguousarray(mask, np.float32))
        return Memory(given, whole(task.prepared.size))


def _picture(task: _Task, size: Size) -> Tensor:
    """What the network sees of the picture, at `size`: float32 [3, h, w] in [0, 1]."""
    source, prepared = task.view.source, task.prepared
    first = prepared.first
    if first is not None and source == whole(prepared.size) and first.shape[1:] == size:
        return first
    return _pixels(prepared.image, source, size)


def _pixels(image: Tensor, source: Roi, size: Size) -> Tensor:
    """A region of uint8 [H, W, 3] resampled to float32 [3, h, w] in [0, 1]."""
    rows = spread(source.top, source.bottom, size[0])
    columns = spread(source.left, source.right, size[1])
    return gathered(image, rows, columns).permute(2, 0, 1).div_(255)


def _part(values: Tensor, region: Roi, of: Roi) -> Tensor:
    """The rows and columns of `region` from a map that lies over `of`; none where they miss."""
    top, left = region.top - of.top, region.left - of.left
    height, width = region.size
    return values[top : top + height, left : left + width]


def _map_size(size: Size) -> Size:
    return size if max(size) <= LONGEST_MAP_SIDE else scaled_size(size, LONGEST_MAP_SIDE)
