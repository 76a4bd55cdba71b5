"""Click after click against recorded answers of the original predictors, refinement included.

Everything is read from case.json. Refinement amplifies the last digit: a recorded sequence says
how far the original differs from itself, and is followed as far as that allows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch import nn
from torch.nn.modules.module import register_module_forward_pre_hook

from models import brs, ritm_predictor
from models.brs import Refined
from models.brs_options import CLICKS_LIMIT
from models.clicks_encoding import DistMaps
from models.prompts import Click, Prompt
from models.ritm_options import RitmOptions
from models.ritm_predictor import RitmSegmenter
from models.segmenter import Result
from models.state import State
from tests.goldens.cases import Case

PROBABILITY = 1e-3
MASK_IOU = 0.999
RECORDED_THRESHOLD = 0.49

FEW_EVALUATIONS = 5
"""So few leave the last digit where it is."""

HOPELESS = 0.1
"""Where the original may differ so much from itself, nothing is left to compare."""

PREDICTOR = {"prob_thresh": "threshold", "with_flip": "flip"}
ZOOM = {
    "target_size": "zoom_target",
    "skip_clicks": "skip_clicks",
    "expansion_ratio": "expansion_ratio",
    "min_crop_size": "min_crop_size",
    "recompute_thresh_iou": "recompute_iou",
    "prob_thresh": "zoom_threshold",
}
LIMITS = {
    "net_clicks_limit": "net_clicks_limit",
    "max_size": "max_size",
    "optimize_after_n_clicks": "brs_after_clicks",
}
OBJECTIVE = {"min_iou_diff": "brs_iou_change"}
SEARCH = {"maxfun": "brs_max_evaluations"}

Options = TypeVar("Options", bound=RitmOptions)


@pytest.fixture(autouse=True, scope="module")
def recorded_threads() -> Iterator[None]:
    """As many threads as the outputs were recorded with.

    Another number adds up in another order, and these networks, whose weights were never trained,
    make of the last digit a thousandth within five clicks.
    """
    usual = torch.get_num_threads()
    torch.set_num_threads(2)
    yield
    torch.set_num_threads(usual)


def sequences(found: list[Case]) -> tuple[list[tuple[Case, str]], list[str]]:
    """The recorded sequences of cases, and a name for each."""
    pairs = [
        (case, file)
        for case in found
        for file, entry in case.document["files"].items()
        if "clicks_row_col_positive" in entry
    ]
    return pairs, [f"{case.name}-{file.removesuffix('.npz')}" for case, file in pairs]


def options_of(entry: Mapping[str, Any], kind: type[Options]) -> Options:
    """The options that reproduce a recorded call of the original's get_predictor."""
    kwargs = dict(entry["get_predictor_kwargs"])
    zoom = kwargs.pop("zoom_in_params", {})
    parts = [
        (LIMITS, kwargs.pop("predictor_params", None)),
        (OBJECTIVE, kwargs.pop("brs_opt_func_params", None)),
        (SEARCH, kwargs.pop("lbfgs_params", None)),
        (ZOOM, zoom),
        (PREDICTOR, kwargs),
    ]
    chosen: dict[str, Any] = {
        "threshold": 0.49,
        "zoom_in": zoom is not None,
        "net_clicks_limit": CLICKS_LIMIT[entry["mode"]],
    }
    for names, given in parts:
        chosen.update({names[name]: value for name, value in (given or {}).items()})
    return kind(
        brs_mode=entry["mode"],
        first_click_side=None,
        fast_arithmetic=False,
        full_size_state=True,
        keep_stale_roi=True,
        brs_wrapping_squares=True,
        brs_keep_features=True,
        one_shot=bool(entry.get("oneshot")),
        cpu_maps=bool(entry.get("cpu_dist_maps")),
        cpu_maps_overrun=bool(entry.get("cpu_dist_maps")),
        mask_every_click=entry.get("prev_mask") is not None,
        **chosen,
    )


def steps_of(entry: Mapping[str, Any], mask: npt.NDArray[np.bool_] | None) -> list[Prompt]:
    """One prompt per recorded answer."""
    rows = entry["clicks_row_col_positive"]
    clicks = tuple(Click(column, row, bool(positive)) for row, column, positive in rows)
    return [Prompt(clicks[: call["click"] + 1], mask=mask) for call in entry["per_click"]]


@contextmanager
def recorded_points() -> Iterator[list[npt.NDArray[np.float32]]]:
    """Every points tensor that a click encoder is given."""
    seen: list[npt.NDArray[np.float32]] = []

    def hook(module: nn.Module, inputs: tuple[Any, ...]) -> None:
        if isinstance(module, DistMaps):
            seen.append(inputs[0].numpy().copy())

    handle = register_module_forward_pre_hook(hook)
    try:
        yield seen
    finally:
        handle.remove()


