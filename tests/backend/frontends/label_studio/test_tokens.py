from __future__ import annotations

import pytest

from backend.errors import ImageUnreachable
from backend.frontends.label_studio.download import Downloader
from backend.frontends.label_studio.policy import Policy, split
from backend.frontends.label_studio.tokens import Instance, Tokens, is_personal
from tests.backend.frontends.label_studio.stand_in import LEGACY, PERSONAL, StandIn, ticking


def reaching(label_studio: StandIn) -> Downloader:
    return Downloader(Policy(split(label_studio.url)), 1 << 20, 5)


def test_a_legacy_token_goes_out_as_it_is(label_studio: StandIn) -> None:
    header = Tokens().header(Instance(label_studio.url, LEGACY), reaching(label_studio))
    assert header == f"Token {LEGACY}"
    assert label_studio.asked == []


def test_no_token_is_no_header(label_studio: StandIn) -> None:
    assert Tokens().header(Instance(label_studio.url, None), reaching(label_studio)) is None


def test_a_personal_token_is_exchanged_once_and_renewed_before_its_end(
    label_studio: StandIn,
) -> None:
    clock, move = ticking()
    tokens, instance = Tokens(clock), Instance(label_studio.url, PERSONAL)
    reach = reaching(label_studio)
    first = tokens.header(instance, reach)
    move(269)
    assert tokens.header(instance, reach) == first
    assert first == f"Bearer {label_studio.issued[0]}"
    move(2)
    assert tokens.header(instance, reach) == f"Bearer {label_studio.issued[1]}"
    assert label_studio.paths == ["POST /api/token/refresh"] * 2


def test_an_access_token_that_was_refused_is_renewed_once_for_all(label_studio: StandIn) -> None:
    tokens, instance = Tokens(), Instance(label_studio.url, PERSONAL)
    reach = reaching(label_studio)
    first = tokens.header(instance, reach)
    assert tokens.renewable(instance, first)
    second = tokens.header(instance, reach)
    assert second != first
    # A thread that was refused with the first one must not throw the second one away.
    assert tokens.renewable(instance, first)
    assert tokens.header(instance, reach) == second


def test_a_legacy_token_cannot_be_renewed(label_studio: StandIn) -> None:
    assert not Tokens().renewable(Instance(label_studio.url, LEGACY), f"Token {LEGACY}")


def test_a_personal_token_that_is_not_accepted_is_named(label_studio: StandIn) -> None:
    instance = Instance(label_studio.url, PERSONAL[:-4] + "AAAA")
    with pytest.raises(ImageUnreachable, match="did not accept the personal access token") as error:
        Tokens().header(instance, reaching(label_studio))
    assert PERSONAL[:20] not in error.value.message


def test_a_server_that_is_no_label_studio_is_named(label_studio: StandIn) -> None:
    label_studio.prefix = "/elsewhere"
    instance = Instance(label_studio.url.removesuffix("/elsewhere"), PERSONAL)
    with pytest.raises(ImageUnreachable, match="answered 404"):
        Tokens().header(instance, reaching(label_studio))


def test_the_kinds_of_token_are_told_apart() -> None:
    assert is_personal(PERSONAL)
    assert not is_personal(LEGACY)
    assert not is_personal("a.b.c")
