"""The segmenter under evaluation: as it is served, or as its paper ran it."""

from __future__ import annotations

import importlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import fields, replace
from typing import Any

from backend import weights
from backend.engine.segmenters import ZooSegmenters, choose_device, served_options
from backend.errors import InvalidRequest, UnknownModelName
from backend.evaluation.datasets import DataSet
from backend.settings import Settings
from models import zoo
from models.brs_options import CLICKS_LIMIT
from models.segmenter import Segmenter

OPTIONS: Mapping[str, str] = {
    "MobileSAM": "models.mobilesam_options",
    "RITM": "models.ritm_options",
    "f-BRS": "models.fbrs_options",
    "FocalClick": "models.focalclick_options",
    "ClickAttention": "models.clickattention_options",
    "SimpleClick": "models.simpleclick_options",
    "S2M": "models.s2m_options",
}
"""The modules whose `FAITHFUL` are the options of a system's published evaluation."""

ON_DAVIS: Mapping[str, Mapping[str, int]] = {
    "RITM": {"zoom_target": 600},
    "f-BRS": {"zoom_target": 600},
    "SimpleClick": {"input_side": 672},
}
"""What is larger on DAVIS."""


def load(
    settings: Settings,
    model: str,
    dataset: DataSet,
    *,
    faithful: bool,
    options: Mapping[str, Any] | None = None,
) -> Segmenter:
    """The segmenter of `model` for `dataset`, with its weights from the data directory.

    `options` win over the served or faithful ones. Raises `UnknownModelName`, `WeightsMissing`
    with what to type, `InvalidSettings` for a device that is not there, and `InvalidRequest` for
    an option that the system does not have.
    """
    architecture = weights.installed(settings, model).architecture
    try:
        system = zoo.segmenting(architecture)[0].system
    except zoo.UnknownModel as error:
        raise UnknownModelName(str(error), field="model") from None
    chosen = served_options(system, settings)
    if faithful:
        chosen = faithful_options(system, dataset)
        if settings.brs_mode is not None and "brs_mode" in chosen:
            mode = settings.brs_mode
            chosen |= {"brs_mode": mode, "net_clicks_limit": CLICKS_LIMIT[mode]}
    source = ZooSegmenters(settings)
    if not options:
        return source.load_with(model, chosen)
    try:
        return source.load_with(model, {**chosen, **options})
    except (TypeError, ValueError) as error:
        raise InvalidRequest(f"--option: {error}", field="option") from None


def parsed_options(texts: Iterable[str]) -> dict[str, Any]:
    """Options written as NAME=VALUE; a value is JSON, or else text. Raises InvalidRequest."""
    found: dict[str, Any] = {}
    for text in texts:
        name, equals, value = text.partition("=")
        if not (equals and name.isidentifier()):
            raise InvalidRequest(f"--option wants NAME=VALUE and not {text!r}", field="option")
        try:
            found[name] = json.loads(value)
        except ValueError:
            found[name] = value
    return found


def device(settings: Settings) -> str:
    """The torch device of the settings. Raises `InvalidSettings`."""
    return choose_device(settings.device)


def faithful_options(system: str, dataset: DataSet) -> dict[str, Any]:
    """The options under which a system's authors evaluated it on `dataset`.

    Raises InvalidRequest for a system that was never published.
    """
    if system not in OPTIONS:
        raise InvalidRequest(
            f"nothing was published of {system}, so it has no settings to be faithful to; leave"
            " out --faithful",
            field="faithful",
        )
    faithful = importlib.import_module(OPTIONS[system]).FAITHFUL
    if "davis" in dataset.name.lower():
        faithful = replace(faithful, **ON_DAVIS.get(system, {}))
    return {field.name: getattr(faithful, field.name) for field in fields(faithful)}
