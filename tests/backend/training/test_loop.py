"""The loop in earnest: a small network, real files, real kills."""

from __future__ import annotations

import io
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from backend.errors import InvalidRequest, InvalidSettings, TrainingFailed
from backend.training import checkpoint, curves, lock, summary
from backend.training.export import HALF, WEIGHTS
from backend.training.loop import Outcome, train
from backend.training.recipe import Inputs, Recipe
from backend.training.settings import RunSettings
from models.checkpoints import Checkpoint, save
from tests.backend.training.toy import NORMED, PLAIN, RECIPES, ToyBatch, ToyTask

DATA = [Path(__file__)]
QUICK = RunSettings(device="cpu", log_steps=1)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def trained(recipe: Recipe, out: Path, **options: Any) -> Outcome:
    weights = options.pop("weights", None)
    return train(recipe, DATA, out, replace(QUICK, **options), weights=weights)


def spoken(recipe: Recipe, out: Path, **options: Any) -> str:
    console = Console(file=io.StringIO(), width=400)
    train(recipe, DATA, out, replace(QUICK, **options), console=console)
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def run_json(out: Path) -> dict[str, Any]:
    document: dict[str, Any] = json.loads((out / summary.FILE).read_text())
    return document


def same_state(one: Path, two: Path) -> bool:
    """Whether two trainings ended bit for bit alike: weights, average, optimiser, scaler."""
    first, second = (checkpoint.read(checkpoint.found(out)[0]) for out in (one, two))
    assert first["step"] == second["step"]
    names = ("network", "average", "optimiser", "scaler")
    return all(_equal(first[name], second[name]) for name in names)


def _equal(one: Any, two: Any) -> bool:
    if isinstance(one, torch.Tensor):
        return torch.equal(one, two)
    if isinstance(one, dict):
        return one.keys() == two.keys() and all(_equal(one[key], two[key]) for key in one)
    if isinstance(one, list | tuple):
        return len(one) == len(two) and all(map(_equal, one, two))
    return bool(one == two)


class Child:
    """A training in a process of its own."""

    def __init__(self, recipe: str, out: Path, steps: int, *options: str) -> None:
        command = [sys.executable, "-m", "tests.backend.training.toy", recipe, str(out), str(steps)]
        root = Path(__file__).resolve().parents[3]
        self.process = subprocess.Popen(
            [*command, *options], stderr=subprocess.PIPE, text=True, cwd=root
        )

    def wait_for_step(self, step: int) -> None:
        assert self.process.stderr is not None
        lines = []
        for line in self.process.stderr:
            lines.append(line)
            if line.startswith(f"step {step}:"):
                return
        raise AssertionError(f"step {step} never came: {''.join(lines)}")

    def end(self, number: signal.Signals) -> str:
        """Send the signal; what was said until the end."""
        self.process.send_signal(number)
        return self.process.communicate(timeout=60)[1]


STEPS = 150
"""Many enough that a signal sent at step 20 comes before the end."""


@pytest.mark.parametrize("name", ["normed", "scaled"])
def test_a_killed_training_goes_on_as_if_it_had_not_been(name: str, tmp_path: Path) -> None:
    recipe = replace(RECIPES[name], steps=STEPS)
    child = Child(name, tmp_path / "killed", STEPS, "save_minutes", "0.0")
    child.wait_for_step(20)
    child.end(signal.SIGKILL)
    assert child.process.returncode == -signal.SIGKILL
    kept = checkpoint.read(checkpoint.found(tmp_path / "killed")[0])["step"]
    assert 19 <= kept < STEPS
    resumed = trained(recipe, tmp_path / "killed")
    assert resumed.finished
    trained(recipe, tmp_path / "whole")
    assert same_state(tmp_path / "killed", tmp_path / "whole")
    weights = [load_file(tmp_path / out / WEIGHTS) for out in ("killed", "whole")]
    assert weights[0].keys() == weights[1].keys()
    assert all(torch.equal(weights[0][key], weights[1][key]) for key in weights[0])
    steps = [row["step"] for row in curves.read(tmp_path / "killed")]
    assert steps == list(range(1, STEPS + 1))
    assert run_json(tmp_path / "killed")["resumed"][0]["step"] == kept


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_stops_after_the_step_with_a_checkpoint(
    number: signal.Signals, tmp_path: Path
) -> None:
    child = Child("normed", tmp_path, STEPS)
    child.wait_for_step(5)
    said = child.end(number)
    assert child.process.returncode == 0, said
    assert f"Stopped by {number.name} after step" in said
    assert "The same command goes on from there." in said
    kept = checkpoint.read(checkpoint.found(tmp_path)[0])["step"]
    assert 5 <= kept < STEPS
    document = run_json(tmp_path)
    assert (document["status"], document["step"]) == ("stopped", kept)
    assert (tmp_path / WEIGHTS).is_file()


