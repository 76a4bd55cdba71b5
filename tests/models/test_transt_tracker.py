"""TransT's tracker: pure, the same from any process, and strict about what it is given."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt
import pytest
import torch
from safetensors.torch import save_file

import models
from models import checkpoints
from models.tracker import StateRefused, Step, Tracked, TrackState, restored, stored
from models.transt import TransTNetwork, TransTOptions, TransTTracker
from models.transt_tracker import CACHE_BYTES, hann_window, kept_inside

VERSION = "transt@random:000000000000"
BOX = (50.0, 40.0, 82.0, 70.0)
OTHER = (90.0, 20.0, 119.0, 61.0)


def lively(layers: int = 2) -> TransTNetwork:
    """A network of random weights whose answers depend on what it is shown."""
    torch.manual_seed(0)
    network = TransTNetwork(layers).eval()
    with torch.no_grad():
        network.class_embed.layers[-1].weight *= 40
        network.bbox_embed.layers[-1].weight *= 8
    return network


NETWORK = lively()


def frame(index: int) -> npt.NDArray[np.uint8]:
    """A textured disk that moves over a textured ground."""
    random = np.random.default_rng(1)
    ground = cv2.GaussianBlur(random.integers(0, 256, (120, 160, 3), np.uint8), (0, 0), 3)
    cv2.circle(ground, (66 + 3 * index, 55 + index), 15, (220, 60, 40), -1)
    cv2.circle(ground, (100, 40), 12, (30, 90, 200), -1)
    return ground


def tracker(cache_bytes: int = CACHE_BYTES, **options: Any) -> TransTTracker:
    return TransTTracker(NETWORK, VERSION, "cpu", TransTOptions(**options), cache_bytes)


def text(found: Tracked) -> str:
    return json.dumps([found.box, found.score, stored(found.state)])


def test_the_same_state_and_frame_give_the_same_answer_remembered_or_not() -> None:
    remembering, forgetful = tracker(), tracker(cache_bytes=0)
    states = [remembering.start(frame(0), box) for box in (BOX, OTHER)]
    first = [text(remembering.track(frame(1), state)) for state in states]
    remembering.track(frame(5), states[0])
    assert [text(remembering.track(frame(1), state)) for state in states] == first
    assert [text(forgetful.track(frame(1), state)) for state in (*states, *states)] == first * 2
    assert [text(tracker().track(frame(1), restored(stored(state)))) for state in states] == first
    assert first[0] != first[1]


def test_a_track_goes_on_from_its_state_and_answers_follow_the_frame() -> None:
    own = tracker()
    found = own.track(frame(1), own.start(frame(0), BOX))
    later = own.track(frame(2), found.state)
    assert later.box != found.box
    assert own.track(frame(0), found.state).box != later.box
    template = found.state.pictures["template"]
    assert np.array_equal(later.state.pictures["template"], template)
    assert 0 <= found.score <= 1


def test_the_state_is_small_json_and_only_numbers_beside_the_template() -> None:
    state = tracker().start(frame(0), BOX)
    document = json.loads(stored(state))
    assert len(stored(state)) < 70_000
    assert document["version"] == VERSION
    assert document["values"]["centre"] == [66.0, 55.0]
    assert document["values"]["size"] == [32.0, 30.0]
    assert document["values"]["colour"] == pytest.approx(frame(0).mean(axis=(0, 1)).tolist())


def test_many_objects_on_many_frames_in_one_batch_are_as_one_by_one() -> None:
    own = tracker(fast_arithmetic=False, objects_per_pass=4)
    steps = [
        Step(frame(index % 3 + 1), own.start(frame(0), box))
        for index, box in enumerate((BOX, OTHER, (3.0, 2.0, 30.0, 40.0), BOX, OTHER))
    ]
    passes = []
    own._network.class_embed.register_forward_hook(lambda _, seen, __: passes.append(len(seen[0])))
    together = own.track_batch(steps)
    assert passes == [4, 1]
    alone = [own.track(step.image, step.state) for step in steps]
    assert len(together) == 5
    for one, other in zip(together, alone, strict=True):
        assert one.box == pytest.approx(other.box, abs=1e-2)
        assert one.score == pytest.approx(other.score, abs=1e-4)
    assert own.track_batch([]) == []
    many = own.track_many(frame(1), [step.state for step in steps[:2]])
    assert many[0].box == pytest.approx(alone[0].box, abs=1e-2)


def test_company_changes_nothing_on_a_cpu() -> None:
    own = tracker()
    states = [own.start(frame(0), box) for box in (BOX, OTHER)]
    together = own.track_many(frame(1), states)
    assert [text(found) for found in together] == [
        text(own.track(frame(1), state)) for state in states
    ]
    assert "objects_per_pass=1" in own.settings
    assert TransTOptions().resolved("cuda").objects_per_pass == 32
    assert TransTOptions(objects_per_pass=3).resolved("cpu").objects_per_pass == 3


def test_fast_arithmetic_changes_next_to_nothing() -> None:
    plain, fast = tracker(fast_arithmetic=False), tracker()
    state = plain.start(frame(0), BOX)
    one, other = plain.track(frame(1), state), fast.track(frame(1), state)
    assert one.box == pytest.approx(other.box, abs=0.05)


def test_channels_can_be_fed_as_cvats_function_does() -> None:
    rgb, bgr = tracker(), tracker(channels="bgr")
    reversed_frames = [np.ascontiguousarray(frame(index)[..., ::-1]) for index in (0, 1)]
    state = bgr.start(frame(0), BOX)
    swapped = rgb.start(reversed_frames[0], BOX)
    fed = bgr.track(frame(1), state)
    assert fed.box == rgb.track(reversed_frames[1], swapped).box
    assert fed.box != rgb.track(frame(1), rgb.start(frame(0), BOX)).box
    assert np.array_equal(state.pictures["template"], swapped.pictures["template"][..., ::-1])


def test_features_are_remembered_under_a_bound() -> None:
    size = 256 * 16 * 16 * 4
    own = tracker(cache_bytes=2 * size)
    states = [own.start(frame(0), (x, 10.0, x + 30, 40.0)) for x in (5.0, 20.0, 50.0)]
    for state in (*states, states[2]):
        own.track(frame(1), state)
    assert list(own._features) == [state.digest("template") for state in states[1:]]
    own.track(frame(1), states[1])
    own.track(frame(1), states[0])
    assert list(own._features) == [states[index].digest("template") for index in (1, 0)]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"version": "transt@n4:ffffffffffff"}, "was begun with transt@n4:ffffffffffff"),
        ({"pictures": {}}, "no template"),
        ({"pictures": {"template": np.zeros((128, 64, 3), np.uint8)}}, "no template"),
        ({"values": {}}, "no 2 numbers 'centre'"),
        ({"values": {"centre": [1, 2], "size": [0, 4], "colour": [1, 2, 3]}}, "impossible"),
        ({"values": {"centre": [1, 2], "size": [3, 4], "colour": [1, 2, 256]}}, "impossible"),
    ],
)
def test_states_that_are_not_its_own_are_refused(change: dict[str, Any], said: str) -> None:
    own = tracker()
    state: TrackState = replace(own.start(frame(0), BOX), **change)
    with pytest.raises(StateRefused, match=said):
        own.track(frame(1), state)


def test_boxes_and_frames_that_are_none_are_refused() -> None:
    own = tracker()
    with pytest.raises(ValueError, match="no area"):
        own.start(frame(0), (5.0, 5.0, 5.0, 9.0))
    state = own.start(frame(0), BOX)
    with pytest.raises(ValueError, match="a frame is uint8"):
        own.track(frame(1)[..., 0], state)


@pytest.mark.parametrize("size", [(1, 1), (3, 400), (2000, 8)])
def test_frames_of_any_size(size: tuple[int, int]) -> None:
    own = tracker()
    image = np.full((*size, 3), 99, np.uint8)
    found = own.track(image, own.start(image, (0.0, 0.0, 1.0, 1.0)))
    assert np.isfinite(found.box).all()
    left, top, right, bottom = found.box
    assert right - left >= own.options.least_side - 1e-6
    assert bottom - top >= own.options.least_side - 1e-6


def test_centres_stay_in_the_frame_and_boxes_need_not() -> None:
    assert kept_inside((-3.0, 500.0), (5.0, 400.0), (240, 320), 10) == ((0, 240), (10, 240))
    inside = ((50.2, 60.7), (20.1, 30.9))
    assert kept_inside(*inside, (240, 320), 10) == inside
    assert kept_inside((float("nan"), 1.0), (5.0, float("inf")), (9, 9), 10) == ((0, 1), (10, 10))


def test_the_window_is_highest_in_the_middle() -> None:
    grid = hann_window(32).view(32, 32)
    assert torch.equal(grid, grid.T)
    assert grid[0].eq(0).all()
    assert grid.argmax() in (15 * 32 + 15, 16 * 32 + 16)
    assert grid.dtype == torch.float64


@pytest.mark.parametrize("layers", [4, 2])
def test_files_of_both_networks_are_tracked_with(tmp_path: Path, layers: int) -> None:
    network = lively(layers)
    author, own = tmp_path / "net.pth", tmp_path / "own.safetensors"
    torch.save({"net": network.state_dict()}, author)
    checkpoints.save(checkpoints.load(author), own)
    expected = TransTTracker(network, VERSION)
    state = expected.start(frame(0), BOX)
    wanted = expected.track(frame(1), state).box
    for path in (author, own):
        loaded = models.tracker("transt", weights=path)
        assert loaded.version.startswith("transt@")
        assert loaded.track(frame(1), replace(state, version=loaded.version)).box == wanted


def test_another_process_goes_on_with_the_track(tmp_path: Path) -> None:
    """Nothing but weights, state and frame is needed, and the answer is the same to the bit."""
    weights, image = tmp_path / "weights.safetensors", tmp_path / "frame.npy"
    checkpoint = checkpoints.Checkpoint("transt", NETWORK.state_dict(), {"layers": 2}, "own")
    checkpoints.save(checkpoint, weights)
    np.save(image, frame(2))
    own = models.tracker("transt", weights=weights)
    found = own.track(frame(1), own.start(frame(0), BOX))
    code = (
        "import sys, numpy, torch, models; from models.tracker import restored, stored;"
        f"torch.set_num_threads({torch.get_num_threads()});"
        "tracker = models.tracker('transt', weights=sys.argv[1]);"
        "found = tracker.track(numpy.load(sys.argv[2]), restored(sys.stdin.read()));"
        "print(stored(found.state), end='')"
    )
    ran = subprocess.run(
        [sys.executable, "-c", code, str(weights), str(image)],
        input=stored(found.state),
        capture_output=True,
        text=True,
        check=True,
    )
    assert ran.stdout == stored(own.track(frame(2), found.state).state)


def test_options_that_mean_nothing_are_refused() -> None:
    for wrong in (
        {"window": 1.5},
        {"search_context": 0.5},
        {"least_side": 0},
        {"channels": "gbr"},
        {"objects_per_pass": 0},
    ):
        with pytest.raises(ValueError, match="the TransT option"):
            TransTOptions(**wrong)  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        models.tracker("transt", flip=True)
    texts = {
        TransTOptions().text,
        TransTOptions(window=0.3).text,
        TransTOptions(channels="bgr").text,
    }
    assert len(texts) == 3


def test_foreign_files_are_refused(tmp_path: Path) -> None:
    save_file({"a": torch.zeros(1)}, tmp_path / "net.safetensors")
    with pytest.raises(checkpoints.CheckpointError):
        models.tracker("transt", weights=tmp_path / "net.safetensors")
