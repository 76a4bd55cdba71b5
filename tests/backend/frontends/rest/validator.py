"""Holds values against the schemas of the OpenAPI document."""

from __future__ import annotations

from functools import cache
from typing import Any

from openapi_schema_validator import OAS31Validator
from referencing import Registry, Resource
from referencing.jsonschema import DRAFT202012

from backend.frontends.rest.openapi import document


@cache
def registry() -> Registry[Any]:
    resource = Resource.from_contents(document(), default_specification=DRAFT202012)
    found: Registry[Any] = Registry().with_resource("urn:document", resource)
    return found


def valid(name: str, value: Any) -> None:
    """Raises ValidationError where `value` is not of the schema called `name`."""
    reference = {"$ref": f"urn:document#/components/schemas/{name}"}
    OAS31Validator(reference, registry=registry()).validate(value)
