from __future__ import annotations

import base64
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from backend.errors import (
    BodyTooLarge,
    ImageForbidden,
    ImageUnreachable,
    InvalidRequest,
    MaskloopError,
)
from backend.frontends.label_studio.images import Images, Source
from backend.frontends.label_studio.tokens import Instance
from backend.settings import Settings
from tests.backend.frontends.label_studio.stand_in import (
    LEGACY,
    PERSONAL,
    StandIn,
    presign_path,
    running,
)

PICTURE = b"\x89PNG picture"


def images(**values: Any) -> Images:
    return Images(Settings(**values), seconds=5)


def source(label_studio: StandIn, key: str | None = LEGACY, **fields: Any) -> Source:
    return Source(
        **{"task": "7", "project": "1", "instance": Instance(label_studio.url, key)} | fields
    )


def failure(address: str, where: Source, fetcher: Images | None = None) -> MaskloopError:
    with pytest.raises(MaskloopError) as caught:
        (fetcher or images()).fetch(address, where)
    return caught.value


@pytest.mark.parametrize("key", [LEGACY, PERSONAL])
@pytest.mark.parametrize("prefix", ["", "/label-studio"])
@pytest.mark.parametrize(
    "address",
    [
        "/data/upload/1/ab-cat.png",
        "upload/1/ab-cat.png",
        "/upload/1/ab-cat.png",
        "{prefix}/data/upload/1/ab-cat.png",
        "{url}/data/upload/1/ab-cat.png",
    ],
)
def test_an_upload_comes_from_label_studio(
    label_studio: StandIn, address: str, prefix: str, key: str
) -> None:
    label_studio.prefix = prefix
    label_studio.files["/data/upload/1/ab-cat.png"] = PICTURE
    address = address.format(prefix=prefix, url=label_studio.url)
    assert images().fetch(address, source(label_studio, key)) == PICTURE
    assert label_studio.paths[-1] == f"GET {prefix}/data/upload/1/ab-cat.png"


def test_an_upload_in_a_cloud_comes_through_the_storage_address(label_studio: StandIn) -> None:
    label_studio.files["/storage-data/uploaded/?filepath=upload/1/a b.png"] = PICTURE
    assert images().fetch("/data/upload/1/a%20b.png", source(label_studio)) == PICTURE
    assert label_studio.paths == ["GET /data/upload/1/a%20b.png", "GET /storage-data/uploaded/"]


def test_an_upload_is_read_from_the_media_directory_where_it_can_be(
    label_studio: StandIn, tmp_path: Path
) -> None:
    folder = tmp_path / "media" / "upload" / "1"
    folder.mkdir(parents=True)
    (folder / "a b.png").write_bytes(PICTURE)
    fetcher = images(label_studio_files=tmp_path / "media")
    assert fetcher.fetch("/data/upload/1/a%20b.png", source(label_studio)) == PICTURE
    assert fetcher.fetch(f"{label_studio.url}/data/upload/1/a%20b.png", source(label_studio))
    assert label_studio.asked == []


def test_nothing_outside_the_media_directory_is_read(label_studio: StandIn, tmp_path: Path) -> None:
    (tmp_path / "media" / "upload" / "1").mkdir(parents=True)
    secret = tmp_path / "secret.png"
    secret.write_bytes(b"secret")
    (tmp_path / "media" / "upload" / "1" / "link.png").symlink_to(secret)
    fetcher = images(label_studio_files=tmp_path / "media")
    for name in ("..%2F..%2F..%2Fsecret.png", "%2E%2E", "link.png", "missing.png"):
        error = failure(f"/data/upload/1/{name}", source(label_studio), fetcher)
        assert "answered 404" in error.message


def test_a_local_file_comes_from_label_studio_by_its_path(label_studio: StandIn) -> None:
    label_studio.files["/data/local-files/?d=pics/a b.png"] = PICTURE
    assert images().fetch("/data/local-files/?d=pics/a%20b.png", source(label_studio)) == PICTURE


@pytest.mark.parametrize(
    "uri", ["s3://bucket/a b.png", "gs://bucket/a.png", "azure-blob://box/a.png"]
)
def test_a_cloud_picture_comes_from_where_label_studio_sends_us(
    label_studio: StandIn, elsewhere: StandIn, uri: str
) -> None:
    elsewhere.files["/signed.png"] = PICTURE
    label_studio.redirects["/tasks/7/presign/"] = f"{elsewhere.url}/signed.png?Signature=x"
    fetcher = images(allowed_hosts=(f"127.0.0.1:{elsewhere.port}",))
    assert fetcher.fetch(uri, source(label_studio)) == PICTURE
    coded = parse_qs(label_studio.asked[0].query)["fileuri"][0]
    assert base64.urlsafe_b64decode(coded).decode() == uri
    assert label_studio.asked[0].authorization == f"Token {LEGACY}"
    assert elsewhere.asked[0].authorization is None


