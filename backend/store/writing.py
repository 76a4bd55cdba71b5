"""Rows into tables, each once."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import InstrumentedAttribute

from backend.store.overflow import Row
from backend.store.tables import Base


def insert_new(
    connection: Connection, table: type[Base], key: InstrumentedAttribute[str], rows: list[Row]
) -> None:
    """Insert the rows whose `key`, a unique column, is not in the table yet."""
    if not rows:
        return
    insert = sqlite.insert if connection.dialect.name == "sqlite" else postgresql.insert
    statement = insert(table).on_conflict_do_nothing(index_elements=[key.key])
    connection.execute(statement, [_storable(row) for row in rows])


def _storable(row: Row) -> Row:
    """The row without what databases refuse in texts: NUL, and halves of surrogate pairs."""
    return {name: _text(value) if isinstance(value, str) else value for name, value in row.items()}


def _text(value: str) -> Any:
    return value.encode("utf-8", "replace").decode("utf-8").replace("\0", "\ufffd")
