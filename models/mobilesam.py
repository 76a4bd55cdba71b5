"""MobileSAM: the picture is encoded once, and every prompt is decoded from there.

Zhang et al., Faster Segment Anything: Towards Lightweight SAM for Mobile Applications (arXiv
2306.14289). The network is in `models.mobilesam_network`; here is how it answers click by click.
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from models import checkpoints
from models.mobilesam_network import EncodedPrompt, MobileSam
from models.mobilesam_options import FAITHFUL, MobileSamOptions
from models.placement import scribble_clicks
from models.prompts import Box, Click
from models.sam_choice import Evidence, choose, corrected, depth, lost
from models.sam_frame import MASK_STRIDE, Frame, Logits
from models.segmenter import Image, Prepared, Query, Result, Segmenter, picture_id, require_picture
from models.state import State

__all__ = [
    "FAITHFUL",
    "MobileSamOptions",
    "MobileSamPrepared",
    "MobileSamSegmenter",
    "network",
    "segmenter",
]

LOGITS = "logits"
"""The state's one array: float32 (S/4, S/4), the raw logits of the mask that was answered."""


@dataclass(frozen=True)
class MobileSamPrepared(Prepared):
    """The picture's embedding (1, 256, S/16, S/16), float32, on the segmenter's device."""

    frame: Frame
    embedding: Tensor


@dataclass(frozen=True)
class _Task:
    """One question in the network's words.

    `clicks` are those shown to the network and `newest` the last one that an annotator made;
    `fed` are the logits fed back, or those of a given mask; `previous` the logits of the mask that
    the annotator saw.
    """

    prepared: MobileSamPrepared
    clicks: tuple[Click, ...]
    newest: Click | None
    box: Box | None
    fed: Logits | None
    previous: Logits | None


class MobileSamSegmenter(Segmenter):
    """Network and predictor. The network given is copied, and stays as it is."""

    def __init__(
        self,
        network: MobileSam,
        version: str,
        device: str = "cpu",
        options: MobileSamOptions | None = None,
    ) -> None:
        self.options = options or MobileSamOptions(input_side=network.input_side)
        if self.options.input_side != network.input_side:
            raise ValueError(
                f"input_side is {self.options.input_side}, but the network was built for"
                f" {network.input_side}"
            )
        self.version = version
        self.settings = self.options.text
        self.device = torch.device(device)
        self._network = network.for_inference(device)

    def prepare(self, image: Image, picture: str | None = None) -> MobileSamPrepared:
        """Encode the picture. Raises ValueError for what is none, or is too narrow."""
        require_picture(image)
        size = (image.shape[0], image.shape[1])
        frame = Frame.of(size, self.options.input_side)
        pixels = torch.from_numpy(frame.network_input(image)).to(self.device)
        with torch.inference_mode():
            embedding = self._network.encode(pixels)
        return MobileSamPrepared(
            picture or picture_id(image), size, embedding.nbytes, frame, embedding
        )

    def batch_key(self, query: Query) -> Hashable:
        """Questions with equally many tokens share a pass, whichever pictures they are about."""
        if not query.prompt.points_at_something:
            return None
        task = self._task(query)
        return len(task.clicks), task.box is not None, task.fed is not None

    def segment_batch(self, queries: Sequence[Query]) -> list[Result]:
        """Answer questions of one `batch_key`; those that point at nothing get an empty answer."""
        asked = [query for query in queries if query.prompt.points_at_something]
        answers = iter(self._answers([self._task(query) for query in asked]))
        return [
            next(answers) if query.prompt.points_at_something else Result.empty(query.prepared.size)
            for query in queries
        ]

    def _task(self, query: Query) -> _Task:
        prepared, prompt = query.prepared, query.prompt
        assert isinstance(prepared, MobileSamPrepared)  # noqa: S101 - the contract of prepare()
        previous = self._remembered(query)
        fed = previous if self.options.feedback else None
        if previous is None and prompt.mask is not None:
            previous = fed = prepared.frame.mask_logits(prompt.mask)
        clicks = scribble_clicks(prompt.scribbles) + prompt.clicks
        telling = [click for click in clicks if click.positive or previous is not None]
        newest = telling[-1] if telling else None
        box = _ordered(prompt.box)
        if not clicks and box is None and prompt.mask is not None and prompt.mask.any():
            # A mask alone tells the network little; its middle and its box say what it means.
            clicks, box = _told_by(prompt.mask)
        return _Task(prepared, clicks, newest, box, fed, previous)

    def _remembered(self, query: Query) -> Logits | None:
        """The logits in the state, if it is one of this model, picture and input size."""
        state, side = query.state, self.options.input_side // MASK_STRIDE
        if state is None or not state.belongs_to(self.version, query.prepared.picture):
            return None
        logits = state.arrays.get(LOGITS)
        if logits is None or logits.shape != (side, side) or logits.dtype != np.float32:
            return None
        return logits

    def _answers(self, tasks: Sequence[_Task]) -> list[Result]:
        if not tasks:
            return []
        embeddings = [task.prepared.embedding for task in tasks]
        shared = all(embedding is embeddings[0] for embedding in embeddings)
        with torch.inference_mode():
            decoded = self._network.decode(
                embeddings[0] if shared else torch.cat(embeddings), self._encoded(tasks)
            )
        logits, scores = decoded.logits.cpu().numpy(), decoded.scores.cpu().numpy()
        return [
            self._answer(task, own, its_scores)
            for task, own, its_scores in zip(tasks, logits, scores, strict=True)
        ]

    def _encoded(self, tasks: Sequence[_Task]) -> EncodedPrompt:
        """The tasks' prompts as one batch on the device."""
        points, labels, boxes, masks = [], [], [], []
        for task in tasks:
            frame = task.prepared.frame
            at = np.array([(click.x, click.y) for click in task.clicks], np.float64).reshape(-1, 2)
            points.append(frame.points(at))
            labels.append([int(click.positive) for click in task.clicks])
            if task.box is not None:
                boxes.append(frame.points(np.array(task.box, np.float64).reshape(2, 2)).reshape(4))
            if task.fed is not None:
                masks.append(task.fed[None])
        return EncodedPrompt(
            torch.from_numpy(np.stack(points)).to(self.device),
            torch.tensor(labels, dtype=torch.int64, device=self.device),
            torch.from_numpy(np.stack(boxes)).to(self.device) if boxes else None,
            torch.from_numpy(np.stack(masks)).to(self.device) if masks else None,
        )

    def _answer(self, task: _Task, logits: Logits, scores: Logits) -> Result:
        """Choose among one task's four masks (4, S/4, S/4) and bring the best to the picture."""
        prepared, frame = task.prepared, task.prepared.frame
        evidence = _evidence(task)
        best = choose(frame.inside(logits), scores, evidence, self.options)
        chosen = np.ascontiguousarray(logits[best])
        guard = task.previous if self.options.keep_when_lost else None
        if guard is not None and lost(frame.inside(chosen), evidence):
            chosen = corrected(guard, evidence)
        region = frame.region(chosen)
        left, top, right, bottom = region
        values = np.zeros((0, 0), np.float32)
        if right > left:
            shown = np.ascontiguousarray(frame.logits(chosen)[top:bottom, left:right])
            values = torch.from_numpy(shown).sigmoid_().numpy()
        state = State(self.version, prepared.picture, {LOGITS: chosen})
        score = min(max(float(scores[best]), 0.0), 1.0)
        return Result(prepared.size, region, values, state, score)


