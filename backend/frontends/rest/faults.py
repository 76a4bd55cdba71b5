"""Faults in a request as sentences: which field, which value, what it should be."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from backend.errors import InvalidRequest
from backend.frontends.rest.schema import MASK_KINDS

SHOWN = 60
EXPECTED = {
    "model_type": "should be an object or a list",
    "string_pattern_mismatch": "should be 64 hex digits",
    "finite_number": "should be a finite number",
}


def invalid(error: ValidationError, model: type[BaseModel]) -> InvalidRequest:
    """The first fault that pydantic found in the input of `model`."""
    fault = error.errors(include_url=False)[0]
    field = place(fault["loc"])
    top = str(fault["loc"][0]) if fault["loc"] else ""
    return InvalidRequest(f"{_sentence(fault, field, model)}{_hint(top, model)}", field=top or None)


def place(location: tuple[int | str, ...]) -> str:
    """`("clicks", 0, "x")` as `clicks[0].x`."""
    text = ""
    for step in location:
        if step in MASK_KINDS:
            continue
        text += f"[{step}]" if isinstance(step, int) else f".{step}" if text else step
    return text


def shown(value: Any) -> str:
    """A value as JSON would show it, cut short."""
    try:
        text = json.dumps(value, default=str)
    except (ValueError, RecursionError):
        text = repr(value)
    return text if len(text) <= SHOWN else text[:SHOWN] + "..."


def _sentence(fault: ErrorDetails, field: str, model: type[BaseModel]) -> str:
    kind, value = fault["type"], shown(fault["input"])
    if kind == "missing":
        return f"{field} is missing"
    if kind == "extra_forbidden":
        known = ", ".join(model.model_fields)
        return f"{field} is not a field of this request; the fields are {known}"
    if not field:
        return f"the request should be a JSON object and is {value}"
    if kind in ("too_short", "too_long"):
        least, most = fault["ctx"].get("min_length"), fault["ctx"].get("max_length")
        bound = f"at least {least}" if kind == "too_short" else f"at most {most}"
        return f"{field} should have {bound} entries and has {fault['ctx']['actual_length']}"
    return f"{field} {EXPECTED.get(kind) or _expected(fault['msg'])} and is {value}"


def _expected(message: str) -> str:
    """Pydantic's own words after the field's name, without those that only it understands."""
    text = message.removeprefix("Value error, ").removeprefix("Input ").removeprefix("String ")
    return text.replace("a valid ", "a ", 1)


def _hint(top: str, model: type[BaseModel]) -> str:
    known = model.model_fields.get(top)
    if known is None or not known.description:
        return ""
    example = f", such as {json.dumps(known.examples[0])}" if known.examples else ""
    return f"; {top}: {known.description}{example}"
