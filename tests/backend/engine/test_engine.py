"""The engine: one load, one preparation, states that continue, masks of the region alone."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import numpy as np
import pytest

from backend.blobs import MemoryBlobs
from backend.engine import Engine, ModelStatus, PictureStore, Question
from backend.errors import (
    DeadlineExceeded,
    InvalidImage,
    OutOfMemory,
    QueueUnavailable,
    UnknownModelName,
    WeightsMissing,
)
from backend.prompt_record import PromptRecord
from backend.sessions import Sessions
from backend.settings import Settings
from models.prompts import Click, Prompt
from models.segmenter import Result, picture_id, replay
from models.state import State
from tests.backend.conftest import encoded, scene
from tests.backend.growing import Growing, GrowingSource

CLICKS = (Click(12.0, 21.0), Click(58.0, 16.0), Click(56.0, 0.0, False))


class Bench:
    """An engine with stores of its own."""

    def __init__(self, settings: Settings, source: GrowingSource | None = None) -> None:
        self.source = source or GrowingSource()
        self.store = PictureStore(MemoryBlobs(1 << 24))
        self.sessions = Sessions(MemoryBlobs(1 << 24))
        self.engine = Engine(settings, self.store, self.sessions, self.source)

    def ask(self, image: str, *clicks: Click, model: str = "mobilesam"):  # type: ignore[no-untyped-def]
        return self.engine.segment(Question(image, model, PromptRecord(clicks)))


@pytest.fixture
def bench(make_settings: Callable[..., Settings]) -> Bench:
    return Bench(make_settings())


def test_an_answer_is_the_replay(bench: Bench) -> None:
    image = bench.store.put(encoded(scene()))
    growing = Growing()
    for count in (1, 2, 3, 3, 1):
        answer = bench.ask(image, *CLICKS[:count])
        whole = replay(growing, growing.prepare(scene()), Prompt(CLICKS[:count]))[-1]
        assert np.array_equal(answer.mask.full, whole.mask)
        assert answer.picture_id == picture_id(scene())
        assert answer.score == pytest.approx(whole.score)
    assert bench.source.segmenter.prepared == 1


def test_the_mask_comes_of_the_region_alone(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Never an array of the size of the picture."""

    def forbidden(_: Result) -> None:
        raise AssertionError("a full-size array was made")

    monkeypatch.setattr(Result, "mask", property(forbidden))
    monkeypatch.setattr(Result, "probability", property(forbidden))
    answer = bench.ask(bench.store.put(encoded(scene())), CLICKS[1])
    left, top, right, bottom = answer.mask.box
    assert answer.mask.crop.shape == (bottom - top, right - left)
    assert 0 < answer.mask.crop.size < 48 * 64


def test_each_model_is_loaded_once_however_many_ask(make_settings: Callable[..., Settings]) -> None:
    bench = Bench(make_settings(models=("ritm-hrnet18",)))
    image = bench.store.put(encoded(scene()))
    bench.engine.start()
    with ThreadPoolExecutor(8) as pool:
        models = ["mobilesam", "ritm-hrnet18"] * 8
        assert all(pool.map(lambda model: bench.ask(image, CLICKS[0], model=model).mask, models))
    bench.engine.start()
    assert bench.source.loads == 2
    assert bench.source.segmenter.threads == {"device"}


def test_equal_pixels_in_two_encodings_are_prepared_once(bench: Bench) -> None:
    import io

    from PIL import Image

    stream = io.BytesIO()
    Image.fromarray(scene()).save(stream, "BMP")
    images = [bench.store.put(encoded(scene())), bench.store.put(stream.getvalue())]
    answers = [bench.ask(image, CLICKS[0]) for image in images]
    assert answers[0].picture_id == answers[1].picture_id
    assert bench.source.segmenter.prepared == 1
    assert answers[1].remembered == 0


def test_a_small_budget_prepares_again_and_answers_alike(
    make_settings: Callable[..., Settings],
) -> None:
    size = scene().nbytes
    bench = Bench(make_settings(prepared_cache_bytes=2 * size))
    images = [bench.store.put(encoded(scene(seed))) for seed in range(3)]
    first = [bench.ask(image, *CLICKS).mask.to_bytes() for image in images]
    assert bench.engine._prepared.nbytes == 2 * size
    again = [bench.ask(image, *CLICKS).mask.to_bytes() for image in images]
    assert first == again
    assert bench.source.segmenter.prepared == 6


def test_a_prepared_picture_needs_its_bytes_no_longer(bench: Bench) -> None:
    image = bench.store.put(encoded(scene()))
    bench.ask(image, CLICKS[0])
    bench.store._blobs = MemoryBlobs(1 << 20)
    assert bench.ask(image, *CLICKS[:2]).remembered == 1
    with pytest.raises(QueueUnavailable, match="no longer kept"):
        bench.ask("0" * 64, CLICKS[0])
    with pytest.raises(QueueUnavailable, match="mask"):
        record = PromptRecord(CLICKS[:1], mask="0" * 64)
        bench.engine.segment(Question(image, "mobilesam", record))


