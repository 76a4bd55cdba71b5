"""Several processes: started by torchrun in earnest, over gloo on the CPU."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from backend.errors import InvalidSettings
from backend.training import checkpoint, distributed, summary
from backend.training.distributed import World, own_device, world_of
from backend.training.export import WEIGHTS
from tests.backend.training.toy import PLAIN, main

ROOT = Path(__file__).resolve().parents[3]
CPU = torch.device("cpu")


def torchrun(*arguments: str | Path) -> subprocess.Popen[str]:
    """Two processes of the toy."""
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    return subprocess.Popen(
        [*command, "-m", "tests.backend.training.toy", *map(str, arguments)],
        cwd=ROOT,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def begin(steps: int, out: Path, recipe: str = "constant") -> None:
    """The same in this process alone."""
    main(recipe, str(out), str(steps))


def assert_alike(one: Path, two: Path) -> None:
    first, second = load_file(one / WEIGHTS), load_file(two / WEIGHTS)
    assert first.keys() == second.keys()
    for name in first:
        torch.testing.assert_close(first[name], second[name], rtol=1e-3, atol=1e-5)


def test_two_processes_train_as_one_with_the_whole_batch(tmp_path: Path) -> None:
    run = torchrun("plain", tmp_path / "two", 12)
    said = run.communicate(timeout=120)[1]
    assert run.returncode == 0, said
    begin(12, tmp_path / "one", "plain")
    assert_alike(tmp_path / "two", tmp_path / "one")
    seen = [json.loads((tmp_path / "two" / f"seen-{rank}.json").read_text()) for rank in (0, 1)]
    assert not {*seen[0]} & {*seen[1]}
    assert sorted(seen[0] + seen[1]) == list(range(12 * PLAIN.batch))
    # One of them speaks and writes, and what it tells are means over both.
    assert said.count("Finished after step 12 of 12.") == 1
    curves = [
        json.loads((tmp_path / out / summary.FILE).read_text())["curves"] for out in ("one", "two")
    ]
    for row, other in zip(*curves, strict=True):
        assert row["loss/cross"] == pytest.approx(other["loss/cross"], rel=1e-3)
    document = json.loads((tmp_path / "two" / summary.FILE).read_text())
    assert document["machine"]["processes"] == 2
    assert document["device_hours"] == pytest.approx(2 * document["seconds"] / 3600)


@pytest.mark.slow
def test_two_processes_go_on_where_one_stopped_and_stop_together(tmp_path: Path) -> None:
    begin(12, tmp_path / "one")
    shutil.copytree(tmp_path / "one", tmp_path / "two")
    run = torchrun("constant", tmp_path / "two", 100_000)
    assert run.stderr is not None
    for line in run.stderr:
        if line.startswith("step 40:"):
            break
    run.send_signal(signal.SIGTERM)
    said = run.communicate(timeout=120)[1]
    assert "Stopped by SIGTERM after step" in said, said
    steps = checkpoint.read(checkpoint.found(tmp_path / "two")[0])["step"]
    assert steps >= 40
    begin(steps, tmp_path / "one")
    assert_alike(tmp_path / "two", tmp_path / "one")


def test_torchrun_tells_each_process_who_it_is() -> None:
    assert world_of({}) == World(0, 1, 0)
    assert world_of({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1"}) == World(5, 8, 1)
    assert World(0, 2).first
    assert not World(1, 2).first


def test_each_process_has_a_gpu_of_its_own() -> None:
    assert own_device("cpu", World(1, 2, 1)) == CPU
    assert own_device("cuda:3", World()) == torch.device("cuda:3")
    assert own_device("cuda", World()) == torch.device("cuda:0")
    with pytest.raises(InvalidSettings, match="no more processes"):
        own_device("cuda", World(99, 100, 99))


def test_one_process_is_left_as_it_is() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    assert distributed.wrapped(network, World(), CPU, unused=True) is network
    assert distributed.synchronised(network, World(), CPU) is network
    assert distributed.mean_over(torch.ones(2), World()).tolist() == [1.0, 1.0]
    assert distributed.any_of(flag=True, world=World(), device=CPU)
    with distributed.unsynchronised(network), distributed.joined(World(), CPU):
        assert not torch.distributed.is_initialized()


def test_batch_norms_are_synchronised_on_gpus_alone() -> None:
    network = nn.Sequential(nn.Conv2d(1, 1, 1), nn.BatchNorm2d(1))
    keys = list(network.state_dict())
    assert isinstance(distributed.synchronised(network, World(0, 2), CPU)[1], nn.BatchNorm2d)
    changed = distributed.synchronised(network, World(0, 2), torch.device("cuda"))
    assert isinstance(changed[1], nn.SyncBatchNorm)
    assert list(changed.state_dict()) == keys
