from __future__ import annotations

import itertools
import random
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import models
from backend.errors import InvalidRequest, TrainingFailed
from backend.training.chance import seed_all
from backend.training.click_rounds import Rounds, next_points, simulated
from backend.training.interactive import InteractiveSettings, InteractiveTask, scaled, viewed
from backend.training.interactive_data import InteractiveBatch, Samples, batches, joined
from backend.training.recipes import focalclick, ritm
from backend.training.task import Share
from backend.training.validation import Validation
from models.ritm_network import Logits
from tests.backend.training.two_pictures import Pictures, small_samples, two_pictures

CPU = torch.device("cpu")
HEIGHT, WIDTH = 64, 96


def settings(**changes: Any) -> InteractiveSettings:
    """RITM's, at a small size."""
    sampling = ritm.COCO_LVIS.sampling
    small = small_samples(sampling.settings, HEIGHT, WIDTH)
    return replace(ritm.COCO_LVIS, sampling=replace(sampling, settings=small), **changes)


@pytest.fixture(scope="module")
def source() -> Pictures:
    return two_pictures()


@pytest.fixture(scope="module")
def task(source: Pictures) -> InteractiveTask:
    torch.manual_seed(0)
    network = models.create("ritm-hrnet18s")
    made = InteractiveTask(
        network, source, settings(), seed=3, device=CPU, architecture="ritm-hrnet18s"
    )
    made.network.train()
    return made


@pytest.fixture
def batch(source: Pictures) -> InteractiveBatch:
    samples = Samples(source, settings().sampling, 3)
    return joined([samples[0], samples[1]])