def test_the_deadline_is_looked_at_before_each_pass(bench: Bench) -> None:
    image = bench.store.put(encoded(scene()))
    left = [4]

    def check() -> None:
        left[0] -= 1
        if left[0] == 0:
            raise DeadlineExceeded("too late")

    with pytest.raises(DeadlineExceeded):
        bench.engine.segment(Question(image, "mobilesam", PromptRecord(CLICKS), check=check))
    assert bench.source.segmenter.batches == [1, 1]
    assert bench.ask(image, *CLICKS).remembered == 2, "what was done is not done again"


def test_status_tells_without_loading(make_settings: Callable[..., Settings]) -> None:
    source = GrowingSource()
    bench = Bench(make_settings(), source)
    assert bench.engine.status() == (ModelStatus("mobilesam", source.segmenter.version, False),)
    source.fault = WeightsMissing("type: pull")
    assert bench.engine.status() == (ModelStatus("mobilesam", None, False, "type: pull"),)
    assert source.loads == 0
    source.fault = None
    bench.ask(bench.store.put(encoded(scene())), CLICKS[0])
    assert bench.engine.status()[0].loaded


def test_a_model_that_cannot_be_loaded_says_why(
    make_settings: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch
) -> None:
    bench = Bench(make_settings())
    image = bench.store.put(encoded(scene()))
    monkeypatch.setattr(bench.source, "load", lambda _: (_ for _ in ()).throw(OSError("no disk")))
    with pytest.raises(OSError, match="no disk"):
        bench.ask(image, CLICKS[0])
    assert "no disk" in (bench.engine.status()[0].problem or "")
    monkeypatch.undo()
    assert bench.ask(image, CLICKS[0]).mask
    assert bench.engine.status()[0].problem is None


def test_models_that_are_not_offered(bench: Bench) -> None:
    with pytest.raises(UnknownModelName, match="mobilesam"):
        bench.ask("0" * 64, CLICKS[0], model="ritm-hrnet18")


def test_a_picture_that_cannot_be_decoded(bench: Bench) -> None:
    image = bench.store.put(encoded(scene())[:300])
    for _ in range(2):
        with pytest.raises(InvalidImage):
            bench.ask(image, CLICKS[0])


def test_memory_that_runs_out_while_preparing_drops_prepared_pictures(
    make_settings: Callable[..., Settings],
) -> None:
    def fill() -> None:
        if growing.prepared and bench.engine._prepared.nbytes:
            raise MemoryError

    growing = Growing(before_prepare=fill)
    bench = Bench(make_settings(), GrowingSource(growing))
    images = [bench.store.put(encoded(scene(seed))) for seed in range(2)]
    bench.ask(images[0], CLICKS[0])
    assert bench.ask(images[1], CLICKS[0]).mask, "with the first one dropped there is room"
    assert bench.engine._prepared.nbytes == scene().nbytes
    growing.before_prepare = lambda: (_ for _ in ()).throw(MemoryError)
    with pytest.raises(OutOfMemory):
        bench.ask(bench.store.put(encoded(scene(5))), CLICKS[0])


def test_a_state_that_is_too_large_is_an_error(bench: Bench) -> None:
    class Hoarder(Growing):
        def _answer(self, query):  # type: ignore[no-untyped-def]
            result = super()._answer(query)
            state = State(self.version, query.prepared.picture, {"map": np.zeros(1 << 21)})
            return Result(result.size, result.region, result.values, state)

    bench.source.segmenter = Hoarder()
    with pytest.raises(ValueError, match="exceeds the limit"):
        bench.ask(bench.store.put(encoded(scene())), CLICKS[0])


def test_scores_that_are_none_stay_none(bench: Bench) -> None:
    class Unsure(Growing):
        def _answer(self, query):  # type: ignore[no-untyped-def]
            result = super()._answer(query)
            return Result(
                result.size, result.region, result.values, result.state, score=float("nan")
            )

    bench.source.segmenter = Unsure()
    assert bench.ask(bench.store.put(encoded(scene())), CLICKS[0]).score is None


def test_an_answer_that_was_cut_short_says_so(bench: Bench) -> None:
    class Hurried(Growing):
        def _answer(self, query):  # type: ignore[no-untyped-def]
            return replace(super()._answer(query), aborted=len(query.prompt.clicks) > 1)

    bench.source.segmenter = Hurried()
    image = bench.store.put(encoded(scene()))
    assert [bench.ask(image, *CLICKS[:count]).aborted for count in (1, 2)] == [False, True]


def test_a_segmenter_without_memory_is_remembered_as_such(bench: Bench) -> None:
    class Forgetful(Growing):
        def _answer(self, query):  # type: ignore[no-untyped-def]
            assert query.state is None
            result = super()._answer(query)
            return Result(result.size, result.region, result.values, None)

    bench.source.segmenter = Forgetful()
    image = bench.store.put(encoded(scene()))
    first = [bench.ask(image, *CLICKS[:count]) for count in (1, 2, 3)]
    assert [answer.remembered for answer in first] == [0, 1, 2]


def test_many_pictures_at_once_are_each_prepared_once(bench: Bench) -> None:
    images = [bench.store.put(encoded(scene(seed))) for seed in range(4)]
    barrier = threading.Barrier(12)

    def ask(number: int) -> bytes:
        barrier.wait()
        return bench.ask(images[number % 4], CLICKS[0]).mask.to_bytes()

    with ThreadPoolExecutor(12) as pool:
        answers = list(pool.map(ask, range(12)))
    assert answers[:4] == answers[4:8] == answers[8:]
    assert bench.source.segmenter.prepared == 4
