from __future__ import annotations

import gzip
from collections.abc import Mapping

import pytest

from backend.errors import BodyTooLarge, ImageForbidden, ImageUnreachable, InvalidRequest
from backend.frontends.label_studio.download import Downloader, Refused
from backend.frontends.label_studio.policy import Policy, Url, split
from tests.backend.frontends.label_studio.stand_in import StandIn, running, ticking

PICTURE = bytes(range(256)) * 40


def nothing(url: Url) -> Mapping[str, str]:
    return {}


def downloader(*allowed: StandIn, max_bytes: int = 1 << 20, seconds: float = 10) -> Downloader:
    hosts = tuple(f"127.0.0.1:{each.port}" for each in allowed)
    return Downloader(Policy(None, hosts), max_bytes, seconds)


def test_a_body_comes_with_its_media_type(elsewhere: StandIn) -> None:
    elsewhere.files["/a.png"] = PICTURE
    found = downloader(elsewhere).get(f"{elsewhere.url}/a.png?x=1", nothing)
    assert (found.data, found.media_type) == (PICTURE, "image/png")
    assert elsewhere.asked[0].query == "x=1"


def test_the_connection_goes_to_the_address_that_was_checked(elsewhere: StandIn) -> None:
    elsewhere.files["/a.png"] = PICTURE
    asked: list[str] = []

    def resolve(host: str, port: int) -> list[str]:
        asked.append(host)
        return ["127.0.0.1"]

    policy = Policy(None, (f"pictures.example:{elsewhere.port}",))
    address = f"http://pictures.example:{elsewhere.port}/a.png"
    found = Downloader(policy, 1 << 20, 10, resolve=resolve).get(address, nothing)
    assert found.data == PICTURE
    assert asked == ["pictures.example"]
    assert elsewhere.asked[0].host == f"pictures.example:{elsewhere.port}"


def test_the_next_address_of_a_host_is_tried(elsewhere: StandIn) -> None:
    elsewhere.files["/a.png"] = PICTURE
    policy = Policy(None, (f"pictures.example:{elsewhere.port}",))
    address = f"http://pictures.example:{elsewhere.port}/a.png"
    both = Downloader(policy, 1 << 20, 10, resolve=lambda host, port: ["::1", "127.0.0.1"])
    assert both.get(address, nothing).data == PICTURE


def test_a_name_that_comes_to_mean_another_machine_gains_nothing(elsewhere: StandIn) -> None:
    answers = [["169.254.169.254"]]
    policy = Policy(None, (f"pictures.example:{elsewhere.port}",))
    rebinding = Downloader(policy, 1 << 20, 10, resolve=lambda host, port: answers.pop())
    with pytest.raises(ImageForbidden, match=r"pictures\.example"):
        rebinding.get(f"http://pictures.example:{elsewhere.port}/a.png", nothing)
    assert elsewhere.asked == []


def test_a_redirect_is_followed_to_a_listed_host_only(elsewhere: StandIn) -> None:
    with running(open=True, files={"/b.png": PICTURE}) as other:
        elsewhere.redirects["/a.png"] = f"{other.url}/b.png"
        assert downloader(elsewhere, other).get(f"{elsewhere.url}/a.png", nothing).data == PICTURE
        with pytest.raises(ImageForbidden, match=f"127.0.0.1:{other.port}"):
            downloader(elsewhere).get(f"{elsewhere.url}/a.png", nothing)
        assert len(other.asked) == 1


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://127.0.0.1/a", "http://user@127.0.0.1/"]
)
def test_a_redirect_to_what_is_no_http_address_is_refused(elsewhere: StandIn, target: str) -> None:
    elsewhere.redirects["/a.png"] = target
    with pytest.raises(InvalidRequest):
        downloader(elsewhere).get(f"{elsewhere.url}/a.png", nothing)


def test_headers_are_decided_for_every_hop(elsewhere: StandIn) -> None:
    with running(open=True, files={"/b.png": PICTURE}) as other:
        elsewhere.redirects["/a.png"] = f"{other.url}/b.png"

        def headers(url: Url) -> Mapping[str, str]:
            return {"Authorization": "Token secret"} if url.port == elsewhere.port else {}

        downloader(elsewhere, other).get(f"{elsewhere.url}/a.png", headers)
        assert elsewhere.asked[0].authorization == "Token secret"
        assert other.asked[0].authorization is None


