"""From a picture's address in a task to its bytes: every kind that Label Studio knows.

| address | from where |
|---|---|
| `data:image/...;base64,` | the address itself |
| `/data/upload/...`, `upload/...` | Label Studio, or its media directory if that can be read here |
| `/data/local-files/?d=...` and any other path | Label Studio |
| `s3://`, `gs://`, `azure-blob://` | where Label Studio's presign address redirects to |
| `http(s)://` | that host, if the policy knows it |

Local files always come through Label Studio, which alone knows what a project may read.
"""

from __future__ import annotations

import base64
import binascii
import logging
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import parse_qsl, quote, unquote, unquote_to_bytes, urlencode

from backend.errors import BodyTooLarge, ImageUnreachable, InvalidRequest
from backend.frontends.label_studio import refusals
from backend.frontends.label_studio.download import Downloaded, Downloader, Refused
from backend.frontends.label_studio.policy import Policy, Resolve, Url, look_up, split
from backend.frontends.label_studio.recent import RecentPictures
from backend.frontends.label_studio.tokens import Instance, Tokens
from backend.settings import Settings

log = logging.getLogger(__name__)

FETCH_SECONDS = 15.0
CACHED_BYTES = 128 << 20
CLOUD = ("s3:", "gs:", "azure-blob:")
UPLOAD = re.compile(r"/?(?:data/)?(upload/(\d+)/([^/?#]+))$")
DATA_ADDRESS = re.compile(r"data:(image/[\w.+-]+)?(?:;[\w=.+-]+)*?(;base64)?,", re.IGNORECASE)
SIGNATURES = re.compile(
    r"(?i)x-(amz|goog|oss|cos)-.*|signature|expires|awsaccesskeyid|googleaccessid|key-pair-id"
    r"|policy|sig|se|sp|sv|sr|st|spr|sk[a-z]+|token"
)
"""Query parameters that change from one presigned address of a picture to the next."""


@dataclass(frozen=True, slots=True)
class Source:
    """Whose picture it is: task and project as the request names them, and their Label Studio.

    `alias` is the address that Label Studio has for browsers, where it differs.
    """

    task: str | None = None
    project: str | None = None
    instance: Instance | None = None
    alias: str | None = None


