"""Events are on the disk before they are answered, and each is there once."""

from __future__ import annotations

import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import select

from backend.store import Database, EventJournal
from backend.store.tables import EventRow

ROOT = Path(__file__).resolve().parents[3]
NOON = datetime(2024, 5, 1, 12, tzinfo=UTC)


@pytest.fixture
def database(tmp_path: Path) -> Database:
    return Database(f"sqlite:///{tmp_path}/maskloop.db", busy_seconds=0.05)


def stored(database: Database) -> list[tuple[str, str, str, bool]]:
    columns = EventRow.source, EventRow.action, EventRow.body, EventRow.verified
    with database.begin() as connection:
        return [tuple(row) for row in connection.execute(select(*columns).order_by(EventRow.id))]


def test_an_event_is_stored_as_received(database: Database) -> None:
    body = '{"action": "X",  "ä": 1}'
    EventJournal(database, now=lambda: NOON).append("label_studio", "X", body, True)
    with database.begin() as connection:
        row = connection.execute(select(EventRow.__table__)).one()
    assert (row.source, row.action, row.body) == ("label_studio", "X", body)
    assert (row.received, row.verified, row.processed) == (NOON, True, None)


def test_the_same_event_is_one_row(database: Database) -> None:
    journal = EventJournal(database)
    for _ in range(3):
        journal.append("tool", "act", "{}", True)
    journal.append("other", "act", "{}", True)
    journal.append("tool", "other", "{}", True)
    journal.append("tool", "act", "{ }", True)
    journal.append("toola", "ct", "{}", True)
    assert len(stored(database)) == 5


def test_a_locked_database_makes_the_event_wait_on_the_disk(
    database: Database, tmp_path: Path
) -> None:
    database.upgrade()
    journal = EventJournal(database)
    with Database(str(database.url)).begin():
        journal.append("tool", "act", "1", False)
    assert (tmp_path / "unwritten" / "events.jsonl").exists()
    assert stored(database) == []
    EventJournal(Database(str(database.url))).append("tool", "act", "2", True)
    assert sorted(stored(database)) == [("tool", "act", "1", False), ("tool", "act", "2", True)]
    assert not (tmp_path / "unwritten" / "events.jsonl").exists()


def test_the_directory_of_waiting_events_can_be_named(database: Database, tmp_path: Path) -> None:
    database.upgrade()
    with Database(str(database.url)).begin():
        EventJournal(database, tmp_path / "data").append("tool", "act", "1", False)
    assert (tmp_path / "data" / "unwritten" / "events.jsonl").exists()


def test_an_event_survives_the_end_of_its_process(database: Database) -> None:
    program = (
        "import os, sys; from backend.store import Database, EventJournal; "
        "EventJournal(Database(sys.argv[1])).append('tool', 'act', '{}', True); os._exit(9)"
    )
    address = database.url.render_as_string(hide_password=False)
    result = subprocess.run([sys.executable, "-c", program, address], cwd=ROOT, check=False)
    assert result.returncode == 9
    assert stored(database) == [("tool", "act", "{}", True)]


def test_events_of_many_threads_all_arrive(database: Database) -> None:
    journal = EventJournal(Database(str(database.url)))
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: journal.append("tool", "act", str(number), True), range(60)))
    journal.append("tool", "last", "{}", True)
    assert len(stored(database)) == 61


@pytest.mark.parametrize("text", ["\0", "\ud800", "a" * 3_000_000])
def test_any_text_can_be_stored(database: Database, text: str) -> None:
    EventJournal(database).append("tool", text[:50], text, True)
    assert len(stored(database)) == 1
