from __future__ import annotations

import base64
import logging
from collections.abc import Callable
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from label_studio_sdk.converter.brush import decode_rle
from PIL import Image

from backend.codecs import label_studio as codec
from backend.errors import ImageForbidden, InvalidImage, InvalidRequest, UnknownLabel
from backend.frontends.label_studio.connections import Connection, Connections
from backend.frontends.label_studio.images import Images
from backend.frontends.label_studio.predictions import Prediction, Predictions
from backend.frontends.label_studio.results import Region
from backend.masks import Mask
from models.prompts import Click
from tests.backend.conftest import Serve, Served, encoded
from tests.backend.frontends.label_studio.recorded import (
    click,
    draft,
    rectangle,
    separate_click,
    stroke,
)

LABELS = '<Label value="Cat"/><Label value="Dog"/>'
BRUSH = f"""<View><Image name="image" value="$image"/>
<BrushLabels name="tag" toName="image">{LABELS}</BrushLabels>
<KeyPointLabels name="kp" toName="image">{LABELS}</KeyPointLabels></View>"""
SEVERAL = BRUSH.replace('value="$image"', 'valueList="$image"')
SEPARATE = f"""<View><Image name="image" value="$image"/>
<Labels name="label" toName="image">{LABELS}</Labels>
<KeyPoint name="point" toName="image"/><Brush name="brush" toName="image"/></View>"""

HEIGHT, WIDTH = 100, 200
LEFT, RIGHT = (20, 20, 80, 80), (120, 30, 180, 90)


def picture() -> np.ndarray:
    """A red block on the left and a blue one on the right of a grey picture."""
    image = np.full((HEIGHT, WIDTH, 3), 128, np.uint8)
    for (left, top, right, bottom), colour in ((LEFT, (220, 30, 30)), (RIGHT, (30, 30, 220))):
        image[top:bottom, left:right] = colour
    return image


def block(box: tuple[int, int, int, int]) -> np.ndarray:
    array = np.zeros((HEIGHT, WIDTH), np.bool_)
    array[box[1] : box[3], box[0] : box[2]] = True
    return array


def data_address(data: bytes | None = None) -> str:
    return "data:image/png;base64," + base64.b64encode(data or encoded(picture())).decode()


def task(**fields: Any) -> dict[str, Any]:
    return {"id": 7, "data": {"image": data_address()}, "drafts": [], **fields}


def drawn(region: Region) -> np.ndarray:
    """bool HxW of a brush region, by Label Studio's own reader."""
    return decode_rle(region["value"]["rle"]).reshape(HEIGHT, WIDTH, 4)[..., 3] > 127


Ask = Callable[..., Prediction]


@pytest.fixture
def served(serve_inline: Serve) -> Served:
    return serve_inline()


@pytest.fixture
def predictions(served: Served, tmp_path: Path) -> Predictions:
    settings = served.settings
    return Predictions(served.service, settings, Connections(tmp_path / "c.json"), Images(settings))


@pytest.fixture
def ask(predictions: Predictions) -> Ask:
    def ask(*items: object, xml: str = BRUSH, task: dict[str, Any] = task()) -> Prediction:  # noqa: B008
        return predictions.interactive([task], xml, {"result": list(items)}, "1")

    return ask


def test_a_click_becomes_the_mask_of_what_it_hit(ask: Ask) -> None:
    prediction = ask(click("a", 25, 50))
    (region,) = prediction["result"]
    assert np.array_equal(drawn(region), block(LEFT))
    assert region["value"]["brushlabels"] == ["Cat"]
    assert (region["from_name"], region["to_name"]) == ("tag", "image")
    assert (region["original_width"], region["original_height"]) == (WIDTH, HEIGHT)
    assert prediction["model_version"] == "mobilesam@growing:0123456789ab"
    assert prediction["score"] == region["score"]


def test_further_clicks_go_on_with_the_object_and_keep_its_id(ask: Ask, served: Served) -> None:
    first = ask(click("a", 25, 50))["result"]
    second = ask(click("a", 25, 50), click("b", 75, 60))["result"]
    assert np.array_equal(drawn(second[0]), block(LEFT) | block(RIGHT))
    third = ask(click("a", 25, 50), click("b", 75, 60), click("c", 25, 60, positive=False))
    assert not drawn(third["result"][0])[50, 50]
    assert first[0]["id"] == second[0]["id"] == third["result"][0]["id"]
    assert len(served.segmenter.batches) == 3


def test_the_next_object_has_an_id_of_its_own(ask: Ask) -> None:
    first, second = ask(click("a", 25, 50)), ask(click("b", 25, 50))
    assert first["result"][0]["id"] != second["result"][0]["id"]


def test_objects_without_ids_of_prompts_have_stable_ids_too(ask: Ask) -> None:
    ids = [ask(click("", *at))["result"][0]["id"] for at in ((25, 50), (25, 50), (75, 60))]
    assert ids[0] == ids[1] != ids[2]


def test_the_two_item_form_is_answered_in_kind(ask: Ask) -> None:
    prediction = ask(*separate_click("a", 25, 50), xml=SEPARATE)
    brush, label = prediction["result"]
    assert (brush["type"], label["type"], label["value"]["labels"]) == ("brush", "labels", ["Cat"])
    assert np.array_equal(drawn(label), block(LEFT))


def test_each_box_gets_a_mask(ask: Ask) -> None:
    prediction = ask(rectangle("a", 5, 10, 40, 80), rectangle("b", 55, 20, 40, 75, label="Dog"))
    assert [region["value"]["brushlabels"] for region in prediction["result"]] == [["Cat"], ["Dog"]]
    assert np.array_equal(drawn(prediction["result"][0]), block(LEFT))
    assert np.array_equal(drawn(prediction["result"][1]), block(RIGHT))


