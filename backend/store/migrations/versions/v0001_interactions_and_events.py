"""The interaction log and the journal of events."""

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")
TIME = sa.DateTime(timezone=True)


def upgrade() -> None:
    """Make both tables."""
    op.create_table(
        "interactions",
        sa.Column("id", KEY, nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("object_id", sa.Text()),
        sa.Column("time", TIME, nullable=False),
        sa.Column("tool", sa.Text(), nullable=False),
        sa.Column("project", sa.Text()),
        sa.Column("task", sa.Text()),
        sa.Column("user", sa.Text()),
        sa.Column("image_id", sa.Text(), nullable=False),
        sa.Column("picture_id", sa.Text()),
        sa.Column("width", sa.Integer()),
        sa.Column("height", sa.Integer()),
        sa.Column("prompt", sa.JSON(), nullable=False),
        sa.Column("order_known", sa.Boolean(), nullable=False),
        sa.Column("version", sa.Text()),
        sa.Column("remembered", sa.Integer(), nullable=False),
        sa.Column("milliseconds", sa.Double(), nullable=False),
        sa.Column("score", sa.Double()),
        sa.Column("mask", sa.LargeBinary()),
        sa.Column("mask_area", sa.Integer()),
        sa.Column("mask_digest", sa.Text()),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("id", name="pk_interactions"),
        sa.UniqueConstraint("request_id", name="uq_interactions_request_id"),
    )
    for column in ("object_id", "time", "image_id", "picture_id"):
        op.create_index(f"ix_interactions_{column}", "interactions", [column])
    op.create_table(
        "events",
        sa.Column("id", KEY, nullable=False),
        sa.Column("received", TIME, nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("action", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("verified", sa.Boolean(), nullable=False),
        sa.Column("processed", TIME),
        sa.PrimaryKeyConstraint("id", name="pk_events"),
        sa.UniqueConstraint("digest", name="uq_events_digest"),
    )
    op.create_index("ix_events_processed", "events", ["processed"])
