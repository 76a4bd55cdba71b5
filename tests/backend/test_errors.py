"""Every error has a code of its own and a place in the table to HTTP."""

from __future__ import annotations

import pytest

from backend.errors import HTTP_STATUS, MaskloopError, from_code


def every_error() -> list[type[MaskloopError]]:
    found = [MaskloopError]
    for kind in found:
        found.extend(kind.__subclasses__())
    return [kind for kind in found if kind.__module__ == MaskloopError.__module__]


def test_codes_are_unique_and_the_table_has_exactly_them() -> None:
    codes = [kind.code for kind in every_error()]
    assert len(set(codes)) == len(codes)
    assert set(codes) == set(HTTP_STATUS)


@pytest.mark.parametrize("kind", every_error(), ids=lambda kind: kind.code)
def test_an_error_crosses_the_queue_as_its_code(kind: type[MaskloopError]) -> None:
    back = from_code(kind.code, "clicks[0].x is nan; give a number", "clicks[0].x")
    assert type(back) is kind
    assert (str(back), back.field) == ("clicks[0].x is nan; give a number", "clicks[0].x")


def test_an_unknown_code_is_internal() -> None:
    assert type(from_code("of a newer version", "?")) is MaskloopError
