from __future__ import annotations

import socket

import pytest

from backend.errors import ImageForbidden, ImageUnreachable, InvalidRequest
from backend.frontends.label_studio.policy import Policy, Trust, Url, addresses, look_up, split

HOME = split("http://label-studio:8080/ls")


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://Host/a b.jpg", Url("http", "host", 80, "/a%20b.jpg")),
        ("https://host:8443/a?x=1&y=%2F", Url("https", "host", 8443, "/a?x=1&y=%2F")),
        ("http://host", Url("http", "host", 80, "/")),
        ("http://host.:81/", Url("http", "host", 81, "/")),
        ("http://[::1]:9/a", Url("http", "::1", 9, "/a")),
        ("http://bücher.example/ü.jpg", Url("http", "xn--bcher-kva.example", 80, "/%C3%BC.jpg")),
        ("http://host/a#part", Url("http", "host", 80, "/a")),
    ],
)
def test_an_address_is_taken_apart_in_one_way(address: str, expected: Url) -> None:
    assert split(address) == expected


@pytest.mark.parametrize(
    "address",
    [
        "ftp://host/a",
        "file:///etc/passwd",
        "http://",
        "http:///a",
        "http://user:word@host/a",
        "http://good@evil/a",
        "http://host:99999/",
        "http://host:port/",
        "http://[::1/",
        "http://" + "a" * 70 + ".example/",
        "//host/a",
        "",
    ],
)
def test_what_two_readers_might_read_differently_is_refused(address: str) -> None:
    with pytest.raises(InvalidRequest, match="picture address"):
        split(address)


def test_a_query_is_never_shown() -> None:
    url = split("https://bucket/a.jpg?Signature=secret")
    assert "secret" not in url.shown
    with pytest.raises(InvalidRequest) as caught:
        split("ftp://bucket/a.jpg?Signature=secret")
    assert "secret" not in caught.value.message


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("http://label-studio:8080/data/upload/1/a.jpg", True),
        ("http://label-studio:8081/data", False),
        ("https://label-studio:8080/data", False),
        ("http://label-studio.evil:8080/data", False),
        ("http://evil/label-studio:8080", False),
    ],
)
def test_label_studio_is_scheme_host_and_port(address: str, expected: bool) -> None:
    assert Policy(HOME).is_label_studio(split(address)) is expected


def test_label_studio_may_move_to_its_tls_side() -> None:
    policy = Policy(split("http://ls.example"))
    assert policy.is_label_studio(split("https://ls.example/data"))
    assert not Policy(split("https://ls.example")).is_label_studio(split("http://ls.example/data"))


@pytest.mark.parametrize(
    ("entry", "address", "trust"),
    [
        ("images.example", "https://images.example/a", Trust.LISTED),
        ("images.example", "http://IMAGES.example/a", Trust.LISTED),
        ("images.example", "http://images.example:8000/a", None),
        ("images.example:8000", "http://images.example:8000/a", Trust.LISTED),
        ("images.example:8000", "http://images.example/a", None),
        ("images.example", "http://images.example.evil/a", None),
        ("images.example", "http://evil/images.example", None),
        ("*.s3.example", "https://bucket.s3.example/a", Trust.PATTERN),
        ("*.s3.example", "https://s3.example/a", None),
        ("*.s3.example", "https://evils3.example/a", None),
        ("127.0.0.1:9000", "http://127.0.0.1:9000/a", Trust.LISTED),
        ("[::1]:9000", "http://[::1]:9000/a", Trust.LISTED),
        ("127.0.0.1", "http://2130706433/a", None),
    ],
)
def test_a_listed_host_is_name_and_port(entry: str, address: str, trust: Trust | None) -> None:
    policy = Policy(None, (entry,))
    if trust is None:
        with pytest.raises(ImageForbidden, match="MASKLOOP_ALLOWED_HOSTS"):
            policy.trust(split(address))
    else:
        assert policy.trust(split(address)) is trust


def test_nothing_is_allowed_by_default() -> None:
    with pytest.raises(ImageForbidden, match="LABEL_STUDIO_URL is not set"):
        Policy(None).trust(split("https://images.example/a"))


@pytest.mark.parametrize(
    ("trust", "found", "kept"),
    [
        (Trust.LABEL_STUDIO, ["127.0.1.1", "10.0.0.1"], ["127.0.1.1", "10.0.0.1"]),
        (Trust.LISTED, ["192.168.1.2", "93.184.216.34"], ["192.168.1.2", "93.184.216.34"]),
        (Trust.PATTERN, ["10.0.0.1", "93.184.216.34"], ["93.184.216.34"]),
        (Trust.LISTED, ["169.254.169.254", "8.8.8.8"], ["8.8.8.8"]),
        (Trust.PATTERN, ["::1", "2606:4700::1111"], ["2606:4700::1111"]),
        (Trust.PATTERN, ["::ffff:10.0.0.1", "8.8.8.8"], ["8.8.8.8"]),
    ],
)
def test_only_permitted_addresses_of_a_host_are_kept(
    trust: Trust, found: list[str], kept: list[str]
) -> None:
    url = split("http://images.example/a")
    assert addresses(url, trust, lambda host, port: found) == kept


@pytest.mark.parametrize("found", [["169.254.169.254"], ["::"], ["224.0.0.1"], []])
def test_a_host_that_means_none_but_refused_addresses_is_forbidden(found: list[str]) -> None:
    url = split("http://images.example/a")
    with pytest.raises(ImageForbidden, match=r"images\.example"):
        addresses(url, Trust.LISTED, lambda host, port: found)


def test_a_host_that_nobody_knows_is_unreachable() -> None:
    def unknown(host: str, port: int) -> list[str]:
        raise socket.gaierror(-2, "Name or service not known")

    with pytest.raises(ImageUnreachable, match="label-studio of the picture's address is unknown"):
        addresses(HOME, Trust.LABEL_STUDIO, unknown)


def test_the_systems_resolver_gives_addresses() -> None:
    assert look_up("127.0.0.1", 80) == ["127.0.0.1"]
