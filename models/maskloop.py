"""Our own segmenter, `maskloop`: the whole picture at first, then always a crop around the object.

The network is in `models.maskloop_network`; here is how it answers click by click.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models import checkpoints
from models.fold_norm import channels_last, folded
from models.maskloop_network import MaskloopNetwork
from models.maskloop_options import MaskloopOptions
from models.maskloop_view import FINE, Memory, look, look_again, pointed_at
from models.placement import box_within
from models.prompt_maps import prompt_maps
from models.prompts import Prompt
from models.scene import clicks_within
from models.segmenter import Image, Prepared, Query, Result, Segmenter, picture_id, require_picture
from models.zoom import Pixel, Roi, mask_roi, whole

__all__ = ["MaskloopOptions", "MaskloopPrepared", "MaskloopSegmenter", "network", "segmenter"]

CPU_CROPS = 2
"""On a CPU more crops than this in one pass take longer each: they no longer fit its caches."""

MOST_CROPS = 32
"""Crops of one pass elsewhere."""


@dataclass(frozen=True)
class MaskloopPrepared(Prepared):
    """The picture, and the whole of it as the network sees it at first.

    `image` is uint8 [H, W, 3] RGB, `overview` uint8 [side, side, 3].
    """

    image: Image
    overview: Image


@dataclass(frozen=True)
class _Task:
    """One question on its way through the network."""

    prepared: MaskloopPrepared
    prompt: Prompt
    positive: Sequence[Pixel]
    memory: Memory | None
    roi: Roi


class MaskloopSegmenter(Segmenter):
    """Network and predictor. The network given is copied, and stays as it is."""

    def __init__(
        self,
        network: MaskloopNetwork,
        version: str,
        device: str = "cpu",
        options: MaskloopOptions | None = None,
    ) -> None:
        self.options = options or MaskloopOptions()
        self.version = version
        self.settings = self.options.text
        self.device = torch.device(device)
        own = channels_last(folded(network)).to(self.device)
        self._network = own.requires_grad_(False)

    def prepare(self, image: Image, picture: str | None = None) -> MaskloopPrepared:
        """Keep the picture and shrink it for the first look. Raises ValueError."""
        require_picture(image)
        own = np.array(image, order="C", copy=True)
        size = (image.shape[0], image.shape[1])
        overview = resampled(own, whole(size), self.options.side)
        nbytes = own.nbytes + overview.nbytes
        return MaskloopPrepared(picture or picture_id(image), size, nbytes, own, overview)

    def batch_key(self, query: Query) -> Hashable:
        """All crops are of one size."""
        return self.options.side

    def segment_batch(self, queries: Sequence[Query]) -> list[Result]:
        """Answer questions about any objects of any pictures together."""
        tasks = [self._task(query) for query in queries]
        waiting = [task for task in tasks if isinstance(task, _Task)]
        answers = iter(self._answers(waiting))
        return [next(answers) if isinstance(task, _Task) else task for task in tasks]

    def _answers(self, tasks: Sequence[_Task]) -> list[Result]:
        """Look once, and a second time at what a closer look is worth."""
        if not tasks:
            return []
        looked = [(task, *answer) for task, answer in zip(tasks, self._looked(tasks), strict=True)]
        closer: dict[int, _Task] = {}
        for index, (task, _, memory) in enumerate(looked):
            roi = look_again(memory, task.positive, task.prepared.size, self.options)
            if roi is not None:
                closer[index] = replace(task, memory=memory, roi=roi)
        for index, answer in zip(closer, self._looked(list(closer.values())), strict=True):
            looked[index] = (closer[index], *answer)
        return [
            replace(result, state=memory.state(self.version, task.prepared.picture))
            for task, result, memory in looked
        ]

    def _task(self, query: Query) -> _Task | Result:
        """The question made ready for the network, or its answer where no network is needed."""
        prepared, prompt = query.prepared, query.prompt
        assert isinstance(prepared, MaskloopPrepared)  # noqa: S101 - the contract of prepare()
        memory = self._memory(query)
        positive = pointed_at(prompt, prepared.size)
        box = None if prompt.box is None else box_within(prompt.box, prepared.size)
        if memory is None and box is None and not positive:
            return Result.empty(prepared.size)
        if memory is not None and not (prompt.clicks or prompt.scribbles or box):
            return self._given_mask(prepared, memory, prompt)
        roi = look(memory, box, positive, prepared.size, self.options)
        return _Task(prepared, prompt, positive, memory, roi)

    def _memory(self, query: Query) -> Memory | None:
        """What is known from before: the state's, or the initial mask's where that is new."""
        mask, size = query.prompt.mask, query.prepared.size
        if mask is not None and mask.shape != size:
            raise ValueError(f"the initial mask is {mask.shape} and the picture {size} large")
        state = query.state
        if state is not None and state.belongs_to(self.version, query.prepared.picture):
            return Memory.recalled(state)
        return None if mask is None else Memory.of_mask(mask, self.options)

    def _given_mask(self, prepared: MaskloopPrepared, memory: Memory, prompt: Prompt) -> Result:
        """An initial mask is right until somebody clicks."""
        assert prompt.mask is not None and memory.bounds is not None  # noqa: S101 - see _memory
        top, bottom, left, right = memory.bounds
        values = prompt.mask[top : bottom + 1, left : right + 1].astype(np.float32)
        state = memory.state(self.version, prepared.picture)
        region = (left, top, right + 1, bottom + 1)
        return Result(prepared.size, region, values, state, threshold=self.options.threshold)

    def _looked(self, tasks: Sequence[_Task]) -> list[tuple[Result, Memory]]:
        """Each task's answer over its region, and what to remember of it."""
        found = []
        most = CPU_CROPS if self.device.type == "cpu" else MOST_CROPS
        for first in range(0, len(tasks), most):
            part = tasks[first : first + most]
            logits, quality = self._passed(part)
            found += [
                self._answer(task, crop, score)
                for task, crop, score in zip(part, logits, quality, strict=True)
            ]
        return found

    @torch.inference_mode()
    def _passed(
        self, tasks: Sequence[_Task]
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32]]:
        """Logits float32 [N, side, side] and quality float32 [N]."""
        images = torch.from_numpy(np.stack([self._crop(task) for task in tasks]))
        images = images.to(self.device).permute(0, 3, 1, 2).float().div_(255)
        maps = torch.from_numpy(np.stack([self._maps(task) for task in tasks])).to(self.device)
        if self.options.flip:
            images, maps = _with_mirrored(images), _with_mirrored(maps)
        answer = self._network(
            images.contiguous(memory_format=torch.channels_last),
            maps.contiguous(memory_format=torch.channels_last),
        )
        logits, quality = answer.logits[:, 0], answer.quality
        if self.options.flip:
            straight, mirrored = logits.chunk(2)
            logits = (straight + mirrored.flip(-1)) / 2
            quality = quality[: len(tasks)]
        return logits.float().cpu().numpy(), quality.float().cpu().numpy()

    def _crop(self, task: _Task) -> Image:
        prepared, side = task.prepared, self.options.side
        if task.roi == whole(prepared.size):
            return prepared.overview
        return resampled(prepared.image, task.roi, side)

    def _maps(self, task: _Task) -> npt.NDArray[np.float32]:
        """float32 [4, side, side]."""
        side = self.options.side
        prompt = task.prompt
        clicks = clicks_within(prompt.clicks, task.prepared.size)
        told = prompt_maps(clicks, prompt.scribbles, prompt.box, task.roi, side)
        previous = (
            np.zeros((side, side), np.float32)
            if task.memory is None
            else task.memory.seen(task.roi, side)
        )
        return np.concatenate([told, previous[None]])

    def _answer(
        self, task: _Task, logits: npt.NDArray[np.float32], quality: np.float32
    ) -> tuple[Result, Memory]:
        """Logits [side, side] as an answer over the picture."""
        roi, options = task.roi, self.options
        height, width = roi.size
        larger = cv2.resize(logits, (width, height), interpolation=cv2.INTER_LINEAR)
        values = torch.from_numpy(np.asarray(larger, np.float32)).sigmoid_().numpy()
        bounds = mask_roi(values > options.threshold, (roi.top, roi.left))
        kept = torch.from_numpy(logits).sigmoid().mul_(FINE).round_().byte().numpy()
        region = (roi.left, roi.top, roi.right + 1, roi.bottom + 1)
        result = Result(
            task.prepared.size,
            region,
            values,
            score=float(quality),
            threshold=options.threshold,
        )
        return result, Memory(kept, roi, bounds)