def _evidence(task: _Task) -> Evidence:
    """What the annotator saw and did, in pixels of the network's maps."""
    frame = task.prepared.frame
    previous = None if task.previous is None else frame.inside(task.previous) > 0
    newest = None
    if task.newest is not None:
        row, column = frame.map_position((task.newest.x, task.newest.y))
        newest = (row, column, task.newest.positive)
    box = None
    if task.box is not None:
        corners = frame.points(np.array(task.box, np.float64).reshape(2, 2)) / MASK_STRIDE
        left, top, right, bottom = corners.reshape(4).tolist()
        box = (left, top, right, bottom)
    return Evidence(previous, newest, box, len(task.clicks))


def _ordered(box: Box | None) -> Box | None:
    """The box with its corners in order, whichever way it was drawn."""
    if box is None:
        return None
    left, right = sorted((box[0], box[2]))
    top, bottom = sorted((box[1], box[3]))
    return left, top, right, bottom


def _told_by(mask: npt.NDArray[np.bool_]) -> tuple[tuple[Click, ...], Box]:
    """A click at the deepest pixel of a mask, bool HxW, that is not empty, and the mask's box."""
    distance = depth(mask)
    row, column = np.unravel_index(int(distance.argmax()), distance.shape)
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    box = (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    left, top, right, bottom = (float(edge) for edge in box)
    return (Click(float(column), float(row)),), (left, top, right, bottom)


def network(name: str) -> MobileSam:
    """The network of the architecture, with fresh random weights. Raises KeyError."""
    if name != "mobilesam":
        raise KeyError(name)
    return MobileSam()


def segmenter(
    name: str, weights: str | Path | None = None, device: str = "cpu", **options: Any
) -> MobileSamSegmenter:
    """The segmenter of the architecture with the weights file `weights`.

    None leaves fresh random weights, which is of use to tests and benchmarks alone. Raises
    `models.checkpoints.CheckpointError`, and TypeError or ValueError for a wrong option.
    """
    if name != "mobilesam":
        raise KeyError(name)
    chosen = MobileSamOptions(**options)
    loaded = MobileSam(chosen.input_side)
    if weights is None:
        return MobileSamSegmenter(loaded, f"{name}@random:000000000000", device, chosen)
    checkpoint = checkpoints.load_for(name, weights)
    loaded.load_state_dict(dict(checkpoint.tensors), strict=True)
    version = checkpoints.version_of(checkpoint, weights)
    return MobileSamSegmenter(loaded, version, device, chosen)
