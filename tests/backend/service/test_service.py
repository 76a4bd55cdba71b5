"""What a service promises, inline and through RQ alike."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import sqlalchemy

from backend.errors import (
    Busy,
    DeadlineExceeded,
    InvalidImage,
    InvalidRequest,
    MaskloopError,
    OutOfMemory,
    Superseded,
    UnknownModelName,
    WeightsMissing,
)
from backend.service import Answer, Origin, SegmentRequest
from backend.store import Database
from models.prompts import Click, Prompt, Scribble
from models.segmenter import Query, picture_id, replay
from tests.backend.conftest import Serve, Served, encoded, scene
from tests.backend.growing import Growing, GrowingSource

CLICKS = (
    Click(12.0, 21.25),
    Click(58.5, 16.0),
    Click(56.0, 0.75, False),
    Click(50.0, 34.0),
    Click(55.0, 39.0, False),
)
"""Each of them changes the mask, and so does another order."""


def expected(image: np.ndarray, prompt: Prompt) -> np.ndarray:
    """What a segmenter of its own, asked by nobody else, says: bool HxW."""
    segmenter = Growing()
    return replay(segmenter, segmenter.prepare(image), prompt)[-1].mask


class Gate:
    """Holds passes of a network until it is opened, and tells when one has come."""

    def __init__(self) -> None:
        self.reached = threading.Semaphore(0)
        self.opened = threading.Event()

    def __call__(self, _: Sequence[Query]) -> None:
        self.reached.release()
        assert self.opened.wait(20)


def gated() -> tuple[GrowingSource, Gate]:
    gate = Gate()
    return GrowingSource(Growing(before_pass=gate)), gate


def test_each_click_is_answered_as_if_alone(serve: Serve, picture: bytes) -> None:
    served = serve()
    masks = []
    for count in range(1, len(CLICKS) + 1):
        answer = served.segment(picture, *CLICKS[:count])
        masks.append(answer.mask.to_bytes())
        assert np.array_equal(answer.mask.full, expected(scene(), Prompt(CLICKS[:count])))
        assert answer.remembered == count - 1
        assert answer.version == served.segmenter.version
    assert all(one != next for one, next in pairwise(masks))
    assert served.segmenter.prepared == 1
    assert served.source.loads == 1


def test_replayed_equals_remembered_bit_for_bit(serve: Serve, picture: bytes) -> None:
    walked, thrown_in = serve(), serve()
    for count in range(1, len(CLICKS) + 1):
        step_by_step = walked.segment(picture, *CLICKS[:count])
    at_once = thrown_in.segment(picture, *CLICKS)
    assert (step_by_step.remembered, at_once.remembered) == (4, 0)
    assert np.array_equal(step_by_step.mask.full, at_once.mask.full)
    assert step_by_step.score == at_once.score


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(CLICKS),
        Prompt(box=(10, 8, 40, 30)),
        Prompt(CLICKS[2:4], box=(10, 8, 40, 30)),
        Prompt(CLICKS[:1], scribbles=(Scribble(((3.0, 4.0), (9.0, 20.0)), False, 2.0),)),
        Prompt(CLICKS[1:3], mask=scene()[..., 0] > 128),
    ],
    ids=["clicks", "box", "box and clicks", "scribble and click", "mask and clicks"],
)
def test_inline_and_rq_are_equal_bit_for_bit(
    serve_inline: Serve, serve_rq: Serve, picture: bytes, prompt: Prompt
) -> None:
    request = SegmentRequest(picture, prompt, Origin("test"))
    answers = [serve().service.segment(request) for serve in (serve_inline, serve_rq)]
    assert answers[0].mask.to_bytes() == answers[1].mask.to_bytes()
    assert answers[0].score == answers[1].score
    assert answers[0].picture_id == answers[1].picture_id
    assert np.array_equal(answers[0].mask.full, expected(scene(), prompt))


def test_removing_a_click_goes_back(serve: Serve, picture: bytes) -> None:
    served = serve()
    before = [served.segment(picture, *CLICKS[:count]) for count in (1, 2, 3)]
    undone = served.segment(picture, *CLICKS[:2])
    assert np.array_equal(undone.mask.full, before[1].mask.full)
    assert undone.remembered == 1
    middle = served.segment(picture, CLICKS[0], CLICKS[2])
    assert np.array_equal(middle.mask.full, expected(scene(), Prompt((CLICKS[0], CLICKS[2]))))
    assert {answer.object_id for answer in (*before, undone, middle)} == {before[0].object_id}


def test_interleaved_annotators_get_what_each_would_get_alone(serve: Serve) -> None:
    served = serve()
    scenes = [scene(seed) for seed in range(3)]

    def annotate(number: int) -> list[Answer]:
        image, clicks = encoded(scenes[number % 3]), _random_clicks(number)
        origin = Origin("test", user=str(number))
        return [served.segment(image, *clicks[:n], origin=origin) for n in range(1, 7)]

    with ThreadPoolExecutor(6) as annotators:
        answers = list(annotators.map(annotate, range(6)))
    for number, given in enumerate(answers):
        image, clicks = scenes[number % 3], _random_clicks(number)
        for count, answer in enumerate(given, 1):
            assert np.array_equal(answer.mask.full, expected(image, Prompt(clicks[:count])))
    assert served.segmenter.prepared == 3
    assert served.source.loads == 1
    assert served.segmenter.threads == {"device"}
    assert len({answer.object_id for given in answers for answer in given}) == 6


def _random_clicks(number: int) -> tuple[Click, ...]:
    random = np.random.default_rng(number)
    xs, ys = random.integers(0, 64, 6), random.integers(0, 48, 6)
    signs = (True, False, True, True, False, True)
    return tuple(Click(float(x), float(y), sign) for x, y, sign in zip(xs, ys, signs, strict=True))


def apart(clicks: Sequence[Click]) -> tuple[Click, ...]:
    """As tools send them that keep two lists: positives, then negatives."""
    return tuple(sorted(clicks, key=lambda click: not click.positive))


def test_the_order_of_clicks_sent_apart_is_recovered(serve: Serve, picture: bytes) -> None:
    told, apart_sent = serve(), serve()
    for count in range(1, len(CLICKS) + 1):
        ordered = told.segment(picture, *CLICKS[:count])
        unordered = apart_sent.segment(picture, *apart(CLICKS[:count]), ordered=False)
        assert np.array_equal(ordered.mask.full, unordered.mask.full), count
        assert unordered.remembered == count - 1


def test_without_memory_positives_come_first(serve: Serve, picture: bytes) -> None:
    answer = serve().segment(picture, *apart(CLICKS), ordered=False)
    assert np.array_equal(answer.mask.full, expected(scene(), Prompt(apart(CLICKS))))
    assert not np.array_equal(answer.mask.full, expected(scene(), Prompt(CLICKS)))


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(),
        Prompt((Click(5, 5, False),)),
        Prompt((Click(-1, 5), Click(5, 48.5), Click(1e300, -1e300))),
        Prompt(box=(-20, -20, -3, -4)),
        Prompt(box=(12, 12, 12, 30)),
        Prompt(mask=np.zeros((48, 64), bool)),
        Prompt(scribbles=(Scribble(((200.0, 10.0), (300.0, 10.0))),)),
    ],
    ids=["nothing", "negative only", "outside", "box outside", "flat box", "no mask", "stroke"],
)
def test_what_makes_no_sense_gets_an_empty_mask(
    serve: Serve, picture: bytes, prompt: Prompt
) -> None:
    served = serve()
    answer = served.service.segment(SegmentRequest(picture, prompt, Origin("test")))
    assert not answer.mask
    assert answer.mask.size == (48, 64)
    assert served.segmenter.batches == []


def test_negative_before_positive_counts(serve: Serve, picture: bytes) -> None:
    """A click beside the object, answered with nothing, still comes first in the order."""
    served = serve()
    clicks = (CLICKS[2], CLICKS[0])
    served.segment(picture, clicks[0], ordered=False)
    answer = served.segment(picture, *apart(clicks), ordered=False)
    assert np.array_equal(answer.mask.full, expected(scene(), Prompt(clicks)))


def test_positions_outside_do_not_matter(serve: Serve, picture: bytes) -> None:
    served = serve()
    answer = served.segment(picture, CLICKS[0], Click(64.0, 48.0), Click(70, 10), Click(-3, -3))
    edge = expected(scene(), Prompt((CLICKS[0], Click(63.5, 47.5))))
    assert np.array_equal(answer.mask.full, edge)


def test_a_box_may_start_at_any_corner(serve: Serve, picture: bytes) -> None:
    served = serve()
    there = served.segment(picture, box=(10, 8, 40, 30))
    back = served.segment(picture, box=(40, 30, 10, 8))
    assert there.mask.to_bytes() == back.mask.to_bytes()
    assert back.object_id == there.object_id


@pytest.mark.parametrize(
    ("values", "field"),
    [
        ({"clicks": (Click(float("nan"), 3),)}, "clicks[0].x"),
        ({"clicks": (Click(3, 3), Click(3, float("inf")))}, "clicks[1].y"),
        ({"clicks": (Click("left", 3),)}, "clicks[0].x"),  # type: ignore[arg-type]
        ({"clicks": (Click(3, 3),) * 201}, "clicks"),
        ({"box": (0, 0, float("nan"), 9)}, "box.right"),
        ({"mask": np.zeros((5, 5), bool)}, "mask"),
        ({"mask": np.zeros((48, 64), np.uint8)}, "mask"),
        ({"scribbles": (Scribble(((1.0, 2.0),), True, float("nan")),)}, "scribbles[0].radius"),
        ({"scribbles": (Scribble(((1.0, 2.0),), True, 0.0),)}, "scribbles[0].radius"),
        ({"scribbles": (Scribble(((1.0, float("nan")),)),)}, "scribbles[0].points[0].y"),
        ({"scribbles": (Scribble(((1.0, 2.0),) * 20_001),)}, "scribbles[0]"),
    ],
)
def test_what_is_wrong_is_named(
    serve_inline: Serve, picture: bytes, values: dict[str, object], field: str
) -> None:
    service = serve_inline().service
    with pytest.raises(InvalidRequest) as raised:
        service.segment(SegmentRequest(picture, Prompt(**values), Origin("test")))  # type: ignore[arg-type]
    assert raised.value.field == field
    assert len(raised.value.message.split()) > 5


def test_bad_pictures_and_models_are_refused(serve: Serve, picture: bytes) -> None:
    served = serve(max_pixels=64 * 48)
    with pytest.raises(InvalidImage):
        served.segment(b"no picture", CLICKS[0])
    with pytest.raises(InvalidImage):
        served.segment(picture[:200], CLICKS[0])
    with pytest.raises(MaskloopError, match="more than the limit"):
        served.segment(encoded(scene(0, 49, 64)), CLICKS[0])
    with pytest.raises(UnknownModelName, match="mobilesam"):
        served.segment(picture, CLICKS[0], model="ritm-hrnet18")
    for name in ("mobilesam", "mobilesam@growing", served.segmenter.version):
        assert served.segment(picture, CLICKS[0], model=name).mask


def test_missing_weights_are_said_with_what_to_type(serve: Serve, picture: bytes) -> None:
    served = serve(GrowingSource(fault=WeightsMissing("type: python -m backend weights pull it")))
    with pytest.raises(WeightsMissing, match="weights pull"):
        served.segment(picture, CLICKS[0])
    readiness = served.service.ready()
    assert not readiness.ready
    assert any("weights pull" in problem for problem in readiness.problems)
    assert served.service.offered()[0].problem is not None
    served.source.fault = None
    assert served.segment(picture, CLICKS[0]).mask, "weights may arrive while the server runs"


def test_one_failure_stays_alone(serve: Serve, picture: bytes) -> None:
    served = serve(GrowingSource(Growing(before_pass=_fail_at_13)))

    def click(x: int) -> Answer | MaskloopError:
        try:
            return served.segment(picture, Click(float(x), 20.0))
        except MaskloopError as error:
            return error

    with ThreadPoolExecutor(8) as annotators:
        answers = list(annotators.map(click, range(10, 18)))
    failed = answers.pop(3)
    assert isinstance(failed, MaskloopError)
    assert failed.code == "internal"
    assert "a defect" not in failed.message
    assert all(isinstance(answer, Answer) and answer.mask for answer in answers)


def test_memory_that_runs_out_fails_one_request(serve: Serve, picture: bytes) -> None:
    hungry = {"left": 1}

    def fill(queries: Sequence[Query]) -> None:
        if any(query.prompt.clicks[0].x == 13 for query in queries):
            raise MemoryError
        if hungry["left"]:
            hungry["left"] = 0
            raise MemoryError

    served = serve(GrowingSource(Growing(before_pass=fill)))
    assert served.segment(picture, CLICKS[0]).mask, "with the caches freed there is room"
    with pytest.raises(OutOfMemory):
        served.segment(picture, Click(13.0, 20.0))
    assert served.segment(picture, CLICKS[0]).mask


def test_a_newer_click_of_the_same_user_takes_the_place(serve: Serve, picture: bytes) -> None:
    source, gate = gated()
    served = serve(source, worker_threads=1)
    mine = Origin("test", task="7", user="ann", object_id="pear")
    with ThreadPoolExecutor(5) as pool:

        def ask(origin: Origin, *clicks: Click) -> Callable[[], Answer]:
            return pool.submit(served.segment, picture, *clicks, origin=origin).result

        running = ask(Origin("test", task="7", user="bob"), CLICKS[1])
        assert gate.reached.acquire(timeout=20)
        older = ask(mine, *CLICKS[:1])
        _wait_until_in_line(served, 1)
        other = ask(Origin("test", task="7", user="cid", object_id="pear"), *CLICKS[:1])
        _wait_until_in_line(served, 2)
        newer = ask(mine, *CLICKS[:2])
        with pytest.raises(Superseded):
            older()
        gate.opened.set()
        assert np.array_equal(newer().mask.full, expected(scene(), Prompt(CLICKS[:2])))
        assert np.array_equal(other().mask.full, expected(scene(), Prompt(CLICKS[:1])))
        assert running().mask


def test_nothing_is_superseded_without_a_user_or_an_extension(serve: Serve, picture: bytes) -> None:
    source, gate = gated()
    served = serve(source, worker_threads=1)
    mine = Origin("test", task="7", user="ann", object_id="pear")
    nobody = Origin("test")
    with ThreadPoolExecutor(5) as pool:
        requests = [(nobody, 1), (nobody, 2), (mine, 3), (mine, 2)]
        waiting = []
        for origin, count in requests:
            waiting.append(pool.submit(served.segment, picture, *CLICKS[:count], origin=origin))
            if len(waiting) == 1:
                assert gate.reached.acquire(timeout=20)
            else:
                _wait_until_in_line(served, len(waiting) - 1)
        gate.opened.set()
        for (_, count), future in zip(requests, waiting, strict=True):
            right = expected(scene(), Prompt(CLICKS[:count]))
            assert np.array_equal(future.result().mask.full, right)


def test_the_line_has_an_end(serve: Serve, picture: bytes) -> None:
    source, gate = gated()
    served = serve(source, worker_threads=1, max_waiting=2)
    with ThreadPoolExecutor(3) as pool:
        waiting = [pool.submit(served.segment, picture, CLICKS[0])]
        assert gate.reached.acquire(timeout=20)
        for count in (1, 2):
            waiting.append(pool.submit(served.segment, picture, CLICKS[1]))
            _wait_until_in_line(served, count)
        with pytest.raises(Busy, match="MASKLOOP_MAX_WAITING"):
            served.segment(picture, CLICKS[3])
        gate.opened.set()
        assert all(future.result().mask for future in waiting)


def test_an_answer_that_comes_too_late_is_an_error(serve: Serve, picture: bytes) -> None:
    source, gate = gated()
    served = serve(source, worker_threads=1)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(served.segment, picture, CLICKS[0])
        assert gate.reached.acquire(timeout=20)
        with pytest.raises(DeadlineExceeded):
            served.segment(picture, CLICKS[1], deadline_seconds=0.2)
        gate.opened.set()
        assert running.result().mask
    passes = len(served.segmenter.batches)
    assert served.segment(picture, CLICKS[3]).mask
    assert len(served.segmenter.batches) == passes + 1, "what came too late was not computed"


def test_people_go_before_batches(serve: Serve, picture: bytes) -> None:
    order: list[float] = []
    source, gate = gated()

    def note(queries: Sequence[Query]) -> None:
        order.append(queries[0].prompt.clicks[0].x)
        gate(queries)

    source.segmenter.before_pass = note
    served = serve(source, worker_threads=1)
    with ThreadPoolExecutor(5) as pool:
        waiting = [pool.submit(served.segment, picture, Click(1.0, 1.0))]
        assert gate.reached.acquire(timeout=20)
        for line, (x, priority) in enumerate([(2.0, 1), (3.0, 0), (4.0, 1), (5.0, 0)], 1):
            click = Click(x, 1.0)
            waiting.append(pool.submit(served.segment, picture, click, priority=priority))
            _wait_until_in_line(served, line)
        gate.opened.set()
        assert all(future.result() for future in waiting)
    assert order == [1.0, 3.0, 5.0, 2.0, 4.0]


@pytest.mark.parametrize("seconds", [0.0, -1.0, float("nan"), float("inf")])
def test_a_deadline_is_a_number_of_seconds(
    serve_inline: Serve, picture: bytes, seconds: float
) -> None:
    with pytest.raises(InvalidRequest, match="deadline_seconds"):
        serve_inline().segment(picture, CLICKS[0], deadline_seconds=seconds)


def test_the_object_is_the_callers_or_found_again(serve: Serve, picture: bytes) -> None:
    served = serve()
    given = served.segment(picture, CLICKS[0], origin=Origin("test", object_id="pear"))
    assert given.object_id == "pear"
    assert served.segment(picture, *CLICKS[:2]).object_id == "pear"
    assert served.segment(picture, CLICKS[1]).object_id != "pear"
    other_task = Origin("test", task="8")
    assert served.segment(picture, CLICKS[0], origin=other_task).object_id != "pear"


def test_a_picture_is_remembered_by_its_id(serve: Serve, picture: bytes) -> None:
    served = serve()
    assert served.service.picture("0" * 64) is None
    answer = served.segment(picture)
    assert served.service.picture(answer.image_id) == picture


def test_offered_and_ready(serve: Serve, picture: bytes) -> None:
    served = serve(models=("ritm-hrnet18",))
    served.segment(picture, CLICKS[0])
    served.segment(picture, CLICKS[0], model="ritm-hrnet18")
    while not all(offer.loaded for offer in served.service.offered()):
        pass
    first, second = served.service.offered()
    assert (first.name, second.name) == ("mobilesam", "ritm-hrnet18")
    assert first.version == served.segmenter.version
    assert "clicks" in first.prompts
    assert served.service.ready().ready
    assert served.source.loads == 2


def _wait_until_in_line(served: Served, count: int) -> None:
    while served.waiting() < count:
        pass


def logged(served: Served) -> list[dict[str, Any]]:
    served.service.close()
    with Database(served.settings.database).begin() as connection:
        rows = connection.execute(sqlalchemy.text("SELECT * FROM interactions ORDER BY id"))
        return [dict(row) for row in rows.mappings()]


def test_every_answer_is_logged(serve: Serve, picture: bytes) -> None:
    served = serve(GrowingSource(Growing(before_pass=_fail_at_13)))
    origin = Origin("test", "plums", "7", "ann")
    negative = served.segment(picture, CLICKS[2], origin=origin, ordered=False)
    both = served.segment(picture, *apart(CLICKS[:4]), origin=origin, ordered=False)
    with pytest.raises(MaskloopError):
        served.segment(picture, Click(13.0, 13.0), request_id="broken")
    first, second, third = logged(served)
    assert first["request_id"] == negative.request_id
    assert (first["tool"], first["project"], first["task"], first["user"]) == (
        "test", "plums", "7", "ann",
    )  # fmt: skip
    assert (first["width"], first["height"]) == (64, 48)
    assert first["mask_area"] == 0
    assert first["order_known"] == 1
    assert second["object_id"] == both.object_id == negative.object_id
    assert second["order_known"] == 1, "beyond the remembered click only positives are new"
    signs = [row[2] for row in json.loads(second["prompt"])["clicks"]]
    assert signs == [0, 1, 1, 1]
    assert second["version"] == served.segmenter.version
    assert second["picture_id"] == picture_id(scene())
    assert second["mask_area"] == both.mask.area > 0
    assert (third["request_id"], third["error"]) == ("broken", "internal")


def test_a_guessed_order_is_logged_as_one(serve: Serve, picture: bytes) -> None:
    served = serve()
    served.segment(picture, *apart(CLICKS[:3]), ordered=False)
    served.segment(picture, *apart(CLICKS[:4]), ordered=False)
    served.segment(picture, *CLICKS[:4])
    assert [row["order_known"] for row in logged(served)] == [0, 0, 1]


def _fail_at_13(queries: Sequence[Query]) -> None:
    if any(query.prompt.clicks[0].x == 13 for query in queries):
        raise ValueError("a defect")
