"""The list of functions, read as CVAT's server reads it."""

from __future__ import annotations

import json
import re

import pytest

from backend.errors import InvalidSettings
from backend.frontends.cvat import functions
from backend.service.messages import ModelOffer
from models import zoo

ID_IN_CVATS_ADDRESSES = re.compile(r"[a-zA-Z0-9_.-]+")
DNS_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")
PROMPTS = ("clicks", "box", "scribbles", "mask")


def offer(name: str, problem: str | None = None) -> ModelOffer:
    return ModelOffer(name, None, False, PROMPTS, problem)


def every_model() -> list[str]:
    return [
        name
        for architecture in zoo.SEGMENTERS.values()
        for name in (
            architecture.name,
            *(f"{architecture.name}@{file.name}" for file in architecture.weights),
        )
    ]


def test_ids_are_valid_everywhere_and_differ() -> None:
    ids = [functions.function_id(name) for name in every_model()]
    assert "maskloop-mobilesam" in ids
    assert "maskloop-ritm-hrnet18-coco-lvis" in ids
    assert len(set(ids)) == len(ids)
    for name in ids:
        assert DNS_LABEL.fullmatch(name)
        assert ID_IN_CVATS_ADDRESSES.fullmatch(name)
        assert name != "pth-facebookresearch-sam-vit-h"


def test_two_models_under_one_id_are_refused() -> None:
    with pytest.raises(InvalidSettings, match=r"a@b.*a-b"):
        functions.by_id([offer("a@b"), offer("a-b")])


def test_annotations_read_with_cvats_own_rules() -> None:
    found = functions.annotations_of("mobilesam", PROMPTS)
    assert all(type(value) is str for value in found.values())
    assert found["type"] == "interactor"
    assert int(found["version"]) == 2
    assert json.loads(found["spec"]) == []
    assert int(found["min_pos_points"]) == 0
    assert int(found["min_neg_points"]) == 0
    assert not bool(found.get("startswith_box", False))
    assert bool(found.get("startswith_box_optional", False))
    assert "supported_shape_types" not in found


def test_a_model_that_a_box_is_not_enough_for_waits_for_a_click() -> None:
    found = functions.annotations_of("net", ("clicks", "mask"))
    assert (found["min_pos_points"], found["min_neg_points"]) == ("1", "0")
    assert "startswith_box_optional" not in found
    assert "box" not in found["help_message"] + functions.description("net", ("clicks",))


def test_a_function_has_what_cvat_reads_without_a_default() -> None:
    found = functions.function(offer("mobilesam"), 9090, default=True)
    assert found["metadata"]["name"] == "maskloop-mobilesam"
    assert found["metadata"]["annotations"] == functions.annotations_of("mobilesam", PROMPTS)
    assert found["spec"]["description"] == functions.description("mobilesam", PROMPTS)
    assert found["status"] == {"state": "ready", "httpPort": 9090}


def test_a_model_that_cannot_answer_says_so_and_stays_in_the_list() -> None:
    problem = "weights are missing: python -m backend weights pull mobilesam"
    found = functions.function(offer("mobilesam", problem), 9090, default=True)
    assert found["status"]["state"] == "error"
    assert problem in found["spec"]["description"]


def test_only_the_default_model_can_be_called_directly() -> None:
    words = "CVAT_NUCLIO_INVOKE_METHOD=dashboard"
    default = functions.function(offer("mobilesam"), 1, default=True)
    other = functions.function(offer("ritm-hrnet18s"), 1, default=False)
    assert words not in default["spec"]["description"]
    assert words in other["spec"]["description"]
