"""Which device, which options, and what to type where weights are missing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch

from backend.engine.segmenters import ZooSegmenters, choose_device, served_options
from backend.errors import InvalidSettings, UnknownModelName, WeightsMissing
from backend.settings import Settings


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, bool], None]:
    def set_up(cuda_devices: int, mps: bool) -> None:
        monkeypatch.setattr(torch.cuda, "is_available", lambda: cuda_devices > 0)
        monkeypatch.setattr(torch.cuda, "device_count", lambda: cuda_devices)
        monkeypatch.setattr(torch.backends.mps, "is_available", lambda: mps)

    return set_up


@pytest.mark.parametrize(
    ("devices", "mps", "wanted", "chosen"),
    [
        (0, False, "auto", "cpu"),
        (0, True, "auto", "mps"),
        (2, False, "auto", "cuda"),
        (2, False, "cuda", "cuda"),
        (2, False, "cuda:1", "cuda:1"),
        (2, False, "cpu", "cpu"),
        (0, True, "mps", "mps"),
    ],
)
def test_the_device_chosen(
    machine: Callable[[int, bool], None], devices: int, mps: bool, wanted: str, chosen: str
) -> None:
    machine(devices, mps)
    assert choose_device(wanted) == chosen


@pytest.mark.parametrize(
    ("devices", "wanted"),
    [(0, "cuda"), (0, "cuda:0"), (2, "cuda:2"), (2, "cuda:one"), (0, "mps"), (0, "tpu"), (0, "")],
)
def test_a_device_that_is_not_there(
    machine: Callable[[int, bool], None], devices: int, wanted: str
) -> None:
    machine(devices, False)
    with pytest.raises(InvalidSettings, match=r"MASKLOOP_DEVICE.*sees cpu"):
        choose_device(wanted)


def test_settings_reach_the_segmenters(make_settings: Callable[..., Settings]) -> None:
    settings = make_settings(mobilesam_input=512, first_click_side=640)
    assert served_options("MobileSAM", settings) == {"input_side": 512}
    assert served_options("RITM", settings) == {"first_click_side": 640}
    assert served_options("another", settings) == {}


def test_missing_weights_say_what_to_type(make_settings: Callable[..., Settings]) -> None:
    source = ZooSegmenters(make_settings())
    for ask in (source.version, source.load):
        with pytest.raises(WeightsMissing, match="python -m backend weights pull mobilesam"):
            ask("mobilesam")
        with pytest.raises(UnknownModelName, match="did you mean"):
            ask("mobilsam")
