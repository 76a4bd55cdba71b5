from __future__ import annotations

import pickle
import resource
from pathlib import Path
from typing import Any

import pytest
import torch

from backend.errors import InvalidRequest, TrainingFailed
from backend.training import checkpoint


def content() -> dict[str, Any]:
    generator = torch.Generator().manual_seed(3)
    weights = {
        "conv.weight": torch.randn(8, 8, generator=generator),
        "norm.running_var": torch.full((8,), 1e6),
        "norm.num_batches_tracked": torch.tensor(7),
    }
    state = {"step": torch.tensor(5.0), "exp_avg_sq": torch.full((8, 8), 1e-12)}
    return {
        "network": weights,
        "average": None,
        "optimiser": {"state": {0: state}, "param_groups": [{"lr": 0.1, "params": [0]}]},
        "scaler": {},
    }


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    path = checkpoint.write(tmp_path, 12, content(), keep=2)
    back = checkpoint.read(path)
    assert back["step"] == 12
    assert torch.equal(back["network"]["conv.weight"], content()["network"]["conv.weight"])
    assert back["optimiser"]["param_groups"] == content()["optimiser"]["param_groups"]
    assert [entry.name for entry in path.parent.iterdir()] == ["step-000000012.pt"]


def test_the_newest_are_kept(tmp_path: Path) -> None:
    for step in (5, 10, 100, 20):
        checkpoint.write(tmp_path, step, content(), keep=2)
    names = [path.name for path in checkpoint.found(tmp_path)]
    assert names == ["step-000000100.pt", "step-000000020.pt"]


def test_what_a_kill_left_unfinished_counts_for_nothing_and_is_cleared(tmp_path: Path) -> None:
    path = checkpoint.write(tmp_path, 1, content(), keep=2)
    leftover = path.with_name("step-000000002.part")
    leftover.write_bytes(path.read_bytes()[:100])
    assert checkpoint.found(tmp_path) == [path]
    checkpoint.write(tmp_path, 3, content(), keep=2)
    assert not leftover.exists()


def test_no_checkpoint_is_read_that_holds_more_than_plain_values(tmp_path: Path) -> None:
    hostile = tmp_path / "step-000000001.pt"
    with hostile.open("wb") as file:
        pickle.dump({"format": 1, "run": Path("/")}, file, protocol=2)
    with pytest.raises(InvalidRequest, match=r"step-000000001\.pt cannot be read"):
        checkpoint.read(hostile)


def test_damage_and_other_formats_are_told(tmp_path: Path) -> None:
    path = checkpoint.write(tmp_path, 1, content(), keep=2)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InvalidRequest, match="delete it"):
        checkpoint.read(path)
    torch.save({"format": 99}, path)
    with pytest.raises(InvalidRequest, match="another version"):
        checkpoint.read(path)


def test_a_full_disk_is_told_and_leaves_what_was_there(tmp_path: Path) -> None:
    before = checkpoint.write(tmp_path, 1, content(), keep=1)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(TrainingFailed, match="make room and run the same command again"):
            checkpoint.write(tmp_path, 2, content(), keep=1)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert list(before.parent.iterdir()) == [before]
    assert checkpoint.read(before)["step"] == 1


def test_halved_says_every_value_that_the_full_one_says(tmp_path: Path) -> None:
    full = content()
    half = checkpoint.halved(full)
    weights = half["network"]
    assert weights["conv.weight"].dtype is torch.float16
    torch.testing.assert_close(
        weights["conv.weight"].float(), full["network"]["conv.weight"], rtol=1e-3, atol=1e-4
    )
    # Beyond what float16 can say: large statistics, small second moments, counters.
    assert weights["norm.running_var"].tolist() == [1e6] * 8
    assert weights["norm.num_batches_tracked"].item() == 7
    state = half["optimiser"]["state"][0]
    assert state["step"].item() == 5.0
    torch.testing.assert_close(
        state["exp_avg_sq"].float(), torch.full((8, 8), 1e-12), rtol=1e-2, atol=0
    )
    assert full["network"]["conv.weight"].dtype is torch.float32
