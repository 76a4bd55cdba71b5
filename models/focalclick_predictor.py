"""FocalClick's predictor as a pure function of prepared picture, prompt and state.

Chen et al., "FocalClick: Towards Practical Interactive Image Segmentation", CVPR 2022: the coarse
network looks at the target crop, the refiner at the focus crop inside it.
"""

from __future__ import annotations

import copy
import math
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.clicks_encoding import points_tensor
from models.focalclick_crops import focus_region, progressive_merge
from models.focalclick_memory import Layer, Memory, part, union
from models.focalclick_network import Focus, for_inference
from models.focalclick_options import FocalClickOptions
from models.focalclick_view import View, look, placed, within_input
from models.merging import following
from models.resampling import cropped
from models.scene import Scene, confinement, scene_of
from models.segmenter import Image, Prepared, Query, Result, Segmenter, picture_id, require_picture
from models.zoom import Roi, Size, common, mask_roi, whole

if TYPE_CHECKING:
    from models.focalclick_network import FocalClickNetwork
    from models.prompts import Prompt

CPU_PASS = 4
"""On a CPU more inputs than this in one pass take longer each: they no longer fit its caches."""

LONGEST_PASS = 64
"""Inputs of one pass elsewhere."""


@dataclass(frozen=True)
class FocalClickPrepared(Prepared):
    """The picture itself, and what the first click on it sees.

    `image` is uint8 [H, W, 3] RGB; `first` float32 [3, S, S] in [0, 1].
    """

    image: Tensor
    first: Tensor


@dataclass(frozen=True)
class _Task:
    """One question on its way through the network."""

    prepared: FocalClickPrepared
    prompt: Prompt
    scene: Scene
    memory: Memory
    view: View


@dataclass(frozen=True)
class _Draft:
    """What the coarse network said, and where to look again.

    Probabilities: `coarse` [S, S] as it gave them, `values` over the region of the view.
    """

    coarse: Tensor
    values: Tensor
    focus: Roi


