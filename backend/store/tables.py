"""The tables, as they are now. How a database gets there is in `migrations/versions`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from sqlalchemy import JSON, BigInteger, DateTime, Dialect, Integer, LargeBinary, MetaData, Text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeDecorator

Key = BigInteger().with_variant(Integer(), "sqlite")


class UtcTime(TypeDecorator[datetime]):
    """A moment. Aware datetimes of any zone go in, datetimes in UTC come out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        """Turn the moment to UTC. Raises ValueError for a datetime without a zone."""
        if value is None:
            return None
        if value.tzinfo is None:
            raise ValueError(f"{value!r} has no time zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        """Put back the zone that SQLite forgets."""
        if not isinstance(value, datetime):
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Base(DeclarativeBase):
    """All tables; constraints have names, so that later migrations can speak of them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_name)s",
            "uq": "uq_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


class InteractionRow(Base):
    """One answered or failed request; see `backend.store.interactions.Interaction`.

    `prompt` is the JSON of `backend.prompt_record.PromptRecord`. `mask` is `Mask.to_bytes`, absent
    where it would be very large, and `mask_digest` the hex sha256 of those bytes in any case.
    """

    __tablename__ = "interactions"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    request_id: Mapped[str] = mapped_column(Text, unique=True)
    object_id: Mapped[str | None] = mapped_column(Text, index=True)
    time: Mapped[datetime] = mapped_column(UtcTime, index=True)
    tool: Mapped[str] = mapped_column(Text)
    project: Mapped[str | None] = mapped_column(Text)
    task: Mapped[str | None] = mapped_column(Text)
    user: Mapped[str | None] = mapped_column(Text)
    image_id: Mapped[str] = mapped_column(Text, index=True)
    picture_id: Mapped[str | None] = mapped_column(Text, index=True)
    width: Mapped[int | None]
    height: Mapped[int | None]
    prompt: Mapped[dict[str, Any]] = mapped_column(JSON)
    order_known: Mapped[bool]
    version: Mapped[str | None] = mapped_column(Text)
    remembered: Mapped[int]
    milliseconds: Mapped[float]
    score: Mapped[float | None]
    mask: Mapped[bytes | None] = mapped_column(LargeBinary)
    mask_area: Mapped[int | None]
    mask_digest: Mapped[str | None] = mapped_column(Text)
    error: Mapped[str | None] = mapped_column(Text)


class EventRow(Base):
    """One event that a tool announced, as received; `processed` is set by whoever acted on it.

    `digest` is the hex sha256 of source, action and body: the same event twice is one row.
    """

    __tablename__ = "events"

    id: Mapped[int] = mapped_column(Key, primary_key=True)
    received: Mapped[datetime] = mapped_column(UtcTime)
    source: Mapped[str] = mapped_column(Text)
    action: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    digest: Mapped[str] = mapped_column(Text, unique=True)
    verified: Mapped[bool]
    processed: Mapped[datetime | None] = mapped_column(UtcTime, index=True)
