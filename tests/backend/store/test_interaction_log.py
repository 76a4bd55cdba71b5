"""Every interaction is written, whatever the database does, and no click waits for it."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import sqlalchemy
from sqlalchemy import select

from backend.masks import Mask
from backend.pictures import image_id
from backend.prompt_record import PromptRecord
from backend.settings import Settings
from backend.store import Database, Interaction, InteractionLog, PictureArchive
from backend.store.interactions import LARGEST_MASK
from backend.store.tables import InteractionRow
from models.prompts import Click, Scribble

PICTURE = b"a picture"
WAIT = 60.0


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path}/maskloop.db", busy_seconds=0.02)


def interaction(number: int = 0, **changes: Any) -> Interaction:
    values: dict[str, Any] = {
        "request_id": f"request-{number}",
        "tool": "cvat",
        "image_id": image_id(PICTURE),
        "prompt": PromptRecord(clicks=(Click(3.5, 4.25), Click(1, 2, positive=False))),
        "milliseconds": 12.5,
    }
    return Interaction(**(values | changes))


def rows(database: Database) -> list[Any]:
    with Database(str(database.url)).begin() as connection:
        return list(connection.execute(select(InteractionRow.__table__).order_by("id")))


def ids(database: Database) -> list[str]:
    return sorted(row.request_id for row in rows(database))


@contextmanager
def locked(database: Database) -> Iterator[None]:
    """Another process is writing."""
    database.upgrade()
    with closing(sqlite3.connect(str(database.path), isolation_level=None)) as connection:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("ROLLBACK")


def waiting(tmp_path: Path) -> int:
    path = tmp_path / "unwritten" / "interactions.jsonl"
    return sum(bool(line.strip()) for line in path.read_text().splitlines())


def test_all_that_is_known_is_written(database: Database, tmp_path: Path) -> None:
    mask = Mask.of(np.eye(7, 9, dtype=np.bool_))
    noon = datetime(2024, 5, 1, 12, tzinfo=UTC)
    prompt = PromptRecord(
        clicks=(Click(3.5, 4.25), Click(1, 2, positive=False)),
        box=(0.0, 1.0, 2.0, 3.0),
        scribbles=(Scribble(((1.0, 2.0), (3.0, 4.0)), False, 2.5),),
        mask="digest",
    )
    log = InteractionLog(database, tmp_path)
    log.record(
        Interaction(
            request_id="r",
            tool="label_studio",
            image_id=image_id(PICTURE),
            prompt=prompt,
            milliseconds=12.5,
            object_id="o",
            project="p",
            task="t",
            user="u",
            picture_id="q",
            width=9,
            height=7,
            order_known=False,
            version="mobilesam@weights:0123456789ab",
            remembered=2,
            score=0.75,
            mask=mask,
            time=noon,
        )
    )
    log.close()
    (row,) = rows(database)
    assert (row.request_id, row.object_id, row.time) == ("r", "o", noon)
    assert (row.tool, row.project, row.task, row.user) == ("label_studio", "p", "t", "u")
    assert (row.image_id, row.picture_id) == (image_id(PICTURE), "q")
    assert (row.width, row.height, row.order_known, row.remembered) == (9, 7, False, 2)
    assert (row.version, row.milliseconds) == ("mobilesam@weights:0123456789ab", 12.5)
    assert (row.score, row.error) == (0.75, None)
    assert PromptRecord.from_json(row.prompt) == prompt
    np.testing.assert_array_equal(Mask.from_bytes(row.mask).full, mask.full)
    assert row.mask_area == 7
    assert row.mask_digest == hashlib.sha256(row.mask).hexdigest()


def test_a_failed_request_has_its_error_and_no_mask(database: Database, tmp_path: Path) -> None:
    log = InteractionLog(database, tmp_path)
    log.record(interaction(error="deadline_exceeded"))
    log.close()
    (row,) = rows(database)
    assert (row.error, row.mask, row.mask_area) == ("deadline_exceeded", None, None)
    assert row.mask_digest is None


def test_of_a_huge_mask_area_and_digest_are_kept(database: Database, tmp_path: Path) -> None:
    noise = np.random.default_rng(0).random((3100, 3100)) < 0.5
    mask = Mask.of(noise)
    assert len(mask.to_bytes()) > LARGEST_MASK
    log = InteractionLog(database, tmp_path)
    log.record(interaction(mask=mask))
    log.close()
    (row,) = rows(database)
    assert row.mask is None
    assert row.mask_area == mask.area
    assert row.mask_digest == hashlib.sha256(mask.to_bytes()).hexdigest()


def test_flush_waits_until_all_is_written(database: Database, tmp_path: Path) -> None:
    log = InteractionLog(database, tmp_path)
    for number in range(450):
        log.record(interaction(number))
    assert log.flush(WAIT)
    assert len(rows(database)) == 450
    log.close()


def test_a_request_is_written_once(database: Database, tmp_path: Path) -> None:
    log = InteractionLog(database, tmp_path)
    log.record(interaction(1))
    log.record(interaction(1, milliseconds=99.0))
    log.close()
    assert [row.milliseconds for row in rows(database)] == [12.5]


def test_a_locked_database_is_waited_for(database: Database, tmp_path: Path) -> None:
    log = InteractionLog(database, tmp_path)
    with locked(database):
        log.record(interaction())
        assert not log.flush(0.2)
    assert log.flush(WAIT)
    assert ids(database) == ["request-0"]
    log.close()


def test_what_the_line_does_not_hold_goes_by_way_of_the_file(
    database: Database, tmp_path: Path
) -> None:
    log = InteractionLog(database, tmp_path, most_waiting=3)
    with locked(database):
        for number in range(10):
            log.record(interaction(number))
        assert waiting(tmp_path) == 7
    assert log.flush(WAIT)
    log.close()
    assert ids(database) == sorted(f"request-{number}" for number in range(10))
    assert not (tmp_path / "unwritten" / "interactions.jsonl").exists()


def test_large_masks_fill_the_line_sooner(database: Database, tmp_path: Path) -> None:
    log = InteractionLog(database, tmp_path, most_waiting_bytes=1500)
    mask = Mask.of(np.ones((30, 40), np.bool_))
    with locked(database):
        log.record(interaction(1, mask=mask))
        log.record(interaction(2, mask=mask))
        log.record(interaction(3))
        assert waiting(tmp_path) == 1
    log.close()
    assert ids(database) == ["request-1", "request-2", "request-3"]


def test_what_is_left_at_the_end_waits_for_the_next_start(
    database: Database, tmp_path: Path
) -> None:
    log = InteractionLog(database, tmp_path)
    with locked(database):
        for number in range(5):
            log.record(interaction(number, mask=Mask.of(np.eye(3, dtype=np.bool_))))
        log.close()
        log.record(interaction(5))
        assert waiting(tmp_path) == 6
    assert rows(database) == []
    again = InteractionLog(Database(str(database.url)), tmp_path)
    again.start()
    again.close()
    assert ids(database) == [f"request-{number}" for number in range(6)]
    np.testing.assert_array_equal(Mask.from_bytes(rows(database)[0].mask).crop, np.eye(3))


def test_a_database_of_another_version_costs_nothing(database: Database, tmp_path: Path) -> None:
    with database.begin() as connection:
        connection.execute(sqlalchemy.text("UPDATE alembic_version SET version_num = '9999'"))
    log = InteractionLog(Database(str(database.url)), tmp_path)
    log.record(interaction())
    log.close()
    assert waiting(tmp_path) == 1


def test_a_row_that_is_refused_does_not_hold_up_the_others(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    log = InteractionLog(database, tmp_path)
    with locked(database):
        log.record(interaction(0))
        for number in range(1, 4):
            missing = {"milliseconds": None} if number == 2 else {}
            log.record(interaction(number, **missing))
    log.close()
    assert ids(database) == ["request-0", "request-1", "request-3"]
    refused = (tmp_path / "unwritten" / "refused-interactions.jsonl").read_text()
    assert "request-2" in refused
    assert "request-2 was refused" in caplog.text


def test_recording_never_raises(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("not a directory")
    log = InteractionLog(database, tmp_path / "file", most_waiting=0)
    log.record(interaction())
    log.close()
    assert "request-0 is lost" in caplog.text


def test_texts_of_clients_cannot_stop_the_log(database: Database, tmp_path: Path) -> None:
    log = InteractionLog(database, tmp_path)
    log.record(interaction(user="\ud800", task="a\0b"))
    log.close()
    (row,) = rows(database)
    assert (row.user, row.task) == ("?", "a\ufffdb")


def test_the_picture_is_kept_once(database: Database, tmp_path: Path) -> None:
    archive = PictureArchive(str(tmp_path / "pictures"), 1000)
    log = InteractionLog(database, tmp_path, archive)
    log.record(interaction(1), PICTURE)
    log.record(interaction(2), PICTURE)
    log.record(interaction(3))
    log.close()
    assert archive.get(image_id(PICTURE)) == PICTURE
    assert len(rows(database)) == 3


def test_a_picture_that_cannot_be_kept_does_not_stop_the_log(
    database: Database, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "pictures").write_text("in the way")
    log = InteractionLog(database, tmp_path, PictureArchive(str(tmp_path / "pictures"), 1000))
    log.record(interaction(1), PICTURE)
    assert log.flush(WAIT)
    (tmp_path / "pictures").unlink()
    log.record(interaction(2), PICTURE)
    log.close()
    assert "is not kept" in caplog.text
    assert ids(database) == ["request-1", "request-2"]
    assert (tmp_path / "pictures" / image_id(PICTURE)[:2]).exists()


def test_a_picture_too_large_for_the_line_comes_again(database: Database, tmp_path: Path) -> None:
    archive = PictureArchive(str(tmp_path / "pictures"), 1000)
    log = InteractionLog(database, tmp_path, archive, most_waiting_bytes=5)
    log.record(interaction(1), PICTURE)
    log.close()
    assert ids(database) == ["request-1"]
    assert archive.get(image_id(PICTURE)) is None


def test_the_settings_decide_where_and_whether(tmp_path: Path) -> None:
    for keep, name in ((True, "kept"), (False, "off")):
        settings = Settings(data_dir=tmp_path / name, keep_pictures=keep)
        log = InteractionLog.of(settings)
        log.record(interaction(), PICTURE)
        log.close()
        assert (tmp_path / name / "maskloop.db").exists()
        assert (tmp_path / name / "pictures").exists() is keep
    settings = Settings(data_dir=tmp_path / "url", pictures_url=f"file://{tmp_path}/elsewhere")
    log = InteractionLog.of(settings)
    log.record(interaction(), PICTURE)
    log.close()
    assert (tmp_path / "elsewhere" / image_id(PICTURE)[:2]).is_dir()


def test_closing_an_unused_log_is_harmless(database: Database, tmp_path: Path) -> None:
    log = InteractionLog(database, tmp_path)
    log.close()
    assert list(tmp_path.iterdir()) == []