class FocalClickSegmenter(Segmenter):
    """Network and predictor. The network given is copied, and stays as it is."""

    def __init__(
        self,
        network: FocalClickNetwork,
        version: str,
        device: str = "cpu",
        options: FocalClickOptions | None = None,
    ) -> None:
        self.options = options or FocalClickOptions()
        self.version = version
        self.settings = self.options.text
        self.device = torch.device(device)
        fast = self.options.fast_arithmetic
        self._layout = torch.channels_last if fast else torch.contiguous_format
        own = for_inference(network) if fast else copy.deepcopy(network).eval()
        self._network = own.to(self.device).requires_grad_(False)
        self._size: Size = (self.options.infer_size, self.options.infer_size)
        self._longest_pass = CPU_PASS if self.device.type == "cpu" else LONGEST_PASS

    def prepare(self, image: Image, picture: str | None = None) -> FocalClickPrepared:
        """Keep the picture, and shrink it for the first click. Raises ValueError."""
        require_picture(image)
        own = torch.from_numpy(np.array(image, order="C", copy=True))
        size = (image.shape[0], image.shape[1])
        first = cropped(own, whole(size), self._size)
        nbytes = own.nbytes + first.nbytes
        return FocalClickPrepared(picture or picture_id(image), size, nbytes, own, first)

    def batch_key(self, query: Query) -> Hashable:
        """The size of the network's input, which is that of all questions that need it."""
        return self._size if isinstance(self._task(query), _Task) else None

    def segment_batch(self, queries: Sequence[Query]) -> list[Result]:
        """Answer any questions together."""
        tasks = [self._task(query) for query in queries]
        waiting = [task for task in tasks if isinstance(task, _Task)]
        starts = range(0, len(waiting), self._longest_pass)
        passes = [waiting[start : start + self._longest_pass] for start in starts]
        with torch.inference_mode():
            answers = iter([answer for tasks in passes for answer in self._pass(tasks)])
        return [next(answers) if isinstance(task, _Task) else task for task in tasks]

    def _task(self, query: Query) -> _Task | Result:
        """The question made ready for the network, or its answer where no network is needed."""
        prepared, prompt = query.prepared, query.prompt
        assert isinstance(prepared, FocalClickPrepared)  # noqa: S101 - the contract of prepare()
        if prompt.mask is not None and not prompt.mask.any():
            prompt = replace(prompt, mask=None)
        scene = scene_of(prompt, prepared.size, mask_begins=self.options.begin_zoomed)
        memory = self._memory(query)
        if not scene.positive and (prompt.mask is None or memory.bounds is None):
            return Result.empty(prepared.size)
        if not scene.clicks:
            return self._given_mask(prepared, memory, prompt)
        return _Task(prepared, prompt, scene, memory, look(memory, scene, self.options))

    def _memory(self, query: Query) -> Memory:
        """What is known from before: the state's, or the initial mask's where that is new."""
        mask, size = query.prompt.mask, query.prepared.size
        if mask is not None and mask.shape != size:
            raise ValueError(f"the initial mask is {mask.shape} and the picture {size} large")
        state = query.state
        if state is not None and state.belongs_to(self.version, query.prepared.picture):
            memory = Memory.recalled(state)
            if memory.layers:
                return memory
        return Memory() if mask is None else Memory.of_mask(np.ascontiguousarray(mask, np.bool_))

    def _given_mask(self, prepared: FocalClickPrepared, memory: Memory, prompt: Prompt) -> Result:
        """An initial mask is right until somebody clicks. Its state needs no copy of it."""
        assert prompt.mask is not None and memory.bounds is not None  # noqa: S101 - see _task
        top, bottom, left, right = memory.bounds
        values = prompt.mask[top : bottom + 1, left : right + 1].astype(np.float32)
        state = Memory().state(self.version, prepared.picture)
        region = (left, top, right + 1, bottom + 1)
        return Result(prepared.size, region, values, state, threshold=self.options.threshold)

    def _pass(self, tasks: Sequence[_Task]) -> list[Result]:
        """The coarse network on all target crops, then the refiner on all focus crops."""
        seen = torch.stack([self._input(task) for task in tasks]).to(self.device)
        outputs = self._network(
            seen[:, :3].contiguous(memory_format=self._layout),
            points_tensor([task.view.clicks for task in tasks], self.device),
            seen[:, 3:],
        )
        coarse = outputs.instances[:, 0].sigmoid().float().cpu()
        drafts = [self._draft(task, one) for task, one in zip(tasks, coarse, strict=True)]
        refined = self._network.refine(outputs, self._focus(tasks, drafts)).logits[:, 0]
        details = refined.float().cpu()
        triples = zip(tasks, drafts, details, strict=True)
        return [self._answer(task, draft, detail) for task, draft, detail in triples]

    def _input(self, task: _Task) -> Tensor:
        """Picture and previous map as the coarse network sees them: float32 [4, S, S]."""
        source, prepared = task.view.source, task.prepared
        entire = source == whole(prepared.size)
        picture = prepared.first if entire else cropped(prepared.image, source, self._size)
        return torch.cat([picture, task.memory.seen(source, self._size)[None]])

    def _draft(self, task: _Task, coarse: Tensor) -> _Draft:
        """Decide on the focus crop, from the masks of now and before at the picture's size."""
        options, view = self.options, task.view
        now, before = (np.zeros(task.scene.size, np.bool_) for _ in range(2))
        least = 1 / (1 + math.exp(-options.focus_logit))
        shown = coarse
        if view.region != view.source:
            # An answer into an outdated crop has first been that for the whole picture.
            shown = Layer(view.source, coarse).rendered()
        values = Layer(view.region, shown).rendered()
        _set(now, view.region, values > least)
        known = task.memory.region
        if known is not None:
            _set(before, known, task.memory.values > options.focus_threshold)
        row, column, _ = task.scene.clicks[-1]
        focus = focus_region(now, before, (row, column), view.region, options.focus_ratio)
        return _Draft(coarse, values, focus or view.region)

    def _focus(self, tasks: Sequence[_Task], drafts: Sequence[_Draft]) -> Focus:
        """What the refiner is shown."""
        pairs = list(zip(tasks, drafts, strict=True))
        crops = [cropped(task.prepared.image, draft.focus, self._size) for task, draft in pairs]
        clicks = [placed(task.scene.clicks, draft.focus, self.options) for task, draft in pairs]
        regions = [
            within_input(draft.focus, task.view.region, self.options) for task, draft in pairs
        ]
        images = torch.stack(crops).to(self.device, memory_format=self._layout)
        return Focus(images, points_tensor(clicks, self.device), torch.tensor(regions))

    def _answer(self, task: _Task, draft: _Draft, detail: Tensor) -> Result:
        """Coarse probabilities and refined logits, [S, S] each, as an answer over the picture."""
        memory, options = task.memory, self.options
        fine, region = Layer.kept(draft.focus, detail, logits=True), task.view.region
        if len(task.scene.clicks) > options.whole_answers and memory.region is not None:
            remembered = memory.with_layer(fine)
            region = union([memory.region, draft.focus]) or region
            values = torch.zeros(region.size)
            part(values, memory.region, region).copy_(memory.values)
        else:
            remembered = Memory((Layer.kept(region, draft.coarse),)).with_layer(fine)
            values = draft.values.clone()
        part(values, draft.focus, region).copy_(Layer(draft.focus, detail, logits=True).rendered())
        result = self._result(task, values, region)
        bounds = mask_roi(result.values > options.zoom_threshold, _corner(result))
        remembered = replace(remembered, bounds=bounds, roi=task.view.roi)
        if options.full_size_state:
            full = torch.zeros(task.scene.size)
            part(full, region, whole(task.scene.size)).copy_(values)
            remembered = replace(remembered, layers=(Layer(whole(task.scene.size), full),))
        if options.progressive_merge and task.prompt.mask is not None:
            result, remembered = self._merged(task, task.prompt.mask, result, remembered)
        state = remembered.state(self.version, task.prepared.picture)
        return replace(result, state=state)

    def _result(self, task: _Task, values: Tensor, region: Roi) -> Result:
        """Probabilities over a region as an answer, confined to the box where there is one."""
        limits = confinement(task.scene, self.options.box_margin)
        if limits is not None:
            within = common(region, limits)
            values, region = part(values, within, region), within
        return _over(task.scene.size, region, values.numpy(), self.options.threshold)

    def _merged(
        self, task: _Task, given: npt.NDArray[np.bool_], result: Result, memory: Memory
    ) -> tuple[Result, Memory]:
        """The annotator's mask with what this click changed of it, and that remembered."""
        old = given if task.memory.merged is None else task.memory.merged
        row, column, _ = task.scene.clicks[-1]
        unchanged = self.options.merge_unchanged
        mask = progressive_merge(result.mask, old, (row, column), unchanged=unchanged)
        return following(result, mask), replace(memory, merged=mask, bounds=mask_roi(mask))


def _over(size: Size, region: Roi, values: npt.NDArray[np.float32], threshold: float) -> Result:
    corners = (region.left, region.top, region.right + 1, region.bottom + 1)
    return Result(size, corners, np.ascontiguousarray(values), threshold=threshold)


def _corner(result: Result) -> tuple[int, int]:
    left, top, _, _ = result.region
    return top, left


def _slices(region: Roi) -> tuple[slice, slice]:
    return slice(region.top, region.bottom + 1), slice(region.left, region.right + 1)


def _set(mask: npt.NDArray[np.bool_], region: Roi, values: Tensor) -> None:
    mask[_slices(region)] = values.numpy()