def test_redirects_come_to_an_end(elsewhere: StandIn) -> None:
    elsewhere.redirects["/a.png"] = "/a.png"
    with pytest.raises(ImageUnreachable, match="redirects more than 5 times"):
        downloader(elsewhere).get(f"{elsewhere.url}/a.png", nothing)


@pytest.mark.parametrize("status", [401, 403, 404, 500])
def test_another_status_than_success_is_told(elsewhere: StandIn, status: int) -> None:
    elsewhere.statuses["/a.png"] = [status]
    with pytest.raises(Refused) as caught:
        downloader(elsewhere).get(f"{elsewhere.url}/a.png?Signature=secret", nothing)
    assert caught.value.status == status
    assert "secret" not in str(caught.value)


def test_a_server_that_stumbles_is_asked_again(elsewhere: StandIn) -> None:
    elsewhere.files["/a.png"] = PICTURE
    elsewhere.statuses["/a.png"] = [503, 503, 200]
    downloader(elsewhere).get(f"{elsewhere.url}/a.png", nothing)
    assert len(elsewhere.asked) == 3


def test_too_many_bytes_are_refused_by_their_announcement(elsewhere: StandIn) -> None:
    elsewhere.files["/a.png"] = PICTURE
    with pytest.raises(BodyTooLarge, match="MASKLOOP_MAX_IMAGE_BYTES"):
        downloader(elsewhere, max_bytes=len(PICTURE) - 1).get(f"{elsewhere.url}/a.png", nothing)
    exact = downloader(elsewhere, max_bytes=len(PICTURE))
    assert exact.get(f"{elsewhere.url}/a.png", nothing).data == PICTURE


def test_a_body_that_unpacks_to_too_many_bytes_is_refused(elsewhere: StandIn) -> None:
    packed = gzip.compress(bytes(1 << 20))
    assert len(packed) < 10_000
    elsewhere.files["/a.png"] = packed
    elsewhere.media_type = "image/png\r\nContent-Encoding: gzip"
    with pytest.raises(BodyTooLarge):
        downloader(elsewhere, max_bytes=10_000).get(f"{elsewhere.url}/a.png", nothing)


def test_a_body_that_is_cut_off_is_unreachable(elsewhere: StandIn) -> None:
    elsewhere.files["/a.png"] = PICTURE
    elsewhere.announced = len(PICTURE) + 1
    with pytest.raises(ImageUnreachable, match=r"a\.png cannot be fetched"):
        downloader(elsewhere).get(f"{elsewhere.url}/a.png", nothing)


def test_a_body_that_drips_in_is_given_up(elsewhere: StandIn) -> None:
    elsewhere.files["/a.png"] = PICTURE
    elsewhere.trickle = 0.001
    clock, move = ticking()
    seen: list[float] = []

    def hurrying() -> float:
        move(0.5)
        seen.append(clock())
        return clock()

    policy = Policy(None, (f"127.0.0.1:{elsewhere.port}",))
    slow = Downloader(policy, 1 << 20, 3, clock=hurrying)
    with pytest.raises(ImageUnreachable, match="longer than 3 s"):
        slow.get(f"{elsewhere.url}/a.png", nothing)
    assert len(seen) < 20


def test_a_port_where_nobody_listens_is_unreachable() -> None:
    with running(open=True) as gone:
        pass
    with pytest.raises(ImageUnreachable, match="inside a container is not localhost"):
        downloader(gone).get(f"{gone.url}/a.png", nothing)


def test_a_certificate_nobody_signed_is_refused(elsewhere: StandIn) -> None:
    policy = Policy(split(f"https://127.0.0.1:{elsewhere.port}"))
    with pytest.raises(ImageUnreachable, match="cannot be fetched"):
        Downloader(policy, 1 << 20, 5).get(f"https://127.0.0.1:{elsewhere.port}/a", nothing)