@dataclass
class Images:
    """Fetches pictures under the network policy and keeps the last ones for a while."""

    settings: Settings
    tokens: Tokens = field(default_factory=Tokens)
    resolve: Resolve = look_up
    seconds: float = FETCH_SECONDS

    def __post_init__(self) -> None:
        self._recent = RecentPictures(min(CACHED_BYTES, self.settings.picture_cache_bytes))

    def fetch(self, address: str, source: Source) -> bytes:
        """The encoded picture behind an address of a task.

        Raises InvalidRequest for an address of no known kind, ImageForbidden where the policy
        refuses it, ImageUnreachable, BodyTooLarge.
        """
        if address[:5].lower() == "data:":
            return self._inline(address)
        address = _on_label_studio(address, source)
        if (path := self._on_disk(address)) is not None:
            return self._read(path)
        candidates = self._candidates(address, source)
        key = (source.project, source.task, _unsigned(candidates[0]))
        return self._recent.get(key, lambda: self._first_of(candidates, address, source))

    def _inline(self, address: str) -> bytes:
        head = DATA_ADDRESS.match(address)
        if head is None:
            raise InvalidRequest(
                f"the task's picture address {address[:40]!r}... is no data:image/...;base64, "
                "address",
                field="data",
            )
        body = address[head.end() :]
        if len(body) * 3 // 4 > self.settings.max_image_bytes + 2:
            raise BodyTooLarge(
                f"the picture in the task's data has more than {self.settings.max_image_bytes} "
                "bytes; use a smaller one or raise MASKLOOP_MAX_IMAGE_BYTES",
                field="data",
            )
        if not head[2]:
            return unquote_to_bytes(body)
        try:
            return base64.b64decode(unquote(body).encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError) as error:
            raise InvalidRequest(
                f"the picture in the task's data is not valid base64: {error}", field="data"
            ) from None

    def _on_disk(self, address: str) -> Path | None:
        """An upload in Label Studio's media directory, where this machine can read that."""
        upload = UPLOAD.match(address)
        if upload is None or self.settings.label_studio_files is None:
            return None
        folder = (self.settings.label_studio_files / "upload" / upload[2]).resolve()
        for name in (upload[3], unquote(upload[3])):
            path = (folder / name).resolve()
            if path.parent == folder and path.is_file():
                return path
        return None

    def _read(self, path: Path) -> bytes:
        if path.stat().st_size > self.settings.max_image_bytes:
            raise BodyTooLarge(
                f"{path.name} has more than {self.settings.max_image_bytes} bytes; use a smaller "
                "picture or raise MASKLOOP_MAX_IMAGE_BYTES",
                field="data",
            )
        return path.read_bytes()

    def _candidates(self, address: str, source: Source) -> list[str]:
        """The http(s) addresses to try, in this order."""
        if address.lower().startswith(("http://", "https://")):
            return [address]
        if address.startswith(CLOUD):
            return [self._presign(address, source)]
        if not address.startswith(("/", "upload/", "data/", "storage-data/")):
            raise InvalidRequest(
                f"the task's picture address {address!r:.200} is of no known kind: use an upload, "
                "a storage of the project, or a data:, http: or https: address",
                field="data",
            )
        home = _home(address, source)
        upload = UPLOAD.match(address)
        if upload is not None:
            stored = urlencode({"filepath": unquote(upload[1])})
            return [f"{home}/data/{upload[1]}", f"{home}/storage-data/uploaded/?{stored}"]
        return [f"{home}/{address.lstrip('/')}"]

    def _presign(self, address: str, source: Source) -> str:
        if source.task is None:
            raise InvalidRequest(
                f"the picture {address!r:.200} lies in a cloud storage, which needs the task's id",
                field="tasks.id",
            )
        coded = base64.urlsafe_b64encode(address.encode()).decode()
        home = _home(address, source)
        return f"{home}/tasks/{quote(source.task, '')}/presign/?fileuri={quote(coded)}"

    def _first_of(self, candidates: list[str], address: str, source: Source) -> bytes:
        try:
            return self._download(candidates[0], source)
        except Refused as error:
            if error.status != 401:
                for candidate in candidates[1:]:
                    with suppress(Refused):
                        return self._download(candidate, source)
            policy = self._policy(source)
            raise refusals.sentence(error, address, policy, source.instance) from error

    def _download(self, address: str, source: Source) -> bytes:
        policy, instance = self._policy(source), source.instance
        downloader = Downloader(
            policy, self.settings.max_image_bytes, self.seconds, resolve=self.resolve
        )
        sent: list[str | None] = []

        def headers(url: Url) -> dict[str, str]:
            if instance is None or not policy.is_label_studio(url):
                return {}
            sent.append(self.tokens.header(instance, downloader))
            return {"Authorization": sent[-1]} if sent[-1] else {}

        try:
            found = downloader.get(address, headers)
        except Refused as error:
            renewable = instance is not None and sent and policy.is_label_studio(error.url)
            if error.status != 401 or not renewable or instance is None:
                raise
            if not self.tokens.renewable(instance, sent[-1]):
                raise
            found = downloader.get(address, headers)
        log.info("fetched %s, %d bytes", found.url.shown, len(found.data))
        return _picture(found)

    def _policy(self, source: Source) -> Policy:
        home = split(source.instance.url) if source.instance else None
        return Policy(home, self.settings.allowed_hosts)


def _picture(found: Downloaded) -> bytes:
    if found.media_type in {"text/html", "application/json"}:
        raise ImageUnreachable(
            f"{found.url.shown} answered with {found.media_type} and no picture: it is a page to "
            "log in, or another page; check the address and the token",
            field="data",
        )
    return found.data


def _home(address: str, source: Source) -> str:
    if source.instance is None:
        raise ImageUnreachable(
            f"the picture {address!r:.200} lies on Label Studio, whose address is not known here: "
            "set LABEL_STUDIO_URL and LABEL_STUDIO_API_KEY",
            field="data",
        )
    return source.instance.url


def _on_label_studio(address: str, source: Source) -> str:
    """The path below Label Studio's own address, where the picture lies there; else the address.

    Tasks may hold the address that browsers use, or a path with the prefix that Label Studio is
    hosted under, or without it.
    """
    homes = [home for home in (source.instance and source.instance.url, source.alias) if home]
    if address.lower().startswith(("http://", "https://")):
        url = split(address)
        for home in homes if source.instance else []:
            base = split(home)
            if (url.scheme, url.host, url.port) == (base.scheme, base.host, base.port):
                return _below(base, url.target)
        return address
    for home in homes:
        address = _below(split(home), address)
    return address


def _below(base: Url, path: str) -> str:
    prefix = base.path.rstrip("/")
    return path.removeprefix(prefix) if path.startswith(f"{prefix}/") else path


def _unsigned(address: str) -> str:
    """An address without what changes each time it is signed anew."""
    path, _, query = address.partition("?")
    kept = [pair for pair in parse_qsl(query) if not SIGNATURES.fullmatch(pair[0])]
    return f"{path}?{urlencode(kept)}"
