"""Every name of the zoo: its tensors, its gradients, its answers.

The smallest network of every system is tested always, the others by `make test-full`.
"""

from __future__ import annotations

from pathlib import Path

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch

import models
from models import Box, Click, Prompt, Scribble, Segmenter, State, replay, zoo
from models.segmenter import Prepared
from tests.models import registry

ROOT = Path(__file__).resolve().parents[2]
SMALLEST = registry.smallest()
EVERY = [
    pytest.param(name, marks=() if name in SMALLEST else pytest.mark.slow)
    for name in zoo.SEGMENTERS
]
INSIDE, BESIDE = Click(300.5, 240.5), Click(20.0, 30.0, positive=False)
BOX: Box = (200.0, 120.0, 420.0, 360.0)


@pytest.fixture(scope="module")
def photograph() -> npt.NDArray[np.uint8]:
    image = cv2.imread(str(ROOT / "docs" / "example.jpg"))
    assert image is not None
    return np.ascontiguousarray(image[..., ::-1])


@pytest.fixture(scope="module")
def segmenter(request: pytest.FixtureRequest) -> Segmenter:
    """A segmenter of random weights that looks at little."""
    torch.manual_seed(0)
    options = registry.SMALL.get(zoo.architecture(request.param).system, {})
    return models.segmenter(request.param, **options)


@pytest.fixture(scope="module")
def prepared(segmenter: Segmenter, photograph: npt.NDArray[np.uint8]) -> Prepared:
    return segmenter.prepare(photograph)


@pytest.mark.parametrize("name", sorted(zoo.ARCHITECTURES.keys() - {"maskloop"}))
def test_the_tensors_are_the_authors(name: str) -> None:
    entry = zoo.architecture(name)
    with torch.device("meta"):
        network = entry.network()
    assert registry.of_network(network) == registry.DIGESTS[name]
    assert sum(tensor.numel() for tensor in network.state_dict().values()) == entry.parameters


def test_the_digests_are_those_of_the_manifests(shared: Path) -> None:
    found = {
        name: registry.of_manifest(shared / "goldens" / path)
        for name, path in registry.GOLDENS.items()
    }
    assert found == registry.DIGESTS


@pytest.mark.parametrize("name", EVERY)
def test_gradients_reach_the_whole_network(name: str) -> None:
    torch.manual_seed(0)
    network, logits = registry.forward(zoo.architecture(name))
    assert logits.shape[0] == 2
    assert torch.isfinite(logits).all()
    logits.square().mean().backward()
    gradients = [p.grad for p in network.parameters() if p.grad is not None]
    assert all(torch.isfinite(gradient).all() for gradient in gradients)
    moved = sum(bool(gradient.any()) for gradient in gradients)
    assert moved > 0.5 * len(list(network.parameters()))


every_segmenter = pytest.mark.parametrize("segmenter", EVERY, indirect=True)


@every_segmenter
def test_clicks_are_answered_and_the_state_can_be_stored(
    segmenter: Segmenter, prepared: Prepared, photograph: npt.NDArray[np.uint8]
) -> None:
    prompt = Prompt((INSIDE, BESIDE, Click(320.0, 200.0)))
    answers = replay(segmenter, prepared, prompt)
    assert len(answers) == 3
    for answer in answers:
        assert answer.probability.shape == answer.mask.shape == photograph.shape[:2]
        assert answer.probability.dtype == np.float32
        assert np.isfinite(answer.probability).all()
        assert 0 <= answer.probability.min() <= answer.probability.max() <= 1
    before = answers[1].state
    assert before is not None
    restored = State.from_bytes(before.to_bytes())
    assert restored is not None
    again = segmenter.segment(prepared, prompt, restored)
    assert np.array_equal(again.probability, answers[2].probability)
    assert before.belongs_to(segmenter.version, prepared.picture)


@every_segmenter
@pytest.mark.parametrize("kind", ["click", "box", "scribbles", "mask", "box and click"])
def test_every_kind_of_prompt_is_answered(
    segmenter: Segmenter, prepared: Prepared, kind: str
) -> None:
    mask = np.zeros(prepared.size, np.bool_)
    mask[120:360, 200:420] = True
    prompt = {
        "click": Prompt((INSIDE,)),
        "box": Prompt(box=BOX),
        "scribbles": Prompt(scribbles=(Scribble(((220.0, 200.0), (400.0, 260.0))),)),
        "mask": Prompt((INSIDE,), mask=mask),
        "box and click": Prompt((BESIDE,), box=BOX),
    }[kind]
    answer = replay(segmenter, prepared, prompt)[-1]
    assert answer.probability.shape == prepared.size
    assert np.isfinite(answer.probability).all()
    assert answer.state is not None
    assert State.from_bytes(answer.state.to_bytes()) is not None


ODD = {
    "nothing": Prompt(),
    "only beside": Prompt((BESIDE,)),
    "a stroke without points": Prompt(scribbles=(Scribble((), positive=True),)),
    "a box without area": Prompt(box=(50.0, 50.0, 50.0, 50.0)),
    "a box outside": Prompt(box=(-90.0, -90.0, -10.0, -10.0)),
    "a click outside": Prompt((Click(-5.0, -7.0),)),
    "clicks far outside": Prompt((Click(5000.0, 200.0), Click(300.0, 9000.0, positive=False))),
    "a click inside and one outside": Prompt((INSIDE, Click(5000.0, 200.0))),
    "a box around everything": Prompt(box=(-100.0, -100.0, 9000.0, 9000.0)),
}


@every_segmenter
@pytest.mark.parametrize("prompt", ODD.values(), ids=ODD)
def test_prompts_that_say_nothing_or_lie_beside_the_picture_do_no_harm(
    segmenter: Segmenter, prepared: Prepared, prompt: Prompt
) -> None:
    for answer in replay(segmenter, prepared, prompt):
        assert answer.probability.shape == prepared.size
        assert np.isfinite(answer.probability).all()
    if not prompt.points_at_something:
        assert not any(answer.mask.any() for answer in replay(segmenter, prepared, prompt))


@every_segmenter
def test_a_state_of_another_picture_is_a_miss(segmenter: Segmenter, prepared: Prepared) -> None:
    other = segmenter.prepare(np.full((60, 80, 3), 90, np.uint8))
    foreign = segmenter.segment(other, Prompt((Click(40.0, 30.0),))).state
    fresh = segmenter.segment(prepared, Prompt((INSIDE,)))
    missed = segmenter.segment(prepared, Prompt((INSIDE,)), foreign)
    assert np.array_equal(missed.probability, fresh.probability)
