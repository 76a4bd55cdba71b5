"""ClickAttention's predictor as a pure function of prepared picture, prompt and state.

The authors' is FocalClick's without focus crop, target crop and refiner, on a larger input: the
whole picture is stretched to one size, and an object's first click runs twice.
"""

from __future__ import annotations

import copy
from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models.clickattention_options import ClickAttentionOptions
from models.clicks_encoding import Positions, points_tensor
from models.focalclick_crops import progressive_merge
from models.focalclick_memory import Layer, Memory, part
from models.fold_norm import channels_last
from models.heads.segformer import FoldedSegFormerHead, SegFormerHead
from models.merging import following
from models.resampling import gathered, spread
from models.scene import Scene, confinement, scene_of
from models.segmenter import Image, Prepared, Query, Result, Segmenter, picture_id, require_picture
from models.zoom import (
    Roi,
    Size,
    around,
    box_roi,
    clamped,
    common,
    expanded,
    into_crop,
    mask_roi,
    whole,
)

if TYPE_CHECKING:
    from models.clickattention_network import ClickAttentionNetwork
    from models.prompts import Prompt

CPU_PASS_PIXELS = 2 * 400 * 400
"""On a CPU more pixels than this in one pass take longer each: they no longer fit its caches."""

LONGEST_PASS = 16
"""Inputs of one pass elsewhere."""


@dataclass(frozen=True)
class ClickAttentionPrepared(Prepared):
    """The picture itself, and the whole of it as the network sees it.

    `image` is uint8 [H, W, 3] RGB; `entire` float32 [3, S, S] in [0, 1].
    """

    image: Tensor
    entire: Tensor


@dataclass(frozen=True)
class _Task:
    """One question on its way through the network, which sees `source` of the picture."""

    prepared: ClickAttentionPrepared
    prompt: Prompt
    scene: Scene
    memory: Memory
    source: Roi


