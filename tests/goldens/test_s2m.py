"""S2M against recorded outputs of the authors' code: network, aggregation, both programs.

Everything is read from case.json, so folders of other sizes, strokes and seeds serve as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
import torch
from torch.nn import functional as F

from models.padding import border_to_multiple
from models.prompts import Prompt, Scribble
from models.recognition import recognised
from models.s2m_network import STRIDE, S2mNetwork
from models.s2m_options import FAITHFUL, FAITHFUL_SINGLE, S2mOptions
from models.s2m_predictor import S2mSegmenter
from models.s2m_session import MultiObjectSession, SingleObjectSession
from models.soft_aggregation import aggregated
from tests.goldens.cases import Case, Document, cases, parametrize

VERSION = "s2m@golden:000000000000"


def is_s2m(document: Document) -> bool:
    return document.get("system") == "S2M"


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    parametrize(metafunc, "case", cases(metafunc.config, is_s2m))


@dataclass(frozen=True)
class Tolerance:
    """What case.json says."""

    logits: float
    probability: float
    labels: float
    grey: tuple[int, float]

    @classmethod
    def of(cls, document: Document) -> Tolerance:
        told = document["tolerance"]
        labels = re.search(r"at most ([\d.]+)\s*%", told["labels"])
        grey = re.search(r"difference (\d+) grey.* on ([\d.]+)\s*%", told["mask_u8"])
        assert labels and grey
        return cls(
            told["logits_abs"],
            told["prob_abs"],
            float(labels[1]) / 100,
            (int(grey[1]), float(grey[2]) / 100),
        )


@lru_cache(maxsize=4)
def loaded(folder: Path) -> S2mNetwork:
    network = S2mNetwork()
    network.load_state_dict(Case(folder).state_dict(), strict=True)
    return network.eval()


def segmenter_of(case: Case, options: S2mOptions) -> S2mSegmenter:
    return S2mSegmenter(loaded(case.folder), VERSION, options=options)


def test_tensors_are_the_authors_and_recognised(case: Case) -> None:
    manifest = json.loads((case.folder / "manifest.json").read_text())
    tensors = loaded(case.folder).state_dict()
    assert manifest == {
        name: {"shape": list(tensor.shape), "dtype": str(tensor.dtype).removeprefix("torch.")}
        for name, tensor in tensors.items()
    }
    assert recognised(tensors, "s2m.pth").architecture == "s2m"


@torch.inference_mode()
def test_forward(case: Case) -> None:
    arrays, network = case.arrays("forward.npz"), loaded(case.folder)
    tolerance = Tolerance.of(case.document).logits
    x = torch.from_numpy(arrays["input"])
    low, high = network.encode(x)
    for name, actual in {
        "logits": network(x),
        "quarter_logits": network.classifier(low, high),
        "low_level_c0_16": low,
        "out_c0_64": high,
        "aspp_c0_64": network.classifier.aspp(high),
    }.items():
        recorded = arrays[name]
        shown = actual[:, : recorded.shape[1]].numpy()
        assert shown.shape == recorded.shape
        assert np.abs(shown - recorded).max() <= tolerance, name


@torch.inference_mode()
def test_folded_norms_change_little(case: Case) -> None:
    arrays = case.arrays("forward.npz")
    fast = segmenter_of(case, replace(FAITHFUL, fast_arithmetic=True))
    exact = segmenter_of(case, FAITHFUL)
    x = torch.from_numpy(arrays["input"])
    difference = fast._network(x).sigmoid() - exact._network(x).sigmoid()
    assert difference.abs().max() <= Tolerance.of(case.document).probability


@pytest.mark.parametrize("kind", ["soft", "hard"])
def test_aggregation(case: Case, kind: str) -> None:
    arrays, tolerance = case.arrays("aggregate.npz"), Tolerance.of(case.document)
    shares = aggregated(torch.from_numpy(arrays["prob"]), hard=kind == "hard")
    recorded = arrays[f"{kind}_keep_bg"]
    assert np.abs(shares.probability.numpy() - recorded).max() <= tolerance.probability
    left_out = aggregated(
        torch.from_numpy(arrays["prob"]), hard=kind == "hard", keep_background=False
    )
    assert torch.equal(left_out.probability, shares.probability[1:])


def test_aggregation_of_channels(case: Case) -> None:
    arrays, tolerance = case.arrays("aggregate.npz"), Tolerance.of(case.document)
    found = aggregated(torch.from_numpy(arrays["channel_prob"]), dim=1)
    recorded = arrays["channel_soft_keep_bg"]
    assert np.abs(found.probability.numpy() - recorded).max() <= tolerance.probability
    assert np.abs(found.logits.numpy() - arrays["channel_logits"]).max() <= tolerance.logits


def test_border(case: Case) -> None:
    arrays = case.arrays("aggregate.npz")
    given = torch.from_numpy(arrays["pad_in"])
    border = border_to_multiple((given.shape[2], given.shape[3]), STRIDE)
    assert list(border) == arrays["pad_array"].tolist()
    assert np.array_equal(F.pad(given, border).numpy(), arrays["pad_out"])


def scaled(case: Case, points: Sequence[Sequence[float]]) -> list[tuple[float, float]]:
    """Points of case.json in the recorded picture, rounded as they were for the recording."""
    x, y = case.document["stroke_scale"]
    return [(round(point[0] * x), round(point[1] * y)) for point in points]


def single_steps(session: SingleObjectSession, case: Case) -> Iterator[npt.NDArray[np.float32]]:
    """A stroke; commit; a stroke; commit and a stroke; reset."""
    strokes = [
        (scaled(case, points), bool(sign)) for sign, points in case.document["strokes_single"]
    ]
    yield session.draw(*strokes[0])
    yield session.commit()
    yield session.draw(*strokes[1])
    session.commit()
    yield session.draw(*strokes[2])
    yield session.reset()


def assert_equal_greys(
    probability: npt.NDArray[np.float32], recorded: npt.NDArray[np.uint8], tolerance: Tolerance
) -> None:
    levels, share = tolerance.grey
    difference = np.abs((255 * probability).astype(np.uint8).astype(int) - recorded)
    assert (difference <= levels).mean() >= share


def test_work_on_a_single_object(case: Case) -> None:
    arrays, tolerance = case.arrays("session_single.npz"), Tolerance.of(case.document)
    segmenter = segmenter_of(case, FAITHFUL_SINGLE)
    session = SingleObjectSession(segmenter, segmenter.prepare(arrays["image_rgb"]))
    steps = 0
    for index, probability in enumerate(single_steps(session, case)):
        positive, negative = session.strokes
        assert np.array_equal(positive > 0, arrays["p_srb"][index] > 0), index
        assert np.array_equal(negative > 0, arrays["n_srb"][index] > 0), index
        assert_equal_greys(probability, arrays["mask_u8"][index], tolerance)
        steps += 1
    assert steps == len(arrays["mask_u8"])


def test_the_first_stroke_as_a_prompt(case: Case) -> None:
    """The segmenter answers as the session does: with the doubled log odds of the original."""
    arrays = case.arrays("session_single.npz")
    segmenter = segmenter_of(case, FAITHFUL_SINGLE)
    sign, points = case.document["strokes_single"][0]
    prompt = Prompt(scribbles=(Scribble(tuple(scaled(case, points)), bool(sign)),))
    answer = segmenter.segment(segmenter.prepare(arrays["image_rgb"]), prompt)
    assert_equal_greys(answer.probability, arrays["mask_u8"][0], Tolerance.of(case.document))


def agreement(labels: npt.NDArray[Any], recorded: npt.NDArray[Any]) -> float:
    return float((labels == recorded).mean())


def recorded_strokes(case: Case) -> list[list[tuple[int, list[tuple[float, float]]]]]:
    return [
        [(number, scaled(case, points)) for number, points in strokes]
        for strokes in case.document["strokes_multi"]
    ]


def test_work_on_several_objects(case: Case) -> None:
    arrays, tolerance = case.arrays("session_multi.npz"), Tolerance.of(case.document)
    unaggregated = arrays["unaggregated_prob_stride2"]
    segmenter = segmenter_of(case, FAITHFUL)
    prepared = segmenter.prepare(arrays["image"])
    assert list(prepared.border) == arrays["pad_array"].tolist()
    session = MultiObjectSession(segmenter, prepared, unaggregated.shape[1])
    for index, strokes in enumerate(recorded_strokes(case)):
        if index == 2:
            session.commit()
        for number, points in strokes:
            session.draw(number, points)
        assert np.array_equal(session.drawn, arrays["scribble_maps"][index]), index
        independent = session.independent()[:, ::2, ::2].numpy()
        assert np.abs(independent - unaggregated[index]).max() <= tolerance.probability
        assert agreement(session.labels(), arrays["labels"][index]) >= 1 - tolerance.labels


def test_several_objects_as_prompts(case: Case) -> None:
    """Strokes that do not cross give the recorded labels through `segment_many` as well."""
    arrays, tolerance = case.arrays("session_multi.npz"), Tolerance.of(case.document)
    segmenter = segmenter_of(case, FAITHFUL)
    prepared = segmenter.prepare(arrays["image"])
    first, second, third = recorded_strokes(case)
    objects = range(1, arrays["unaggregated_prob_stride2"].shape[1] + 1)

    def prompts(
        strokes: list[tuple[int, list[tuple[float, float]]]], labels: npt.NDArray[np.uint8] | None
    ) -> list[Prompt]:
        return [
            Prompt(
                scribbles=tuple(
                    Scribble(tuple(points), number == one)
                    for number, points in strokes
                    if number in (0, one)
                ),
                mask=None if labels is None else labels == one,
            )
            for one in objects
        ]

    def answered(told: list[Prompt]) -> npt.NDArray[np.uint8]:
        labels = np.zeros(prepared.size, np.uint8)
        for one, result in zip(objects, segmenter.segment_many(prepared, told), strict=True):
            assert not (labels[result.mask] > 0).any()
            labels[result.mask] = one
        return labels

    together = answered(prompts([*first, *second], None))
    assert agreement(together, arrays["labels"][1]) >= 1 - tolerance.labels
    corrected = answered(prompts(third, arrays["labels"][1]))
    assert agreement(corrected, arrays["labels"][2]) >= 1 - tolerance.labels