def test_minutes_stop_and_the_rest_comes_exactly(tmp_path: Path) -> None:
    first = trained(NORMED, tmp_path / "parts", minutes=0.0)
    assert (first.step, first.finished) == (0, False)
    assert "The 0 minutes are over: stopped after step 0 of 12." in first.sentence
    for steps in (3, 7, 12):  # each run ends at its own last step, and the next goes on
        assert (
            trained(
                replace(NORMED, steps=steps, schedule=replace(NORMED.schedule, kind="constant")),
                tmp_path / "parts",
            ).step
            == steps
        )
    trained(replace(NORMED, schedule=replace(NORMED.schedule, kind="constant")), tmp_path / "whole")
    assert same_state(tmp_path / "parts", tmp_path / "whole")


def test_what_a_run_leaves_behind(tmp_path: Path) -> None:
    outcome = trained(NORMED, tmp_path / "Discs 1", half=True, log_steps=5)
    assert outcome.finished
    assert [path.name for path in outcome.weights] == [WEIGHTS, HALF]
    document = run_json(tmp_path / "Discs 1")
    assert document["status"] == "finished"
    assert document["recipe"]["optimiser"]["kind"] == "adamw"
    assert document["task"] == {"pictures": "synthetic", "side": 16}
    assert [row["step"] for row in document["curves"]] == [5, 10, 12]
    assert document["measured"][-1]["step"] == 12
    assert 0 <= document["measured"][-1]["iou"] <= 1
    assert document["device_hours"] > 0
    assert 10 < document["peak_mebibytes"] < 100_000
    assert document["machine"]["torch"] == torch.__version__
    assert document["data"][0]["files"] == 1
    assert [entry["file"] for entry in document["weights"]] == [WEIGHTS, HALF]
    assert document["weights"][0]["sha256"]
    full, half = (load_file(path) for path in outcome.weights)
    assert {tensor.dtype for tensor in full.values()} == {torch.float32, torch.int64}
    assert half["head.weight"].dtype is torch.float16
    assert torch.equal(half["head.weight"], full["head.weight"].half())


def test_the_average_is_what_is_exported(tmp_path: Path) -> None:
    for recipe in (NORMED, replace(NORMED, ema=None)):
        out = tmp_path / str(recipe.ema)
        trained(recipe, out)
        kept = checkpoint.read(checkpoint.found(out)[0])
        exported = load_file(out / WEIGHTS)
        chosen = kept["network"] if recipe.ema is None else kept["average"]
        assert all(torch.equal(exported[name], chosen[name]) for name in chosen)
        assert torch.equal(exported["norm.running_var"], kept["network"]["norm.running_var"])
    assert not torch.equal(
        exported["head.weight"], load_file(tmp_path / "0.9" / WEIGHTS)["head.weight"]
    )


def test_tensorboard_has_scalars_and_pictures(tmp_path: Path) -> None:
    trained(NORMED, tmp_path, picture_steps=6)
    events = EventAccumulator(str(tmp_path / "tensorboard"))
    events.Reload()
    tags = events.Tags()
    assert {"loss", "loss/cross", "loss/size", "rate", "wait", "measured/iou"} <= {*tags["scalars"]}
    assert [event.step for event in events.Scalars("loss")] == list(range(1, 13))
    assert any(tag.startswith("examples") for tag in tags["images"])


def test_the_numbers_are_told(tmp_path: Path) -> None:
    said = spoken(NORMED, tmp_path, log_steps=6)
    assert "step 6: loss " in said
    assert "cross " in said
    assert "samples/s" in said
    assert "waiting for data" in said
    assert "Finished after step 12 of 12." in said
    assert str(tmp_path / WEIGHTS) in said.replace("\n", "")
    assert "Finished before" in spoken(NORMED, tmp_path)