@contextmanager
def recorded_searches() -> Iterator[list[Refined]]:
    """What every search for a correction finds."""
    found: list[Refined] = []

    def search(*args: Any, **kwargs: Any) -> Refined:
        found.append(brs.refine(*args, **kwargs))
        return found[-1]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ritm_predictor, "refine", search)
        yield found


def assert_same_clicks(actual: npt.ArrayLike, wanted: npt.ArrayLike) -> None:
    """Equal points tensors [B, 2P, 2 or 3], however many rows of padding they have."""
    columns = np.asarray(wanted).shape[-1]
    ours = np.asarray(actual)[..., :columns]
    for seen, recorded in zip(clicks_in(ours), clicks_in(wanted), strict=True):
        np.testing.assert_allclose(seen, recorded, rtol=0, atol=1e-3)


def clicks_in(points: npt.ArrayLike) -> list[npt.NDArray[np.float32]]:
    """The rows of each sign in each list that are clicks."""
    lists = np.asarray(points, np.float32)
    halves = lists.reshape(2 * len(lists), -1, lists.shape[-1])
    return [half[half[:, :2].max(axis=1) >= 0] for half in halves]


def mask_iou(a: npt.NDArray[np.bool_], b: npt.NDArray[np.bool_]) -> float:
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 1.0


def tolerances(entry: Mapping[str, Any]) -> list[float]:
    """How far a probability may be off at each click.

    Ten times what the original was seen to differ from itself up to there, at least 1e-3. Where
    that was not recorded, a search of many evaluations has no end that could be foretold.
    """
    if entry["mode"] == "NoBRS":
        return [PROBABILITY] * len(entry["per_click"])
    observed = entry.get("observed_max_abs_prob_diff_2_vs_1_threads", [])
    drift, allowed = 0.0, []
    for index, call in enumerate(entry["per_click"]):
        long = any(search["evals"] > FEW_EVALUATIONS for search in call.get("lbfgs", []))
        unknown = 1.0 if long else 0.0
        drift = max(drift, observed[index] if index < len(observed) else unknown)
        allowed.append(max(PROBABILITY, 10 * drift))
    return allowed


def assert_same_searches(found: list[Refined], recorded: list[Mapping[str, Any]]) -> None:
    """Searches of the same beginning; theirs and ours may end differently."""
    assert len(found) == len(recorded)
    for search, wanted in zip(found, recorded, strict=True):
        assert search.losses[0] == pytest.approx(wanted["first_loss"], rel=2e-2, abs=1e-3)
        assert min(search.losses) <= search.losses[0]
        assert not search.aborted


def assert_same_answer(
    result: Result,
    probability: npt.NDArray[np.float32],
    mask: npt.NDArray[np.bool_],
    tolerance: float,
) -> None:
    """Probabilities within the tolerance, and masks wherever it leaves no doubt."""
    stride = round(result.size[0] / probability.shape[0])
    difference = np.abs(result.probability[::stride, ::stride] - probability)
    assert difference.max() <= tolerance
    ours = result.probability > RECORDED_THRESHOLD
    doubtful = np.abs(result.probability - RECORDED_THRESHOLD) <= tolerance
    assert not np.any((ours != mask) & ~doubtful)
    assert tolerance > PROBABILITY or mask_iou(ours, mask) >= MASK_IOU


def assert_sequence(case: Case, sequence: str, segmenter: RitmSegmenter) -> None:
    """A recorded sequence, followed from state to state as far as it can be."""
    entry = case.document["files"][sequence]
    scene, recorded = case.arrays("image.npz"), case.arrays(sequence)
    prepared = segmenter.prepare(scene["image"])
    mask = scene["gt"] > 0 if segmenter.options.mask_every_click else None
    prompts = steps_of(entry, mask)
    count, height, width = recorded["shape"]
    assert (len(prompts), height, width) == (count, *prepared.size)
    state: State | None = None
    for index, tolerance in enumerate(tolerances(entry)):
        call = entry["per_click"][index]
        with recorded_searches() as searches, recorded_points() as points:
            result = segmenter.segment(prepared, prompts[index], state)
        state = result.state
        assert state is not None
        assert state.values["roi"] == call["roi"]
        assert len(points) == call.get("net_calls", 1)
        for seen, wanted in zip(points, call["points"], strict=True):
            assert_same_clicks(seen, wanted)
        assert_same_searches(searches, call.get("lbfgs", []))
        if tolerance > HOPELESS:
            return
        packed = recorded["mask049"][index]
        wanted_mask = np.unpackbits(packed, axis=1, count=width).astype(bool)
        assert_same_answer(result, recorded["prob"][index], wanted_mask, tolerance)
