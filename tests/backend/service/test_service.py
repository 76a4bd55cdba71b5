"""What a service promises, inline and through RQ alike."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise

import numpy as np
import pytest

from backend.errors import (
    WeightsMissing,
)
from backend.service import Answer, Origin, SegmentRequest
from models.prompts import Click, Prompt, Scribble
from tests.backend.conftest import Serve, encoded, scene
from tests.backend.growing import GrowingSource
from tests.backend.service.scenario import CLICKS, apart, expected


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


def test_negative_before_positive_counts(serve: Serve, picture: bytes) -> None:
    """A click beside the object, answered with nothing, still comes first in the order."""
    served = serve()
    clicks = (CLICKS[2], CLICKS[0])
    served.segment(picture, clicks[0], ordered=False)
    answer = served.segment(picture, *apart(clicks), ordered=False)
    assert np.array_equal(answer.mask.full, expected(scene(), Prompt(clicks)))


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