def test_a_brush_mask_of_an_api_client_begins_the_object(ask: Ask) -> None:
    rle = codec.encode_rle(Mask.of(block(LEFT)))
    item = {**click("a", 0, 0), "type": "brushlabels", "from_name": "tag"}
    item["value"] = {"format": "rle", "rle": rle, "brushlabels": ["Cat"]}
    assert np.array_equal(drawn(ask(item)["result"][0]), block(LEFT))


def test_a_stroke_of_the_draft_counts_unless_the_connection_says_no(
    ask: Ask, predictions: Predictions
) -> None:
    # The stroke ends on the left block, the click hits the right one.
    painted = task(drafts=[draft(stroke([85, 50, 15, 50]))])
    both = block(LEFT) | block(RIGHT)
    assert np.array_equal(drawn(ask(click("a", 75, 60), task=painted)["result"][0]), both)
    predictions.connections.remember("1", Connection(scribbles=False))
    alone = ask(click("b", 75, 60), task=painted)["result"][0]
    assert np.array_equal(drawn(alone), block(RIGHT))


def test_the_picture_of_a_list_is_chosen_and_named(ask: Ask) -> None:
    blank = data_address(encoded(np.full((HEIGHT, WIDTH, 3), 9, np.uint8)))
    both = task(data={"image": [blank, data_address()]})
    (region,) = ask({**click("a", 25, 50), "item_index": 1}, xml=SEVERAL, task=both)["result"]
    assert region["item_index"] == 1
    assert np.array_equal(drawn(region), block(LEFT))
    (region,) = ask({**click("a", 25, 50), "item_index": 0}, xml=SEVERAL, task=both)["result"]
    assert drawn(region).all()
    with pytest.raises(InvalidRequest, match="item_index is 2, and the task has 2 pictures"):
        ask({**click("a", 25, 50), "item_index": 2}, xml=SEVERAL, task=both)


@pytest.mark.parametrize(
    "items",
    [
        [click("a", 25, 50, positive=False)],
        [click("a", 150, 50)],
        [rectangle("a", 150, 50, 10, 10)],
        [{"type": "relation"}],
    ],
)
def test_a_prompt_that_makes_no_sense_is_an_empty_result(ask: Ask, items: list[Any]) -> None:
    assert ask(*items)["result"] == []


def test_nothing_left_is_answered_without_looking_at_anything(predictions: Predictions) -> None:
    assert predictions.interactive([], "", {"result": []}) == {"result": []}


def test_without_a_prompt_every_task_has_an_entry_and_no_prediction(
    predictions: Predictions,
) -> None:
    assert predictions.batch([{"id": 1}, {"id": 2}]) == [[], []]


@pytest.mark.parametrize(
    ("items", "fields", "kind", "said"),
    [
        ([click("a", 1, 1, label="Bird")], {}, UnknownLabel, "'Bird'"),
        ([click("a", 1, 1)], {"data": {}}, InvalidRequest, r"'\$image'"),
        ([click("a", 1, 1)], {"data": None}, InvalidRequest, r"tasks\[0\]\.data"),
        ([click("a", 1, 1)], {"data": {"image": "http://evil/a"}}, ImageForbidden, "evil"),
        ([click("a", 1, 1)], {"data": {"image": "data:,nothing"}}, InvalidImage, "format"),
        ([click("a", float("nan"), 1)], {}, InvalidRequest, "value.x"),
    ],
)
def test_what_is_wrong_is_named(
    ask: Ask, items: list[Any], fields: dict[str, Any], kind: type[Exception], said: str
) -> None:
    with pytest.raises(kind, match=said):
        ask(*items, task=task(**fields))


def test_a_label_without_a_place_costs_no_download(ask: Ask, served: Served) -> None:
    with pytest.raises(UnknownLabel):
        ask(click("a", 1, 1, label="Bird"), task=task(data={"image": "http://evil/a"}))
    assert served.segmenter.prepared == 0


@pytest.mark.parametrize("tasks", [[], [None], ["x"]])
def test_a_call_without_a_task_is_refused(predictions: Predictions, tasks: list[Any]) -> None:
    with pytest.raises(InvalidRequest, match="tasks"):
        predictions.interactive(tasks, BRUSH, {"result": [click("a", 1, 1)]})


def test_a_click_is_logged_with_its_task(ask: Ask, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "backend.frontends.label_studio"):
        ask(click("a", 25, 50))
    assert "project 1, task 7: 1 prompts, 0 strokes, 3600 pixels by mobilesam" in caplog.text


def test_percent_are_of_the_upright_picture(ask: Ask) -> None:
    lying = Image.fromarray(np.rot90(picture()))
    exif = Image.Exif()
    exif[0x0112] = 6
    stream = BytesIO()
    lying.save(stream, "PNG", exif=exif)
    (region,) = ask(click("a", 25, 50), task=task(data={"image": data_address(stream.getvalue())}))[
        "result"
    ]
    assert (region["original_width"], region["original_height"]) == (WIDTH, HEIGHT)
    assert np.array_equal(drawn(region), block(LEFT))


def test_clicks_reach_the_service_in_pixels(ask: Ask, served: Served) -> None:
    seen: list[Any] = []
    served.segmenter.before_pass = lambda queries: seen.extend(q.prompt for q in queries)
    ask(click("a", 25, 50))
    assert seen[0].clicks == (Click(50, 50),)