def resampled(image: Image, roi: Roi, side: int) -> Image:
    """A region of uint8 [H, W, 3] as [side, side, 3], whatever its shape."""
    part = image[roi.top : roi.bottom + 1, roi.left : roi.right + 1]
    shrinks = min(roi.size) >= side
    way = cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR
    return np.asarray(cv2.resize(part, (side, side), interpolation=way), np.uint8)


def _with_mirrored(x: Tensor) -> Tensor:
    return torch.cat([x, x.flip(-1)])


def network(name: str) -> MaskloopNetwork:
    """The network of the architecture, with fresh random weights. Raises KeyError."""
    if name != "maskloop":
        raise KeyError(name)
    return MaskloopNetwork()


def segmenter(
    name: str, weights: str | Path | None = None, device: str = "cpu", **options: Any
) -> MaskloopSegmenter:
    """The segmenter of the architecture with the weights file `weights`, of any precision.

    None leaves fresh random weights, which is of use to tests and benchmarks alone. Raises
    `models.checkpoints.CheckpointError`, and TypeError or ValueError for a wrong option.
    """
    chosen = MaskloopOptions(**options)
    own = network(name)
    if weights is None:
        return MaskloopSegmenter(own, f"{name}@random:000000000000", device, chosen)
    checkpoint = checkpoints.load_for(name, weights)
    own.load_state_dict(dict(checkpoint.tensors), strict=True)
    version = checkpoints.version_of(checkpoint, weights)
    return MaskloopSegmenter(own, version, device, chosen)
