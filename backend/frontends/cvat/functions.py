"""The models as CVAT's list of functions shows them; `function.yaml` carries the same words.

CVAT reads annotations as text and booleans by Python's truth, so `startswith_box` is left out:
any text there, "false" too, would force the annotator to draw a box first. A box is optional
(the switch is shown from CVAT 2.16.3 on) and enough alone, which takes `min_pos_points` "0"; with
`min_neg_points` left at CVAT's own -1 the right mouse button would be dead.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable
from typing import Any

from backend.errors import InvalidSettings
from backend.service.messages import ModelOffer

PREFIX = "maskloop-"
"""Keeps our ids apart from CVAT's own, one of which its page treats in a way of its own."""


def function_id(model: str) -> str:
    """The id of the function that serves `model`: lower-case letters, digits and dashes.

    `ritm-hrnet18@coco-lvis` is `maskloop-ritm-hrnet18-coco-lvis`.
    """
    return PREFIX + re.sub(r"[^a-z0-9]+", "-", model.lower()).strip("-")


def by_id(offers: Iterable[ModelOffer]) -> dict[str, ModelOffer]:
    """The models under their function ids. Raises InvalidSettings where two would share one."""
    found: dict[str, ModelOffer] = {}
    for offer in offers:
        other = found.setdefault(function_id(offer.name), offer)
        if other is not offer:
            raise InvalidSettings(
                f"the models {other.name} and {offer.name} would both be CVAT's function "
                f"{function_id(offer.name)}; offer one of them"
            )
    return found


def annotations_of(model: str, prompts: Collection[str]) -> dict[str, str]:
    """The annotations of the function that serves `model`, all of them text.

    `prompts` are the kinds of prompt that it answers. CVAT sends nothing before `min_pos_points`
    positive clicks are there, so a model that a box is not enough for needs one.
    """
    box = "box" in prompts
    sentences = ["Click the object; right-click what does not belong to it."]
    if box:
        sentences.append("A box around the object may come first, or stand alone")
    return {
        "type": "interactor",
        "name": f"Maskloop {model}",
        "version": "2",
        "spec": "[]",
        "min_pos_points": "0" if box else "1",
        "min_neg_points": "0",
        **({"startswith_box_optional": "true"} if box else {}),
        "help_message": " ".join(sentences),
    }


def description(model: str, prompts: Collection[str]) -> str:
    """One line on the function that serves `model`."""
    return f"Interactive segmentation with {model}: clicks of both signs" + (
        ", boxes" if "box" in prompts else ""
    )


def function(offer: ModelOffer, port: int, default: bool) -> dict[str, Any]:
    """A function as nuclio's dashboard describes it.

    A model that cannot answer is in state "error", for whoever looks with curl, and its
    description says why: CVAT itself has not read the state since about 2.15, but it shows the
    description, and a click says more through its error than a model that is missing from the
    list. Loading is no error: the click waits for it.
    """
    text = description(offer.name, offer.prompts)
    if not default:
        text += ". Needs CVAT_NUCLIO_INVOKE_METHOD=dashboard in CVAT's environment"
    if offer.problem:
        text += f". Cannot answer: {offer.problem}"
    return {
        "metadata": {
            "name": function_id(offer.name),
            "annotations": annotations_of(offer.name, offer.prompts),
        },
        "spec": {"description": text},
        "status": {"state": "error" if offer.problem else "ready", "httpPort": port},
    }