class ClickAttentionSegmenter(Segmenter):
    """Network and predictor. The network given is copied, and stays as it is."""

    def __init__(
        self,
        network: ClickAttentionNetwork,
        version: str,
        device: str = "cpu",
        options: ClickAttentionOptions | None = None,
    ) -> None:
        self.device = torch.device(device)
        chosen = options or ClickAttentionOptions()
        self.options = chosen.resolved(network.config.version, self.device.type)
        self.version = version
        self.settings = self.options.text
        own = copy.deepcopy(network).eval().requires_grad_(False)
        own.mode = self.options.mode
        head = own.feature_extractor.decode_head
        self._layout = torch.contiguous_format
        if self.options.fast_arithmetic and isinstance(head, SegFormerHead):
            own.feature_extractor.decode_head = FoldedSegFormerHead(head).requires_grad_(False)
            own = channels_last(own)
            self._layout = torch.channels_last
        self._network = own.to(self.device)
        side = self.options.infer_size
        assert side is not None  # noqa: S101 - resolved above
        self._size: Size = (side, side)
        on_cpu = self.device.type == "cpu"
        self._longest_pass = max(1, CPU_PASS_PIXELS // side**2) if on_cpu else LONGEST_PASS

    def prepare(self, image: Image, picture: str | None = None) -> ClickAttentionPrepared:
        """Keep the picture, and stretch it to the network's size. Raises ValueError."""
        require_picture(image)
        own = torch.from_numpy(np.array(image, order="C", copy=True))
        size = (image.shape[0], image.shape[1])
        entire = _pixels(own, whole(size), self._size)
        nbytes = own.nbytes + entire.nbytes
        return ClickAttentionPrepared(picture or picture_id(image), size, nbytes, own, entire)

    def batch_key(self, query: Query) -> Hashable:
        """The size of the network's input, which is that of all questions that need it."""
        return self._size if isinstance(self._task(query), _Task) else None

    def segment_batch(self, queries: Sequence[Query]) -> list[Result]:
        """Answer any questions together."""
        tasks = [self._task(query) for query in queries]
        waiting = [task for task in tasks if isinstance(task, _Task)]
        answers = iter(self._answers(waiting))
        return [next(answers) if isinstance(task, _Task) else task for task in tasks]

    def _task(self, query: Query) -> _Task | Result:
        """The question made ready for the network, or its answer where no network is needed."""
        prepared, prompt = query.prepared, query.prompt
        assert isinstance(prepared, ClickAttentionPrepared)  # noqa: S101 - the contract of prepare()
        scene = scene_of(prompt, prepared.size)
        memory = self._memory(query)
        if not scene.positive and (prompt.mask is None or not prompt.mask.any()):
            return Result.empty(prepared.size)
        if not scene.clicks:
            return self._given_mask(prepared, prompt)
        return _Task(prepared, prompt, scene, memory, _source(memory, scene, self.options))

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

    def _given_mask(self, prepared: ClickAttentionPrepared, prompt: Prompt) -> Result:
        """An initial mask is right until somebody clicks. Its state needs no copy of it."""
        assert prompt.mask is not None  # noqa: S101 - see _task
        state = Memory().state(self.version, prepared.picture)
        answer = following(Result.empty(prepared.size), np.ascontiguousarray(prompt.mask, np.bool_))
        return replace(answer, state=state, threshold=self.options.threshold)

    def _answers(self, tasks: Sequence[_Task]) -> list[Result]:
        """The network on all questions, again on those that are an object's first click."""
        maps = self._maps(tasks)
        for _ in range(1, self.options.first_click_passes):
            first = [index for index, task in enumerate(tasks) if len(task.scene.clicks) == 1]
            again = [self._continued(tasks[index], maps[index]) for index in first]
            for index, values in zip(first, self._maps(again), strict=True):
                maps[index] = values
        return [self._answer(task, values) for task, values in zip(tasks, maps, strict=True)]

    def _maps(self, tasks: Sequence[_Task]) -> list[Tensor]:
        """Probabilities float32 [S, S] on the CPU for each question."""
        maps: list[Tensor] = []
        with torch.inference_mode():
            for start in range(0, len(tasks), self._longest_pass):
                share = tasks[start : start + self._longest_pass]
                seen = torch.stack([self._input(task) for task in share]).to(self.device)
                logits = self._network(
                    seen[:, :3].contiguous(memory_format=self._layout),
                    points_tensor([self._placed(task) for task in share], self.device),
                    seen[:, 3:],
                ).instances
                maps.extend(logits[:, 0].sigmoid().float().cpu())
        return maps

    def _input(self, task: _Task) -> Tensor:
        """Picture and previous map as the network sees them: float32 [4, S, S]."""
        prepared = task.prepared
        entire = task.source == whole(prepared.size)
        picture = prepared.entire if entire else _pixels(prepared.image, task.source, self._size)
        return torch.cat([picture, task.memory.seen(task.source, self._size)[None]])

    def _placed(self, task: _Task) -> Positions:
        """The clicks in pixels of the network's input."""
        clicks = [
            (*into_crop(row, column, task.source, self._size), positive)
            for row, column, positive in task.scene.clicks
        ]
        if not self.options.drop_border_clicks:
            return clicks
        height, width = self._size
        return [click for click in clicks if 0 < click[0] < height and 0 < click[1] < width]

    def _continued(self, task: _Task, values: Tensor) -> _Task:
        """The same question after an answer [S, S] to it."""
        return replace(task, memory=replace(task.memory, layers=(self._layer(task, values),)))

    def _layer(self, task: _Task, values: Tensor) -> Layer:
        """What is remembered of an answer [S, S]."""
        if not self.options.full_size_state:
            return Layer.kept(task.source, values)
        size = task.prepared.size
        full = torch.zeros(size)
        part(full, task.source, whole(size)).copy_(Layer(task.source, values).rendered())
        return Layer(whole(size), full)

    def _answer(self, task: _Task, values: Tensor) -> Result:
        """Probabilities [S, S] as an answer over the picture."""
        layer, region = self._layer(task, values), task.source
        inside = Layer(region, values).rendered()
        limits = confinement(task.scene, self.options.box_margin)
        if limits is not None:
            within = common(region, limits)
            inside, region = part(inside, within, region), within
        array = np.ascontiguousarray(inside.numpy())
        corners = (region.left, region.top, region.right + 1, region.bottom + 1)
        result = Result(task.scene.size, corners, array, threshold=self.options.threshold)
        bounds = mask_roi(array > self.options.threshold, (region.top, region.left))
        memory = Memory((layer,), bounds)
        if self.options.progressive_merge and task.prompt.mask is not None:
            mask = self._merged(task, task.prompt.mask, result)
            result = following(result, mask)
            memory = replace(memory, merged=mask, bounds=mask_roi(mask))
        return replace(result, state=memory.state(self.version, task.prepared.picture))

    def _merged(
        self, task: _Task, given: npt.NDArray[np.bool_], result: Result
    ) -> npt.NDArray[np.bool_]:
        """The annotator's mask with what this click changed of it."""
        old = given if task.memory.merged is None else task.memory.merged
        row, column, _ = task.scene.clicks[-1]
        unchanged = self.options.merge_unchanged
        return progressive_merge(
            result.mask, np.ascontiguousarray(old, np.bool_), (row, column), unchanged=unchanged
        )


def _source(memory: Memory, scene: Scene, options: ClickAttentionOptions) -> Roi:
    """What the network is shown of the picture."""
    known = None if scene.box is None else box_roi(scene.box)
    if known is None and options.zoom_in and (scene.begun or len(scene.clicks) > 1):
        known = memory.bounds
    if known is None:
        return whole(scene.size)
    found = around(known, scene.positive)
    return clamped(expanded(found, options.expansion_ratio, options.min_crop_size), scene.size)


def _pixels(image: Tensor, source: Roi, size: Size) -> Tensor:
    """A region of uint8 [H, W, 3] resampled to float32 [3, h, w] in [0, 1]."""
    rows = spread(source.top, source.bottom, size[0])
    columns = spread(source.left, source.right, size[1])
    return gathered(image, rows, columns).permute(2, 0, 1).div_(255)