def test_weights_are_where_a_training_begins(tmp_path: Path) -> None:
    made: list[ToyTask] = []

    def task(recipe: Recipe, inputs: Inputs) -> ToyTask:
        made.append(ToyTask(recipe, replace(inputs, weights=None)))
        return made[-1]

    start = tmp_path / "start.safetensors"
    save(Checkpoint("toy", {"stem.bias": torch.zeros(8)}), start)
    recipe = replace(PLAIN, task=task)
    trained(recipe, tmp_path / "out", weights=start, save_minutes=0.0)
    assert run_json(tmp_path / "out")["start_weights"]["file"] == "start.safetensors"
    # Going on needs them no longer, but other ones are refused.
    assert trained(recipe, tmp_path / "out").finished
    other = tmp_path / "other.safetensors"
    save(Checkpoint("toy", {"stem.bias": torch.ones(8)}), other)
    with pytest.raises(InvalidRequest, match=r"began with start\.safetensors, not with other"):
        trained(recipe, tmp_path / "out", weights=other)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    wrong = tmp_path / "wrong.safetensors"
    wrong.write_bytes(b"no weights at all")
    with pytest.raises(InvalidRequest, match=r"--weights: wrong\.safetensors"):
        trained(PLAIN, tmp_path / "out", weights=wrong)
    assert not (tmp_path / "out").exists()


def test_another_recipes_folder_is_refused(tmp_path: Path) -> None:
    trained(PLAIN, tmp_path)
    with pytest.raises(InvalidRequest, match=r"holds a training of toy, not of disc"):
        trained(replace(PLAIN, name="disc"), tmp_path)


def test_other_settings_are_named_and_can_be_accepted(tmp_path: Path) -> None:
    trained(PLAIN, tmp_path)
    changed = replace(PLAIN, seed=5, batch=8, steps=14)
    with pytest.raises(
        InvalidRequest, match=r"batch was 4 and is 8; seed was 0 and is 5.*--accept"
    ):
        trained(changed, tmp_path)
    assert trained(changed, tmp_path, accept_changes=True).step == 14
    assert run_json(tmp_path)["resumed"][-1]["changes"] == [
        "batch was 4 and is 8",
        "seed was 0 and is 5",
        "steps was 12 and is 14",
    ]


def test_other_data_are_told(tmp_path: Path) -> None:
    trained(PLAIN, tmp_path / "out")
    more = tmp_path / "more"
    more.mkdir()
    (more / "picture.png").write_bytes(b"1234")
    outcome = train(replace(PLAIN, steps=13), [more], tmp_path / "out", QUICK)
    assert outcome.finished
    row = run_json(tmp_path / "out")["resumed"][-1]
    assert row["changes"] == [
        "the data are not those of the checkpoint",
        "steps was 12 and is 13",
    ]


def test_two_trainings_do_not_share_a_folder(tmp_path: Path) -> None:
    with lock.held(tmp_path), pytest.raises(InvalidRequest, match="another training is writing"):
        trained(PLAIN, tmp_path)
    assert trained(PLAIN, tmp_path).finished


def test_a_changed_network_is_refused(tmp_path: Path) -> None:
    trained(PLAIN, tmp_path)
    other = replace(PLAIN, task=lambda _, inputs: ToyTask(NORMED, inputs), steps=20)
    with pytest.raises(InvalidRequest, match="does not fit the recipe's network"):
        trained(other, tmp_path)


def test_half_checkpoints_are_smaller_and_nearly_the_same(tmp_path: Path) -> None:
    recipe = replace(PLAIN, steps=6)
    for name, half in (("exact", False), ("half", True)):
        trained(recipe, tmp_path / name, checkpoint_half=half)
        trained(replace(PLAIN, steps=12), tmp_path / name, checkpoint_half=half)
    exact, half_ = (load_file(tmp_path / name / WEIGHTS) for name in ("exact", "half"))
    for name in exact:
        torch.testing.assert_close(exact[name], half_[name], rtol=0.02, atol=2e-3)
    assert not torch.equal(exact["head.weight"], half_["head.weight"])


def test_losses_that_are_no_numbers_end_the_training_and_say_so(tmp_path: Path) -> None:
    recipe = replace(PLAIN, steps=200, settings={"poison": (20, 200)})
    console = Console(file=io.StringIO(), width=400)
    with pytest.raises(TrainingFailed, match=r"50 were skipped.*losses cross.*newest checkpoint"):
        train(
            recipe,
            DATA,
            tmp_path,
            replace(QUICK, log_steps=70, save_minutes=0.0),
            console=console,
        )
    assert run_json(tmp_path)["status"] == "running"


