"""What the settings make of a service."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from backend.errors import InvalidSettings, WeightsMissing
from backend.queue.inline import InlineQueue
from backend.queue.rq_queue import RqQueue
from backend.service import Origin, SegmentRequest, build
from backend.settings import Settings
from models.prompts import Click, Prompt


def test_redis_decides(make_settings: Callable[..., Settings]) -> None:
    inline = build(make_settings())
    through_rq = build(make_settings(redis_url="redis://127.0.0.1:1/0"))
    assert isinstance(inline._queue, InlineQueue)
    assert isinstance(through_rq._queue, RqQueue)
    assert not through_rq.ready().ready
    for service in (inline, through_rq):
        service.close()


def test_models_that_do_not_exist_are_refused_at_once(
    make_settings: Callable[..., Settings],
) -> None:
    with pytest.raises(InvalidSettings, match="did you mean mobilesam"):
        build(make_settings(model="mobilsam"))
    with pytest.raises(InvalidSettings, match="MASKLOOP_MODELS"):
        build(make_settings(models=("nothing-like-it",)))


def test_without_weights_it_starts_and_says_what_to_type(
    make_settings: Callable[..., Settings], picture: bytes
) -> None:
    service = build(make_settings())
    service.start()
    request = SegmentRequest(picture, Prompt((Click(3.0, 3.0),)), Origin("test"))
    with pytest.raises(WeightsMissing, match="weights pull mobilesam"):
        service.segment(request)
    readiness = service.ready()
    assert not readiness.ready
    assert "python -m backend weights pull mobilesam" in readiness.problems[0]
    (offer,) = service.offered()
    assert (offer.version, offer.loaded) == (None, False)
    empty = service.segment(SegmentRequest(picture, Prompt(), Origin("test")))
    assert (bool(empty.mask), empty.version) == (False, "mobilesam")
    service.close()


def test_building_does_not_import_torch() -> None:
    source = """
import sys
from pathlib import Path
from backend.service import build
from backend.settings import Settings
build(Settings(data_dir=Path(sys.argv[1])))
build(Settings(data_dir=Path(sys.argv[1]), redis_url="redis://127.0.0.1:1/0"))
sys.exit("torch" in sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", source, "/nonexistent"], check=False)
    assert done.returncode == 0