def test_a_cloud_picture_that_label_studio_streams_needs_no_listed_host(
    label_studio: StandIn,
) -> None:
    label_studio.files[presign_path("7", "s3://bucket/a.png")] = PICTURE
    assert images().fetch("s3://bucket/a.png", source(label_studio)) == PICTURE


def test_a_bucket_that_is_not_listed_is_named(label_studio: StandIn, elsewhere: StandIn) -> None:
    label_studio.redirects["/tasks/7/presign/"] = f"{elsewhere.url}/signed.png?Signature=secret"
    error = failure("s3://bucket/a.png", source(label_studio))
    assert isinstance(error, ImageForbidden)
    assert f"127.0.0.1:{elsewhere.port}" in error.message
    assert "secret" not in error.message
    assert elsewhere.asked == []


def test_an_http_picture_comes_without_a_token_from_a_listed_host(
    label_studio: StandIn, elsewhere: StandIn
) -> None:
    elsewhere.files["/a.png"] = PICTURE
    fetcher = images(allowed_hosts=(f"127.0.0.1:{elsewhere.port}",))
    assert fetcher.fetch(f"{elsewhere.url}/a.png", source(label_studio)) == PICTURE
    assert elsewhere.asked[0].authorization is None
    assert isinstance(failure(f"{elsewhere.url}/a.png", source(label_studio)), ImageForbidden)


def test_a_redirect_back_to_label_studio_brings_the_token_and_one_away_does_not(
    label_studio: StandIn, elsewhere: StandIn
) -> None:
    elsewhere.redirects["/a.png"] = f"{label_studio.url}/data/upload/1/a.png"
    label_studio.files["/data/upload/1/a.png"] = PICTURE
    fetcher = images(allowed_hosts=(f"127.0.0.1:{elsewhere.port}",))
    assert fetcher.fetch(f"{elsewhere.url}/a.png", source(label_studio)) == PICTURE
    assert [each.authorization for each in elsewhere.asked] == [None]


def test_the_address_that_browsers_use_is_taken_to_the_configured_one(
    label_studio: StandIn,
) -> None:
    label_studio.files["/data/upload/1/a.png"] = PICTURE
    where = source(label_studio, alias="https://labels.example/ls")
    assert images().fetch("https://labels.example/ls/data/upload/1/a.png", where) == PICTURE
    assert isinstance(failure("https://labels.example:444/a.png", where), ImageForbidden)


def test_a_data_address_holds_its_picture() -> None:
    nowhere = Source()
    coded = base64.b64encode(PICTURE).decode()
    assert images().fetch(f"data:image/png;base64,{coded}", nowhere) == PICTURE
    assert images().fetch("data:image/png;charset=utf-8;base64," + coded, nowhere) == PICTURE
    assert images().fetch("data:image/bmp,%42%4d", nowhere) == b"BM"


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("data:image/png;base64,!!!", InvalidRequest),
        ("data:image/png;base64,é", InvalidRequest),
        ("data:image/png", InvalidRequest),
        ("data:image/png;base64," + "A" * 400, BodyTooLarge),
        ("images/1.png", InvalidRequest),
        ("file:///etc/passwd", InvalidRequest),
        ("ftp://host/a.png", InvalidRequest),
        ("s3://bucket/a.png", ImageUnreachable),
        ("/data/upload/1/a.png", ImageUnreachable),
    ],
)
def test_an_address_of_no_use_is_refused_with_the_remedy(
    address: str, kind: type[MaskloopError]
) -> None:
    error = failure(address, Source(task="7"), images(max_image_bytes=200))
    assert isinstance(error, kind)
    assert error.field == "data"


def test_a_cloud_picture_needs_the_task(label_studio: StandIn) -> None:
    assert "task's id" in failure("s3://b/a.png", source(label_studio, task=None)).message


def test_an_access_token_that_has_ended_is_renewed_once(label_studio: StandIn) -> None:
    label_studio.files["/data/upload/1/a.png"] = PICTURE
    label_studio.files["/data/upload/1/b.png"] = PICTURE
    fetcher, where = images(), source(label_studio, PERSONAL)
    fetcher.fetch("/data/upload/1/a.png", where)
    label_studio.revoked.update(label_studio.issued)
    assert fetcher.fetch("/data/upload/1/b.png", where) == PICTURE
    assert label_studio.paths.count("POST /api/token/refresh") == 2


