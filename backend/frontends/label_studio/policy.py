"""Which addresses a picture may be fetched from, and which machine a host name may mean.

Pictures come from the configured Label Studio and from listed hosts, and from nowhere else. A
host name is resolved once, its addresses are checked, and the connection goes to a checked one:
a name that changes its meaning in between gains nothing.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable
from dataclasses import dataclass
from enum import Enum
from urllib.parse import SplitResult, quote, urlsplit

from backend.errors import ImageForbidden, ImageUnreachable, InvalidRequest

PORTS = {"http": 80, "https": 443}

Resolve = Callable[[str, int], list[str]]
"""The addresses of a host and port, as text, in the order in which to try them."""


class Trust(Enum):
    """Why a host may be asked."""

    LABEL_STUDIO = "the configured Label Studio"
    LISTED = "listed by its name"
    PATTERN = "listed by a pattern"


@dataclass(frozen=True, slots=True)
class Url:
    """An http(s) address taken apart, with nothing in it that two readers could read differently.

    `host` is lower case ASCII without a final dot; `target` the path and query to ask for.
    """

    scheme: str
    host: str
    port: int
    target: str

    @property
    def authority(self) -> str:
        """Host, and the port unless it is the scheme's own."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == PORTS[self.scheme] else f"{host}:{self.port}"

    @property
    def path(self) -> str:
        """The path without the query, which may hold a signature."""
        return self.target.partition("?")[0]

    @property
    def shown(self) -> str:
        """The address for people and logs: without the query."""
        return f"{self.scheme}://{self.authority}{self.path}"

    def __str__(self) -> str:
        return f"{self.scheme}://{self.authority}{self.target}"


def split(address: str) -> Url:
    """Take an http(s) address apart. Raises InvalidRequest where it is none."""
    try:
        parts = urlsplit(address)
        port = parts.port
        host = _ascii(parts.hostname or "")
    except ValueError as error:
        raise _no_address(address, str(error)) from None
    if parts.scheme not in PORTS or not host:
        raise _no_address(address, "it has no http(s) host")
    if parts.username is not None or parts.password is not None:
        raise _no_address(address, "it carries a user name")
    return Url(parts.scheme, host, port or PORTS[parts.scheme], _target(parts))


def _ascii(host: str) -> str:
    """The host name as it goes onto the wire. Raises ValueError (UnicodeError is one)."""
    if ":" in host:
        return str(ipaddress.IPv6Address(host))
    return host.rstrip(".").encode("idna").decode("ascii").lower()


def _target(parts: SplitResult) -> str:
    safe = "/%:@!$&'()*+,;=~-._?"
    path = quote(parts.path, safe) or "/"
    return f"{path}?{quote(parts.query, safe + '[]{}|')}" if parts.query else path


def _no_address(address: str, why: str) -> InvalidRequest:
    # Everything behind the path may be a secret.
    shown = address.partition("?")[0]
    return InvalidRequest(
        f"the task's picture address {shown!r:.200} cannot be used: {why}", field="data"
    )


@dataclass(frozen=True, slots=True)
class Policy:
    """The hosts that may be asked. `allowed` are names, with a port if any; `*.name` matches below.

    An entry without a port means the ports 80 and 443.
    """

    label_studio: Url | None
    allowed: tuple[str, ...] = ()

    def is_label_studio(self, url: Url) -> bool:
        """Whether an address is on Label Studio itself, or on its TLS side."""
        home = self.label_studio
        if home is None or url.host != home.host:
            return False
        upgraded = (home.scheme, home.port, url.scheme, url.port) == ("http", 80, "https", 443)
        return (home.scheme, home.port) == (url.scheme, url.port) or upgraded

    def trust(self, url: Url) -> Trust:
        """Why this address may be fetched. Raises ImageForbidden where it may not."""
        if self.is_label_studio(url):
            return Trust.LABEL_STUDIO
        trusts = [trust for entry in self.allowed if (trust := _matches(entry, url))]
        if not trusts:
            home = self.label_studio.authority if self.label_studio else "not set"
            raise ImageForbidden(
                f"pictures may not be fetched from {url.authority}: it is neither Label Studio "
                f"(LABEL_STUDIO_URL is {home}) nor in MASKLOOP_ALLOWED_HOSTS; add it there if you "
                "trust it",
                field="data",
            )
        return Trust.LISTED if Trust.LISTED in trusts else Trust.PATTERN


def _matches(entry: str, url: Url) -> Trust | None:
    name, port = entry.lower(), ""
    if not entry.startswith("[") and entry.count(":") == 1:
        name, _, port = name.partition(":")
    elif "]:" in entry:
        name, _, port = name.rpartition(":")
    ports = {port} if port else {str(known) for known in PORTS.values()}
    if str(url.port) not in ports:
        return None
    name = name.strip("[]").rstrip(".")
    if name.startswith("*."):
        return Trust.PATTERN if url.host.endswith(name[1:]) else None
    return Trust.LISTED if url.host == name else None


def look_up(host: str, port: int) -> list[str]:
    """The addresses of a host by the system's resolver. Raises OSError (gaierror)."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(str(entry[4][0]) for entry in found))


def addresses(url: Url, trust: Trust, resolve: Resolve = look_up) -> list[str]:
    """The addresses a host means, those only that its trust permits.

    A listed host may be in a private network, a match of a pattern may not; link-local
    addresses, where clouds keep their credentials, are for nobody who does not name them.
    Raises ImageUnreachable where the name means nothing, ImageForbidden where all is refused.
    """
    try:
        found = resolve(url.host, url.port)
    except (OSError, UnicodeError) as error:
        raise ImageUnreachable(
            f"the host {url.host} of the picture's address is unknown on this machine ({error}); "
            "inside a container use the name of the service, not localhost",
            field="data",
        ) from error
    kept = [address for address in found if _permitted(address, url.host, trust)]
    if not kept:
        raise ImageForbidden(
            f"pictures may not be fetched from {url.host}: it means {', '.join(found) or 'nothing'}"
            ", which is not an address that this host may have here",
            field="data",
        )
    return kept


def _permitted(address: str, host: str, trust: Trust) -> bool:
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address) and ip.ipv4_mapped:
        ip = ip.ipv4_mapped
    if trust is Trust.PATTERN:
        return ip.is_global and not ip.is_multicast
    named = host == address
    return named or not (ip.is_link_local or ip.is_multicast or ip.is_unspecified)
