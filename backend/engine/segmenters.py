"""Where an engine's segmenters come from: the zoo, the weights store and the settings."""

from __future__ import annotations

import gc
import logging
import sys
from collections.abc import Mapping
from typing import Any, Protocol

import models
from backend.errors import InvalidSettings
from backend.settings import Settings
from models import zoo
from models.brs_options import CLICKS_LIMIT
from models.segmenter import Segmenter

log = logging.getLogger(__name__)


class SegmenterSource(Protocol):
    """What an engine asks for its segmenters: the default is `ZooSegmenters`.

    An engine takes any other as its argument, so that a segmenter which is in no zoo can be
    served, and tested, like the ones that are.
    """

    def version(self, model: str) -> str:
        """The model version id that `load` would give, found without loading anything.

        Raises WeightsMissing with what to type.
        """

    def load(self, model: str) -> Segmenter:
        """The segmenter, on its device, ready to answer. Called once per process and model."""


class ZooSegmenters:
    """Segmenters of the zoo with the weights in the data directory, on the configured device."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def version(self, model: str) -> str:
        """See `SegmenterSource`."""
        from backend.weights import installed

        return installed(self._settings, model).version

    def load(self, model: str) -> Segmenter:
        """See `SegmenterSource`. Raises InvalidSettings for a device that is not there."""
        from backend.weights import installed

        system = zoo.architecture(installed(self._settings, model).architecture).system
        return self.load_with(model, served_options(system, self._settings))

    def load_with(self, model: str, options: Mapping[str, Any]) -> Segmenter:
        """The same with other options than the served ones.

        Raises TypeError and ValueError as the system's options do.
        """
        from backend.weights import installed

        found = installed(self._settings, model)
        device = choose_device(self._settings.device)
        if self._settings.torch_threads is not None:
            import torch

            torch.set_num_threads(self._settings.torch_threads)
        log.info("loading %s on %s", found.version, device)
        return models.segmenter(found.architecture, weights=found.path, device=device, **options)


MIRRORING = ("RITM", "f-BRS", "SimpleClick")
"""The systems that can average with the mirrored picture."""


def served_options(system: str, settings: Settings) -> dict[str, Any]:
    """The options of a system's segmenters as the settings have them."""
    options: dict[str, Any] = {}
    if system == "MobileSAM":
        options["input_side"] = settings.mobilesam_input
    if system in ("RITM", "f-BRS"):
        options["first_click_side"] = settings.first_click_side
        if settings.brs_mode is not None:
            options["brs_mode"] = settings.brs_mode
            options["net_clicks_limit"] = CLICKS_LIMIT[settings.brs_mode]
        if settings.brs_deadline_ms is not None:
            options["brs_deadline_ms"] = settings.brs_deadline_ms
    if system == "S2M":
        options["picture_side"] = settings.first_click_side
    if system in MIRRORING and settings.flip is not None:
        options["flip"] = settings.flip
    return options


def choose_device(wanted: str) -> str:
    """The torch device for the setting `device`; `auto` is the first CUDA device, then mps, then
    cpu. Raises InvalidSettings for one that torch does not see on this machine.
    """
    import torch

    cuda, mps = torch.cuda.is_available(), torch.backends.mps.is_available()
    if wanted == "auto":
        return "cuda" if cuda else "mps" if mps else "cpu"
    kind, _, number = wanted.partition(":")
    if kind == "cuda" and cuda and (not number or number.isdecimal()):
        if int(number or 0) < torch.cuda.device_count():
            return wanted
    elif wanted == "cpu" or (wanted == "mps" and mps):
        return wanted
    seen = ["cpu", *(["mps"] if mps else [])]
    seen += [f"cuda:{index}" for index in range(torch.cuda.device_count())]
    raise InvalidSettings(
        f"MASKLOOP_DEVICE is {wanted!r}, but torch {torch.__version__} sees {', '.join(seen)} "
        "here; choose one of these or auto"
    )


def free_device_memory() -> None:
    """Give back what torch keeps of a device's memory for later, where torch is in use at all."""
    gc.collect()
    torch = sys.modules.get("torch")
    if torch is not None and torch.cuda.is_available():
        torch.cuda.empty_cache()


def device_usable() -> bool:
    """Whether the device of this process still works.

    Some errors of a CUDA device (an illegal access, a failed assertion) leave it unusable to the
    process that met them: every later call fails, whatever it is.
    """
    torch = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_initialized():
        return True
    try:
        torch.cuda.synchronize()
    except RuntimeError:
        return False
    return True
