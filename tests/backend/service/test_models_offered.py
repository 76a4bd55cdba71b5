"""Which models may be offered to annotators' tools."""

from __future__ import annotations

import pytest

from backend.errors import InvalidSettings
from backend.service.models_offered import check_names


def test_segmenters_may_be_offered() -> None:
    check_names(["mobilesam", "ritm-hrnet18@sbd", "s2m@mine"])


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("mobile-sam", "did you mean mobilesam"),
        ("transt@n4", "transt is there to track boxes through video"),
    ],
)
def test_others_may_not(name: str, said: str) -> None:
    with pytest.raises(InvalidSettings, match=f"MASKLOOP_MODELS: .*{said}"):
        check_names(["mobilesam", name])
