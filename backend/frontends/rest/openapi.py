"""The OpenAPI 3.1 document of /api/v1, made from the same models that read and write."""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from backend.frontends.rest import schema
from backend.version import VERSION

OUTPUTS = (
    schema.SegmentOutput,
    schema.ModelsOutput,
    schema.ErrorOutput,
    schema.ReadyOutput,
    schema.HealthOutput,
)
FILE = {"type": "string", "contentMediaType": "application/octet-stream"}


def document() -> dict[str, Any]:
    """The whole document, as JSON values."""
    models = [(schema.SegmentInput, "validation"), *((model, "serialization") for model in OUTPUTS)]
    _, definitions = models_json_schema(
        models,  # type: ignore[arg-type]
        ref_template="#/components/schemas/{model}",
    )
    schemas = definitions["$defs"]
    schemas["SegmentForm"] = _form(schemas["SegmentInput"])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Maskloop",
            "version": VERSION,
            "description": "Clicks, boxes and scribbles on a picture become a mask.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": "/"}],
        "security": [{}, {"bearer": []}, {"header": []}, {"basic": []}],
        "paths": _paths(),
        "components": {
            "schemas": schemas,
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer"},
                "header": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
    }


def _paths() -> dict[str, Any]:
    segment = {
        "operationId": "segment",
        "summary": "The mask of one prompt.",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": _ref(schema.SegmentInput)},
                "multipart/form-data": {"schema": {"$ref": "#/components/schemas/SegmentForm"}},
            },
        },
        "responses": _responses(
            schema.SegmentOutput,
            "The mask; as a PNG alone where the Accept header asks for image/png.",
            png={"image/png": {"schema": FILE}},
        ),
    }
    ready = _get("readyz", "Whether a click would be answered now.", schema.ReadyOutput)
    ready["responses"]["503"] = _response("What is missing.", schema.ReadyOutput)
    return {
        "/api/v1/segment": {"post": segment},
        "/api/v1/models": {"get": _get("models", "What is served here.", schema.ModelsOutput)},
        "/healthz": {"get": _get("healthz", "Whether the process lives.", schema.HealthOutput)},
        "/readyz": {"get": ready},
    }


def _get(name: str, summary: str, model: type[BaseModel]) -> dict[str, Any]:
    return {
        "operationId": name,
        "summary": summary,
        "responses": _responses(model, summary),
    }


def _responses(
    model: type[BaseModel], description: str, png: dict[str, Any] | None = None
) -> dict[str, Any]:
    answer = _response(description, model)
    answer["content"].update(png or {})
    return {"200": answer, "default": _response("What was wrong.", schema.ErrorOutput)}


def _response(description: str, model: type[BaseModel]) -> dict[str, Any]:
    return {
        "description": description,
        "content": {"application/json": {"schema": _ref(model)}},
    }


def _ref(model: type[BaseModel]) -> dict[str, str]:
    return {"$ref": f"#/components/schemas/{model.__name__}"}


def _form(json_input: dict[str, Any]) -> dict[str, Any]:
    """The form has the same fields, with the pictures as files and one part for JSON."""
    fields = {
        **json_input["properties"],
        "image": {**FILE, "description": "The picture file."},
        "request": {
            "$ref": "#/components/schemas/SegmentInput",
            "description": "Several fields at once; a field of the form overrides it.",
        },
    }
    fields["mask"] = {
        "anyOf": [FILE, json_input["properties"]["mask"]],
        "description": "The mask to start from: a PNG file, or RLE as JSON.",
    }
    return {
        "type": "object",
        "title": "SegmentForm",
        "description": "SegmentInput as a form; fields that are no plain text are JSON.",
        "properties": fields,
        "additionalProperties": False,
    }
