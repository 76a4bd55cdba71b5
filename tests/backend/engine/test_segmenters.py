"""Which device, which options, and what to type where weights are missing."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pydantic import ValidationError

import models
from backend import weights
from backend.blobs import MemoryBlobs
from backend.engine import Engine, PictureStore, Question
from backend.engine.segmenters import ZooSegmenters, choose_device, served_options
from backend.errors import InvalidSettings, UnknownModelName, WeightsMissing
from backend.prompt_record import PromptRecord
from backend.sessions import Sessions
from backend.settings import Settings
from models import checkpoints, zoo
from models.prompts import Click
from tests.backend.conftest import encoded, scene
from tests.models import registry


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
    assert served_options("f-BRS", settings) == {"first_click_side": 640}
    for other in ("FocalClick", "ClickAttention", "SimpleClick", "another"):
        assert served_options(other, settings) == {}


def test_refinement_and_mirroring_reach_the_systems_that_have_them(
    make_settings: Callable[..., Settings],
) -> None:
    settings = make_settings(
        brs_mode="RGB-BRS", brs_deadline_ms=900, flip=False, first_click_side=640
    )
    refined = {
        "first_click_side": 640,
        "brs_mode": "RGB-BRS",
        "net_clicks_limit": 5,
        "brs_deadline_ms": 900,
        "flip": False,
    }
    assert served_options("f-BRS", settings) == served_options("RITM", settings) == refined
    assert served_options("SimpleClick", settings) == {"flip": False}
    assert served_options("FocalClick", settings) == {}
    with pytest.raises(ValidationError, match="brs_mode"):
        make_settings(brs_mode="g-BRS")


def test_missing_weights_say_what_to_type(make_settings: Callable[..., Settings]) -> None:
    source = ZooSegmenters(make_settings())
    for ask in (source.version, source.load):
        with pytest.raises(WeightsMissing, match="python -m backend weights pull mobilesam"):
            ask("mobilesam")
        with pytest.raises(UnknownModelName, match="did you mean"):
            ask("mobilsam")


QUICK = {"mobilesam", "ritm-hrnet18s", "focalclick-segformerb0-s1"}
SET = {"MobileSAM": "input_side=256", "RITM": "first_click_side=96", "f-BRS": "first_click_side=96"}


@pytest.mark.parametrize(
    "model",
    [
        pytest.param(name, marks=() if name in QUICK else pytest.mark.slow)
        for name in sorted(registry.smallest())
    ],
)
def test_weights_in_the_store_are_served_as_the_settings_have_it(
    make_settings: Callable[..., Settings], model: str
) -> None:
    settings = make_settings(model=model, mobilesam_input=256, first_click_side=96, device="cpu")
    settings.data_dir.mkdir(exist_ok=True)
    torch.manual_seed(0)
    tensors = models.create(model).state_dict()
    file = settings.data_dir / "net.safetensors"
    checkpoints.save(checkpoints.Checkpoint(model, tensors, weights="untrained"), file)
    added = weights.add(settings, file)
    source = ZooSegmenters(settings)
    segmenter = source.load(model)
    assert segmenter.version == source.version(model) == added.version
    assert SET.get(zoo.architecture(model).system, "") in segmenter.settings
    store, sessions = PictureStore(MemoryBlobs(1 << 24)), Sessions(MemoryBlobs(1 << 26))
    image = store.put(encoded(scene(0, 96, 128)))
    engine = Engine(settings, store, sessions, source)
    clicks = (Click(60.0, 40.0), Click(5.0, 5.0, False), Click(100.0, 80.0))
    walked = [
        engine.segment(Question(image, model, PromptRecord(clicks[:count]))) for count in (1, 2, 3)
    ]
    fresh = Engine(settings, store, Sessions(MemoryBlobs(1 << 26)), source)
    replayed = fresh.segment(Question(image, model, PromptRecord(clicks)))
    assert (walked[2].remembered, replayed.remembered) == (2, 0)
    assert walked[2].mask.to_bytes() == replayed.mask.to_bytes()
    assert walked[2].score == replayed.score
