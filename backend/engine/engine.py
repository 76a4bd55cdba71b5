"""The engine of a process: its segmenters, its device and what it keeps of pictures."""

from __future__ import annotations

import logging
import math
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from backend import pictures
from backend.cleaning import clean
from backend.engine.device import Device
from backend.engine.picture_store import PictureStore
from backend.engine.prepared import PreparedPictures
from backend.engine.segmenters import (
    SegmenterSource,
    ZooSegmenters,
    device_usable,
    free_device_memory,
)
from backend.errors import MaskloopError, OutOfMemory, QueueUnavailable, UnknownModelName
from backend.masks import Mask
from backend.prompt_record import PromptRecord
from backend.sessions import Sessions, step_keys
from backend.settings import Settings
from models.prompts import Prompt
from models.segmenter import Prepared, Query, Result, Segmenter, picture_id, steps

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelStatus:
    """How a model stands in one process: see `backend.service.messages.ModelOffer`."""

    name: str
    version: str | None
    loaded: bool
    problem: str | None = None

    def to_json(self) -> dict[str, Any]:
        """The fields, for a heartbeat."""
        return {
            "name": self.name,
            "version": self.version,
            "loaded": self.loaded,
            "problem": self.problem,
        }


@dataclass(frozen=True)
class Question:
    """A prompt on a picture in the picture store, for one of the offered models.

    The lower `priority` goes first. `check` is called before each pass of the network and may
    raise, DeadlineExceeded say.
    """

    image_id: str
    model: str
    prompt: PromptRecord
    priority: int = 0
    check: Callable[[], None] = lambda: None


@dataclass(frozen=True)
class Segmented:
    """An engine's answer: see `backend.service.messages.Answer`."""

    mask: Mask
    version: str
    picture_id: str
    score: float | None
    remembered: int
    aborted: bool = False


