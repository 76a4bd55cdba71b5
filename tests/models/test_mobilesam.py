"""MobileSAM's segmenter, on a tiny network with random weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
import torch

from models.backbones.tiny_vit import TinyVitShape
from models.mobilesam import FAITHFUL, MobileSamOptions, MobileSamSegmenter, network
from models.mobilesam_network import MobileSam, MobileSamShape
from models.placement import scribble_clicks
from models.prompts import Click, Prompt, Scribble
from models.segmenter import Query, picture_id, replay
from models.state import State

SIDE = 64
SHAPE = MobileSamShape(
    TinyVitShape(dims=(32, 32, 64, 64), depths=(1, 1, 2, 1), neck=32, classes=3), heads=4, mlp=32
)
CLICKS = (Click(20, 12), Click(5, 30, positive=False), Click(33.5, 20.25), Click(40, 3))


def tiny(seed: int = 3) -> MobileSam:
    torch.manual_seed(seed)
    made = MobileSam(SIDE, SHAPE)
    with torch.no_grad():
        # Fresh networks answer almost the same everywhere; larger weights tell prompts apart.
        for parameter in made.mask_decoder.parameters():
            parameter.mul_(2)
    return made


def built(options: MobileSamOptions | None = None) -> MobileSamSegmenter:
    options = replace(options or MobileSamOptions(), input_side=SIDE)
    return MobileSamSegmenter(tiny(), "mobilesam@test:0123456789ab", options=options)


def picture(seed: int = 0, height: int = 36, width: int = 48) -> npt.NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), np.uint8)


@pytest.fixture(scope="module")
def segmenter() -> MobileSamSegmenter:
    return built()


def test_prepared_picture_is_honest_about_itself(segmenter: MobileSamSegmenter) -> None:
    image = picture()
    before = image.copy()
    prepared = segmenter.prepare(image)
    assert prepared.size == (36, 48)
    assert prepared.picture == picture_id(image)
    assert segmenter.prepare(image, "known").picture == "known"
    assert tuple(prepared.embedding.shape) == (1, 32, SIDE // 16, SIDE // 16)
    assert prepared.nbytes == prepared.embedding.numel() * 4
    np.testing.assert_array_equal(image, before)


@pytest.mark.parametrize(
    "image",
    [
        np.zeros((4, 4, 3), np.float32),
        np.zeros((4, 4), np.uint8),
        np.zeros((4, 4, 4), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((1, 1000, 3), np.uint8),
    ],
)
def test_what_is_no_picture_is_refused(
    segmenter: MobileSamSegmenter, image: npt.NDArray[np.uint8]
) -> None:
    with pytest.raises(ValueError, match="picture"):
        segmenter.prepare(image)


def test_a_result_covers_the_picture(segmenter: MobileSamSegmenter) -> None:
    result = segmenter.segment(segmenter.prepare(picture()), Prompt(CLICKS[:1]))
    assert result.probability.shape == result.mask.shape == (36, 48)
    assert result.probability.dtype == np.float32
    assert 0 <= result.probability.min() <= result.probability.max() <= 1
    assert result.mask.any()
    assert result.score is not None
    assert 0 <= result.score <= 1


@pytest.mark.parametrize(
    "prompt",
    [
        Prompt(CLICKS),
        Prompt(CLICKS, box=(4, 5, 40, 30)),
        Prompt(CLICKS[:2], mask=np.eye(36, 48, dtype=bool)),
        Prompt((), scribbles=(Scribble(((2, 2), (30, 20))),)),
    ],
    ids=["clicks", "box", "mask", "scribble"],
)
def test_remembered_is_replayed_bit_for_bit(segmenter: MobileSamSegmenter, prompt: Prompt) -> None:
    prepared = segmenter.prepare(picture())
    walked = replay(segmenter, prepared, prompt)
    for answered in range(1, len(walked)):
        kept = walked[answered - 1].state
        assert kept is not None
        state = State.from_bytes(kept.to_bytes())
        continued = replay(segmenter, prepared, prompt, state, answered)
        assert len(continued) == len(walked) - answered
        for ours, theirs in zip(continued, walked[answered:], strict=True):
            np.testing.assert_array_equal(ours.probability, theirs.probability)
            assert ours.state is not None
            assert theirs.state is not None
            np.testing.assert_array_equal(
                ours.state.arrays["logits"], theirs.state.arrays["logits"]
            )


def test_a_foreign_state_counts_as_none(segmenter: MobileSamSegmenter) -> None:
    prepared = segmenter.prepare(picture())
    prompt = Prompt(CLICKS[:2])
    alone = segmenter.segment(prepared, prompt)
    own = segmenter.segment(prepared, prompt.first(1)).state
    assert own is not None
    assert not np.array_equal(
        segmenter.segment(prepared, prompt, own).probability, alone.probability
    )
    foreign = [
        replace(own, version="mobilesam@other:0"),
        replace(own, picture="another"),
        replace(own, arrays={"logits": np.zeros((8, 8), np.float32)}),
        replace(own, arrays={"logits": own.arrays["logits"].astype(np.float64)}),
        replace(own, arrays={}),
    ]
    for state in foreign:
        result = segmenter.segment(prepared, prompt, state)
        np.testing.assert_array_equal(result.probability, alone.probability)


def test_a_batch_answers_each_question_as_alone(segmenter: MobileSamSegmenter) -> None:
    first, second = segmenter.prepare(picture(1)), segmenter.prepare(picture(2, 50, 30))
    queries = [
        Query(first, Prompt((Click(3, 4),))),
        Query(second, Prompt((Click(20, 30),))),
        Query(first, Prompt((Click(40, 20),))),
    ]
    assert len({segmenter.batch_key(query) for query in queries}) == 1
    together = segmenter.segment_batch(queries)
    for query, result in zip(queries, together, strict=True):
        alone = segmenter.segment(query.prepared, query.prompt)
        np.testing.assert_allclose(result.probability, alone.probability, atol=1e-4)


def test_batch_keys_tell_inputs_apart(segmenter: MobileSamSegmenter) -> None:
    prepared = segmenter.prepare(picture())
    state = segmenter.segment(prepared, Prompt(CLICKS[:1])).state
    queries = [
        Query(prepared, Prompt(CLICKS[:1])),
        Query(prepared, Prompt(CLICKS[:2])),
        Query(prepared, Prompt(CLICKS[:2]), state),
        Query(prepared, Prompt(CLICKS[:1], box=(0, 0, 9, 9))),
    ]
    assert len({segmenter.batch_key(query) for query in queries}) == len(queries)


def test_prompts_that_point_at_nothing_are_empty(segmenter: MobileSamSegmenter) -> None:
    prepared = segmenter.prepare(picture())
    for prompt in (Prompt(), Prompt((Click(3, 3, positive=False),))):
        result = segmenter.segment(prepared, prompt)
        assert not result.probability.any()
        assert result.state is None
        assert segmenter.batch_key(Query(prepared, prompt)) is None


def test_the_order_of_box_corners_is_no_matter(segmenter: MobileSamSegmenter) -> None:
    prepared = segmenter.prepare(picture())
    expected = segmenter.segment(prepared, Prompt(box=(4, 6, 40, 30))).probability
    for box in ((40, 30, 4, 6), (40, 6, 4, 30), (4, 30, 40, 6)):
        result = segmenter.segment(prepared, Prompt(box=box))
        np.testing.assert_array_equal(result.probability, expected)


def test_a_scribble_is_clicks_along_the_stroke(segmenter: MobileSamSegmenter) -> None:
    prepared = segmenter.prepare(picture())
    scribble = Scribble(((2.0, 2.0), (40.0, 30.0)), radius=2)
    drawn = segmenter.segment(prepared, Prompt(scribbles=(scribble,)))
    clicked = segmenter.segment(prepared, Prompt(scribble_clicks((scribble,))))
    np.testing.assert_array_equal(drawn.probability, clicked.probability)


def test_an_initial_mask_and_an_empty_one_are_taken(segmenter: MobileSamSegmenter) -> None:
    prepared = segmenter.prepare(picture())
    mask = np.zeros((36, 48), bool)
    empty = segmenter.segment(prepared, Prompt(mask=mask))
    mask[10:20, 10:30] = True
    filled = segmenter.segment(prepared, Prompt(mask=mask))
    assert filled.state is not None
    assert not np.array_equal(filled.probability, empty.probability)


def test_clicks_outside_the_picture_are_taken(segmenter: MobileSamSegmenter) -> None:
    prepared = segmenter.prepare(picture())
    state = segmenter.segment(prepared, Prompt(CLICKS[:1])).state
    outside = Prompt((CLICKS[0], Click(-50, 900)))
    assert segmenter.segment(prepared, outside, state).probability.shape == (36, 48)


def test_the_authors_way_takes_the_best_of_three_and_then_the_single_mask() -> None:
    segmenter = built(FAITHFUL)
    prepared = segmenter.prepare(picture())
    first, second = replay(segmenter, prepared, Prompt(CLICKS[:2]))
    one = segmenter._encoded([segmenter._task(Query(prepared, Prompt(CLICKS[:1])))])
    two = segmenter._encoded([segmenter._task(Query(prepared, Prompt(CLICKS[:2]), first.state))])
    with torch.inference_mode():
        three = segmenter._network.decode(prepared.embedding, one)
        single = segmenter._network.decode(prepared.embedding, two)
    best = 1 + int(three.scores[0, 1:].argmax())
    assert first.state is not None
    assert second.state is not None
    np.testing.assert_array_equal(first.state.arrays["logits"], three.logits[0, best].numpy())
    np.testing.assert_array_equal(second.state.arrays["logits"], single.logits[0, 0].numpy())


def test_without_feedback_the_network_sees_no_mask() -> None:
    segmenter = built(replace(FAITHFUL, feedback=False))
    prepared = segmenter.prepare(picture())
    first, second = replay(segmenter, prepared, Prompt(CLICKS[:2]))
    task = segmenter._task(Query(prepared, Prompt(CLICKS[:2]), first.state))
    assert task.fed is None
    assert task.previous is not None
    assert second.state is not None


def test_settings_tell_options_apart() -> None:
    assert built().settings != built(FAITHFUL).settings


@pytest.mark.parametrize(
    ("options", "told"),
    [
        ({"input_side": 1000}, "multiple of 16"),
        ({"input_side": 16}, "at least 64"),
        ({"first_masks": ()}, "first_masks"),
        ({"later_masks": (4,)}, "later_masks"),
    ],
)
def test_options_that_make_no_sense_are_refused(options: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        MobileSamOptions(**options)  # type: ignore[arg-type]


def test_the_network_must_be_built_for_the_input_side() -> None:
    with pytest.raises(ValueError, match="built for 64"):
        MobileSamSegmenter(tiny(), "v", options=MobileSamOptions(input_side=128))


def test_serving_does_not_change_the_network() -> None:
    original = tiny()
    before = {name: tensor.clone() for name, tensor in original.state_dict().items()}
    served = MobileSamSegmenter(original, "v", options=MobileSamOptions(input_side=SIDE))
    served.segment(served.prepare(picture()), Prompt(CLICKS[:1]))
    after = original.state_dict()
    assert list(after) == list(before)
    assert all(torch.equal(after[name], tensor) for name, tensor in before.items())


def test_folding_batch_norm_changes_nothing_but_the_cost() -> None:
    original = tiny().eval()
    for module in original.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            torch.nn.init.uniform_(module.running_mean, -0.2, 0.2)
            torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
    x = torch.randn(2, 3, SIDE, SIDE)
    with torch.inference_mode():
        plain, folded = original.encode(x), original.for_inference().encode(x)
    torch.testing.assert_close(folded, plain, rtol=0, atol=1e-4)


def test_only_its_own_name_is_known() -> None:
    with pytest.raises(KeyError):
        network("ritm-hrnet18")
