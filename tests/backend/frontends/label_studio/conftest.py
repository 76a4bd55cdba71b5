from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.backend.frontends.label_studio.stand_in import StandIn, running


@pytest.fixture
def label_studio() -> Iterator[StandIn]:
    """A stand-in for Label Studio that wants a token."""
    with running() as stand_in:
        yield stand_in


@pytest.fixture
def elsewhere() -> Iterator[StandIn]:
    """Another server on this machine: a bucket, say."""
    with running(open=True) as stand_in:
        yield stand_in