class Engine:
    """Answers prompts on pictures in the picture store. Safe to use from many threads.

    Each segmenter is loaded once per process. All network calls happen on one thread, with the
    caller's waiting; decoding, sessions and masks are done on the caller's own.
    """

    def __init__(
        self,
        settings: Settings,
        store: PictureStore,
        sessions: Sessions,
        source: SegmenterSource | None = None,
    ) -> None:
        self._limits = pictures.PictureLimits.of(settings)
        self._offered = settings.offered_models
        self._store = store
        self._sessions = sessions
        self._source: SegmenterSource = source or ZooSegmenters(settings)
        self._loaded: dict[str, Segmenter] = {}
        self._loading = {name: threading.Lock() for name in self._offered}
        self._faults: dict[str, str] = {}
        self._prepared = PreparedPictures(settings.prepared_cache_bytes)
        self._device = Device(self.free_memory, device_usable)

    def start(self) -> None:
        """Load the offered models in the background, the default one first."""
        threading.Thread(target=self._load_all, name="loader", daemon=True).start()

    def close(self) -> None:
        """Finish the pass that is running and end the device's thread."""
        self._device.close()

    @property
    def failed(self) -> bool:
        """Whether the device is lost to this process, which has to be restarted."""
        return self._device.failed

    def free_memory(self) -> None:
        """Drop every prepared picture, and what the device keeps for later."""
        log.warning("memory ran out: dropping %d bytes of prepared pictures", self._prepared.nbytes)
        self._prepared.clear()
        free_device_memory()

    def status(self) -> tuple[ModelStatus, ...]:
        """How the offered models stand. Loads nothing."""
        return tuple(self._status(name) for name in self._offered)

    def segment(self, question: Question) -> Segmented:
        """Answer a prompt that says where the object is.

        Raises UnknownModelName, WeightsMissing, OutOfMemory, InvalidImage, QueueUnavailable where
        the picture is no longer kept, and what `question.check` raises. Anything else is a defect
        of the segmenter.
        """
        if question.model not in self._loading:
            raise UnknownModelName(
                f"{question.model!r} is not served here; there are {', '.join(self._offered)}",
                field="model",
            )
        try:
            segmenter = self._segmenter(question.model)
            question.check()
            prompt = self._prompt(question.prompt)
            prepared = self._prepare(question, segmenter)
            result, remembered = self._walk(question, segmenter, prepared, prompt)
            mask = clean(_mask_of(result), prompt)
        except MemoryError as error:
            raise OutOfMemory(
                "this machine's memory cannot hold the picture; send a smaller one"
            ) from error
        score = None if result.score is None else float(result.score)
        if score is not None and not math.isfinite(score):
            score = None
        return Segmented(
            mask, segmenter.version, prepared.picture, score, remembered, result.aborted
        )

    def _walk(
        self, question: Question, segmenter: Segmenter, prepared: Prepared, prompt: Prompt
    ) -> tuple[Result, int]:
        """The last step's result, and how many steps before it were remembered.

        The steps are those of `models.segmenter.replay`.
        """
        keys = step_keys(segmenter.version, segmenter.settings, question.image_id, question.prompt)
        remembered = self._sessions.recall(keys[:-1])
        state = remembered.state
        result = Result.empty(prepared.size)
        path = list(zip(keys, steps(prompt), strict=True))
        for key, step in path[remembered.answered :]:
            question.check()
            if step.points_at_something:
                query = Query(prepared, step, state)
                result = self._device.segment(segmenter, query, question.priority)
            else:
                result = Result.empty(prepared.size)
            state = self._sessions.remember(key, result.state)
        return result, remembered.answered

    def _prepare(self, question: Question, segmenter: Segmenter) -> Prepared:
        def make() -> Prepared:
            data = self._store.get(question.image_id)
            if data is None:
                raise QueueUnavailable(
                    f"the picture {question.image_id} is no longer kept; send the request again"
                )
            image = pictures.decode(data, self._limits)
            picture = picture_id(image)
            known = self._prepared.find(picture, segmenter.version)
            if known is not None:
                return known
            return self._device.run(lambda: segmenter.prepare(image, picture), question.priority)

        return self._prepared.get(question.image_id, segmenter.version, make)

    def _prompt(self, record: PromptRecord) -> Prompt:
        if record.mask is None:
            return record.prompt(None)
        mask = self._store.mask(record.mask)
        if mask is None:
            raise QueueUnavailable(
                f"the initial mask {record.mask} is no longer kept; send the request again"
            )
        return record.prompt(mask)

    def _segmenter(self, model: str) -> Segmenter:
        """The segmenter of an offered model, loaded by whoever asks first."""
        with self._loading[model]:
            if model not in self._loaded:
                try:
                    self._loaded[model] = self._source.load(model)
                except MaskloopError as error:
                    self._faults[model] = error.message
                    raise
                except Exception as error:
                    self._faults[model] = f"{model} cannot be loaded: {error}"
                    raise
                self._faults.pop(model, None)
            return self._loaded[model]

    def _load_all(self) -> None:
        for name in self._offered:
            try:
                self._segmenter(name)
            except MaskloopError as error:
                log.warning("%s is not loaded: %s", name, error.message)
            except Exception:
                log.exception("%s cannot be loaded", name)

    def _status(self, name: str) -> ModelStatus:
        segmenter = self._loaded.get(name)
        if segmenter is not None:
            problem = "the device does not work any longer; restart this process"
            return ModelStatus(name, segmenter.version, True, problem if self.failed else None)
        try:
            version = self._source.version(name)
        except MaskloopError as error:
            return ModelStatus(name, None, False, error.message)
        return ModelStatus(name, version, False, self._faults.get(name))


def _mask_of(result: Result) -> Mask:
    """The mask of a result, made of the region that the network answered for alone."""
    left, top, _, _ = result.region
    return Mask.of(result.values > result.threshold, offset=(left, top), size=result.size)