class Oracle(nn.Module):
    """Answers with a part of the truth, and remembers what it was shown."""

    def __init__(self, labels: Tensor) -> None:
        super().__init__()
        self.labels = labels
        self.shown: list[tuple[Tensor, Tensor]] = []
        self.modes: list[tuple[bool, bool]] = []

    def forward(self, images: Tensor, points: Tensor, previous: Tensor) -> Logits:
        self.shown.append((points, previous))
        self.modes.append((self.training, torch.is_grad_enabled()))
        half = self.labels.clone()
        half[..., : half.shape[-1] // 2] = 0
        return Logits(half.float() * 8 - 4, None)


def test_parameters_learn_at_the_rates_of_their_places(task: InteractiveTask) -> None:
    groups = {group.rate: list(group.parameters) for group in task.groups()}
    assert sorted(groups) == [0.1, 1.0]
    rates = {id(parameter): rate for rate, found in groups.items() for parameter in found}
    named = dict(task.network.named_parameters())
    assert len(rates) == len(named) == sum(map(len, groups.values()))
    for name, rate in {
        "maps_transform.0.weight": 1,
        "feature_extractor.conv1.weight": 0.1,
        "feature_extractor.cls_head.weight": 0.1,
        "feature_extractor.aux_head.0.weight": 0.1,
        "feature_extractor.conv3x3_ocr.0.weight": 1,
        "feature_extractor.ocr_distri_head.conv_bn_dropout.0.weight": 1,
    }.items():
        assert rates[id(named[name])] == rate, name


@pytest.mark.parametrize("precision", [torch.float32, torch.bfloat16])
def test_losses_are_finite_and_reach_every_parameter_after_rounds_too(
    task: InteractiveTask, batch: InteractiveBatch, precision: torch.dtype
) -> None:
    changed = replace(task.settings, rounds=Rounds(least=1, most=1))
    own = InteractiveTask(task.network, Pictures([]), changed, seed=0, device=CPU)
    task.network.zero_grad()
    seed_all(0, 0, 0)
    with torch.autocast("cpu", precision, enabled=precision is not torch.float32):
        losses = own.losses(task.network, batch, 0)
    assert list(losses) == ["focal", "aux-cross-entropy"]
    assert all(loss.dim() == 0 and loss.isfinite() for loss in losses.values())
    torch.stack(list(losses.values())).sum().backward()
    untouched = {
        name
        for name, parameter in task.network.named_parameters()
        if parameter.grad is None or not parameter.grad.isfinite().all()
    }
    # With one class the attention of OCR is always 1, whatever these say.
    silent = ("f_pixel.", "f_object.")
    assert {name for name in untouched if not any(part in name for part in silent)} == set()


def test_rounds_answer_in_evaluation_mode_and_change_no_statistics(
    task: InteractiveTask, batch: InteractiveBatch
) -> None:
    before = {name: value.clone() for name, value in task.network.state_dict().items()}
    seed_all(0, 0, 0)
    points, previous = simulated(
        task.network, scaled(batch.images), batch.labels, batch.points, Rounds(least=2, most=2)
    )
    assert task.network.training
    assert all(module.training for module in task.network.modules())
    for name, value in task.network.state_dict().items():
        assert torch.equal(value, before[name]), name
    assert not previous.requires_grad
    assert previous.shape == batch.labels.shape
    assert (points[..., 2] == 2).any()


def test_every_round_sees_the_answer_and_the_click_before(batch: InteractiveBatch) -> None:
    oracle = Oracle(batch.labels).train()
    points, previous = simulated(
        oracle, scaled(batch.images), batch.labels, batch.points, Rounds(least=3, most=3)
    )
    assert oracle.modes == [(False, False)] * 3
    assert torch.equal(oracle.shown[0][0], batch.points)
    assert not oracle.shown[0][1].any()
    half = batch.points.shape[1] // 2
    for index, (shown, seen) in enumerate(oracle.shown[1:], start=1):
        assert torch.equal(seen, previous)
        added = shown[:, half - index]
        # Only the left half of the object is missing, so every click is a positive one there.
        assert (added[:, 2] == index).all()
        assert (added[:, 1] < WIDTH // 2).all()
    assert (points[:, half - 3, 2] == 3).all()
    places = points[:, half - 3 : half, :2].long()
    for sample, clicks in enumerate(places):
        assert (batch.labels[sample, 0, clicks[:, 0], clicks[:, 1]] == 1).all()


def test_the_pass_that_is_learned_from_sees_all_of_it(batch: InteractiveBatch) -> None:
    oracle = Oracle(batch.labels)
    once = settings(losses={"focal": 1.0}, rounds=Rounds(least=1, most=1))
    own = InteractiveTask(oracle, Pictures([]), once, seed=0, device=CPU)
    wrapper = Oracle(batch.labels)
    losses = own.losses(wrapper, batch, 0)
    assert len(oracle.shown) == len(wrapper.shown) == 1
    assert wrapper.modes == [(True, True)]
    points, previous = wrapper.shown[0]
    assert previous.any()
    assert (points != batch.points).any()
    assert float(losses["focal"]) > 0


def test_how_many_rounds() -> None:
    points = torch.full((2, 8, 3), -1.0)
    points[:, :2] = 5.0
    labels = torch.ones(2, 1, 9, 9, dtype=torch.int8)
    images = torch.zeros(2, 3, 9, 9)
    later = Rounds(least=1, most=3, fewer_at_first=1)

    def counts(points: Tensor) -> set[int]:
        found = set()
        for seed in range(40):
            random.seed(seed)
            oracle = Oracle(labels)
            simulated(oracle, images, labels, points, later)
            found.add(len(oracle.shown))
        return found

    assert counts(points) == {1, 2, 3}
    points[1, 1] = -1.0
    assert counts(points) == {0, 1, 2}


def test_now_and_then_everything_begins_afresh() -> None:
    points = torch.full((1, 8, 3), 2.0)
    labels = torch.zeros(1, 1, 9, 9, dtype=torch.int8)
    labels[:, :, 2:7, 2:7] = 1
    fresh = 0
    for seed in range(60):
        random.seed(seed)
        oracle = Oracle(labels)
        rounds = Rounds(least=1, most=1, afresh=0.3, slots="first-free")
        found, previous = simulated(oracle, torch.zeros(1, 3, 9, 9), labels, points, rounds)
        if not oracle.shown:
            fresh += 1
            assert not previous.any()
            assert found[0, 0, :2].tolist() in [
                [row, col] for row in (3, 4, 5) for col in (3, 4, 5)
            ]
            assert float(found[0, 0, 2]) == 0
            assert (found[0, 1:] == -1).all()
    assert 8 <= fresh <= 28


def test_clicks_of_the_rounds_depend_on_the_seeds_alone(batch: InteractiveBatch) -> None:
    previous = torch.zeros(batch.labels.shape)
    found = []
    for _ in range(2):
        seed_all(5, 1, 0)
        found.append(next_points(batch.points, previous, batch.labels, 1, "from-end"))
    assert torch.equal(*found)


def same(one: InteractiveBatch, other: InteractiveBatch) -> bool:
    return (
        torch.equal(one.images, other.images)
        and torch.equal(one.labels, other.labels)
        and torch.equal(one.points, other.points)
    )


def test_batches_are_functions_of_their_number(task: InteractiveTask, source: Pictures) -> None:
    first = list(itertools.islice(task.batches(0, Share(size=2), CPU), 4))
    later = list(itertools.islice(task.batches(2, Share(size=2), CPU), 2))
    assert same(first[2], later[0])
    assert same(first[3], later[1])
    assert not same(first[0], first[1])
    assert (first[0].images.shape, first[0].images.dtype) == ((2, 3, HEIGHT, WIDTH), torch.uint8)
    assert (first[0].labels.shape, first[0].labels.dtype) == ((2, 1, HEIGHT, WIDTH), torch.int8)
    assert (first[0].points.shape, first[0].points.dtype) == ((2, 48, 3), torch.float32)
    shares = [next(task.batches(1, Share(rank, 2, 2), CPU)) for rank in range(2)]
    whole = next(task.batches(1, Share(size=4), CPU))
    assert same(joined(shares), whole)


def test_a_batch_of_one_is_refused_where_it_cannot_be_normalised(
    task: InteractiveTask, source: Pictures
) -> None:
    with pytest.raises(InvalidRequest, match="two samples"):
        next(task.batches(0, Share(size=1), CPU))
    plain = InteractiveTask(nn.Conv2d(3, 1, 1), source, settings(), seed=3, device=CPU)
    assert len(next(plain.batches(0, Share(size=1), CPU)).images) == 1


def test_worker_processes_make_the_same_batches(source: Pictures) -> None:
    samples = Samples(source, settings().sampling, 3)
    state = torch.get_rng_state(), np.random.get_state()[1].tolist(), random.getstate()
    alone, aside = (
        list(itertools.islice(batches(samples, 5, Share(size=1), workers, joined), 3))
        for workers in (0, 1)
    )
    assert all(map(same, alone, aside))
    assert torch.equal(torch.get_rng_state(), state[0])
    assert np.random.get_state()[1].tolist() == state[1]
    assert random.getstate() == state[2]


def test_samples_that_do_not_fit_are_drawn_again(source: Pictures) -> None:
    sampling = settings().sampling
    areas = [int((Samples(source, sampling, 0)[n].labels == 1).sum()) for n in range(12)]
    low, high = min(areas), max(areas)
    assert low < high
    above = replace(sampling, least=(low + high) // 2)
    below = replace(sampling, least=0, fullest=(low + high) / 2 / (HEIGHT * WIDTH))
    for number in range(6):
        assert (Samples(source, above, 0)[number].labels == 1).sum() > above.least
        assert (Samples(source, below, 0)[number].labels == 1).sum() < (low + high) / 2
    with pytest.raises(TrainingFailed, match="no sample"):
        Samples(source, replace(sampling, least=HEIGHT * WIDTH), 0)[0]


def test_close_views_show_what_their_regions_hold(source: Pictures) -> None:
    sampling = focalclick.SEGFORMER.sampling
    small = small_samples(sampling.settings, 128, 128)
    samples = Samples(source, replace(sampling, settings=small, least=50, fullest=1.0), 1)
    made = joined([samples[n] for n in range(6)])
    assert made.focus is not None
    again = joined([samples[n] for n in range(6)])
    assert again.focus is not None
    assert torch.equal(made.focus.images, again.focus.images)
    view = viewed(made.focus, made.points)
    assert view.image.shape == (6, 3, 128, 128)
    assert 0 <= float(view.image.min()) <= float(view.image.max()) <= 1
    checked = 0
    for sample, points in enumerate(made.points):
        left, top, right, bottom = made.focus.regions[sample].tolist()
        for row, column, _ in points[points[:, 0] >= 0].tolist():
            if top <= row < bottom and left <= column < right:
                place = points[:, 0].eq(row) & points[:, 1].eq(column)
                seen = view.points[sample][place][0, :2]
                assert 0 <= float(seen.min()) <= float(seen.max()) < 128
                own = made.labels[sample, 0, int(row), int(column)]
                near = made.focus.labels[sample, 0, int(seen[0]), int(seen[1])]
                checked += int(own == near)
                checked -= int(own != near)
    # Close to edges, resampling may put a click on the other side.
    assert checked > 20


def test_pictures_show_clicks_truth_and_answers(
    task: InteractiveTask, batch: InteractiveBatch
) -> None:
    seed_all(0, 0, 0)
    task.network.eval()
    with torch.no_grad():
        shown = task.pictures(batch)
    task.network.train()
    assert (shown.shape, shown.dtype) == ((2, HEIGHT, 3 * WIDTH, 3), np.uint8)
    clicks = (shown[:, :, :WIDTH] == (0, 255, 0)).all(axis=3)
    assert clicks.reshape(2, -1).any(axis=1).all()
    assert not (shown[:, :, WIDTH:] == (0, 255, 0)).all(axis=3).any()


def test_unknown_losses_are_refused() -> None:
    with pytest.raises(ValueError, match="no losses \\['dice'\\]"):
        InteractiveTask(
            nn.Identity(), Pictures([]), settings(losses={"dice": 1.0}), seed=0, device=CPU
        )


def test_measuring_clicks_on_validation_sets(
    source: Pictures, task: InteractiveTask, tmp_path: Any
) -> None:
    import cv2

    picture = source.load(0)
    for folder in ("images", "masks"):
        (tmp_path / "set" / folder).mkdir(parents=True)
    cv2.imwrite(str(tmp_path / "set" / "images" / "a.png"), picture.image)
    cv2.imwrite(str(tmp_path / "set" / "masks" / "a.png"), picture.mask(0).astype(np.uint8) * 255)
    validation = Validation((tmp_path / "set",), objects=1, clicks=3)
    own = InteractiveTask(
        task.network,
        source,
        settings(),
        seed=0,
        device=CPU,
        architecture="ritm-hrnet18s",
        validation=validation,
    )
    found = own.measure(task.network)
    assert found["set/noc@90"] == 3
    assert 0 <= found["set/iou_after_1"] <= 1
    assert {"train_iou", "set/noc@80", "set/noc@85", "set/iou_after_3"} <= found.keys()
    assert own.describe() == {"pictures": 2, "start": "fresh weights"}