def test_a_network_that_holds_no_numbers_is_not_saved(tmp_path: Path) -> None:
    class Broken(ToyTask):
        def losses(self, network: nn.Module, batch: ToyBatch, step: int) -> Any:
            if step == 3:
                self.network.norm.running_var.fill_(float("inf"))
            return super().losses(network, batch, step)

    with pytest.raises(TrainingFailed, match=r"norm\.running_var\): nothing is saved"):
        trained(replace(NORMED, task=Broken), tmp_path)
    assert checkpoint.found(tmp_path) == []


def test_memory_that_ends_is_told_with_what_helps(tmp_path: Path) -> None:
    class Greedy(ToyTask):
        def losses(self, network: nn.Module, batch: ToyBatch, step: int) -> Any:
            if step == 5:
                torch.empty(1 << 60)
            return super().losses(network, batch, step)

    with pytest.raises(TrainingFailed, match=r"memory of cpu ended in step 5.*--accumulate, now 2"):
        trained(replace(PLAIN, task=Greedy), tmp_path, accumulate=2, save_minutes=0.0)
    # What was there is still there, and goes on.
    assert trained(PLAIN, tmp_path, accumulate=4).finished


def test_what_is_not_there_is_told(tmp_path: Path) -> None:
    def message(error: type[Exception], data: list[Path], out: Path, **options: Any) -> str:
        weights = options.pop("weights", None)
        with pytest.raises(error) as caught:
            train(PLAIN, data, out, replace(QUICK, **options), weights=weights)
        return str(caught.value)

    gone = tmp_path / "gone"
    assert f"no data at {gone}" in message(InvalidRequest, [gone], tmp_path / "out")
    assert "--data" in message(InvalidRequest, [], tmp_path / "out")
    assert "is a file" in message(InvalidRequest, DATA, DATA[0])
    assert "cannot be made" in message(InvalidRequest, DATA, DATA[0] / "inside")
    assert f"weights at {gone}" in message(InvalidRequest, DATA, tmp_path / "out", weights=gone)
    assert "multiple of 3" in message(InvalidRequest, DATA, tmp_path / "out", accumulate=3)
    if not torch.cuda.is_available():
        assert "cuda" in message(InvalidSettings, DATA, tmp_path / "out", device="cuda")


def test_a_failure_of_the_data_is_raised_as_it_is(tmp_path: Path) -> None:
    class Failing(ToyTask):
        def batches(self, *arguments: Any) -> Iterator[ToyBatch]:
            yield next(super().batches(*arguments))
            raise InvalidRequest("shard 3 is cut short")

    with pytest.raises(InvalidRequest, match="shard 3"):
        trained(replace(PLAIN, task=Failing), tmp_path)


def test_ctrl_c_may_end_the_data_too(tmp_path: Path) -> None:
    class Interrupted(ToyTask):
        def batches(self, *arguments: Any) -> Iterator[ToyBatch]:
            stream = super().batches(*arguments)
            yield next(stream)
            yield next(stream)
            os.kill(os.getpid(), signal.SIGINT)
            raise RuntimeError("DataLoader worker exited unexpectedly")

    outcome = trained(replace(PLAIN, task=Interrupted), tmp_path)
    assert outcome.step <= 2
    assert outcome.sentence.startswith("Stopped by SIGINT after step")
    assert trained(PLAIN, tmp_path).finished
    trained(PLAIN, tmp_path.with_name("whole"))
    assert same_state(tmp_path, tmp_path.with_name("whole"))


@pytest.mark.slow
def test_a_compiled_network_in_the_order_of_channels_trains_alike(tmp_path: Path) -> None:
    trained(NORMED, tmp_path / "plain")
    trained(replace(NORMED, compiled=True, channels_last=True), tmp_path / "compiled")
    plain, compiled = (load_file(tmp_path / name / WEIGHTS) for name in ("plain", "compiled"))
    assert plain.keys() == compiled.keys()
    assert compiled["stem.weight"].shape == plain["stem.weight"].shape


def test_channels_last_trains_alike(tmp_path: Path) -> None:
    recipe = replace(PLAIN, ema=None)
    trained(recipe, tmp_path / "first")
    trained(replace(recipe, channels_last=True), tmp_path / "last")
    first, last = (load_file(tmp_path / name / WEIGHTS) for name in ("first", "last"))
    for name in first:
        torch.testing.assert_close(first[name], last[name], rtol=1e-3, atol=1e-4)