def test_a_refused_personal_token_is_tried_twice_and_no_more(label_studio: StandIn) -> None:
    label_studio.statuses["/data/upload/1/a.png"] = [401]
    error = failure("/data/upload/1/a.png", source(label_studio, PERSONAL))
    assert "refused the personal access token" in error.message
    assert label_studio.paths.count("GET /data/upload/1/a.png") == 2


@pytest.mark.parametrize(
    ("address", "status", "key", "said"),
    [
        ("/data/upload/1/a.png", 401, None, "put one into LABEL_STUDIO_API_KEY"),
        ("/data/upload/1/a.png", 401, LEGACY, "switches off by default"),
        ("/data/upload/1/a.png", 403, LEGACY, "no access to this project"),
        ("/data/upload/1/a.png", 404, LEGACY, "must end with it"),
        ("/data/local-files/?d=a", 403, LEGACY, "Local Files source storage"),
        ("/data/local-files/?d=a", 404, LEGACY, "LOCAL_FILES_SERVING"),
        ("s3://b/a.png", 404, LEGACY, "no cloud storage of this project"),
        ("/data/upload/1/a.png", 500, LEGACY, "Label Studio's own log"),
    ],
)
def test_a_refusal_comes_with_its_remedy(
    label_studio: StandIn, address: str, status: int, key: str | None, said: str
) -> None:
    path = "/tasks/7/presign/" if address.startswith("s3:") else address.partition("?")[0]
    label_studio.statuses[path] = [status]
    error = failure(address, source(label_studio, key))
    assert isinstance(error, ImageUnreachable)
    assert f"answered {status}" in error.message
    assert said in error.message
    assert LEGACY not in error.message


@pytest.mark.parametrize(
    ("status", "said"), [(403, "presigned address has expired"), (404, "check the address")]
)
def test_a_refusal_by_another_host_comes_with_its_remedy(
    elsewhere: StandIn, status: int, said: str
) -> None:
    elsewhere.statuses["/a.png"] = [status]
    fetcher = images(allowed_hosts=(f"127.0.0.1:{elsewhere.port}",))
    assert said in failure(f"{elsewhere.url}/a.png", Source(), fetcher).message


def test_a_page_to_log_in_is_no_picture(label_studio: StandIn) -> None:
    label_studio.files["/data/upload/1/a.png"] = b"<html>"
    label_studio.media_type = "text/html; charset=utf-8"
    error = failure("/data/upload/1/a.png", source(label_studio))
    assert "no picture" in error.message


def test_the_next_click_downloads_nothing(label_studio: StandIn) -> None:
    label_studio.files["/data/upload/1/a.png"] = PICTURE
    fetcher, where = images(), source(label_studio)
    for _ in range(3):
        fetcher.fetch("/data/upload/1/a.png", where)
    assert len(label_studio.asked) == 1


def test_an_address_signed_anew_is_the_same_picture_and_another_file_is_not(
    elsewhere: StandIn,
) -> None:
    elsewhere.files["/get"] = PICTURE
    fetcher = images(allowed_hosts=(f"127.0.0.1:{elsewhere.port}",))
    for signature in ("1", "2"):
        fetcher.fetch(f"{elsewhere.url}/get?file=a&X-Amz-Signature={signature}&Expires=3", Source())
    assert len(elsewhere.asked) == 1
    fetcher.fetch(f"{elsewhere.url}/get?file=b&X-Amz-Signature=1", Source())
    assert len(elsewhere.asked) == 2


def test_a_picture_is_kept_for_its_own_task_and_project(label_studio: StandIn) -> None:
    label_studio.files["/data/upload/1/a.png"] = PICTURE
    fetcher = images()
    for fields in ({}, {"task": "8"}, {"project": "2"}):
        fetcher.fetch("/data/upload/1/a.png", source(label_studio, **fields))
    assert len(label_studio.asked) == 3


def test_too_large_a_picture_is_refused(label_studio: StandIn) -> None:
    label_studio.files["/data/upload/1/a.png"] = bytes(1000)
    error = failure("/data/upload/1/a.png", source(label_studio), images(max_image_bytes=999))
    assert isinstance(error, BodyTooLarge)


def test_a_server_that_has_gone_is_unreachable() -> None:
    with running() as gone:
        pass
    error = failure("/data/upload/1/a.png", source(gone))
    assert isinstance(error, ImageUnreachable)
    assert gone.url in error.message
