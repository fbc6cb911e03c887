"""Schedules, and their fires: one row for each, whoever fires it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A fire's key is its schedule and its time, so that a second one of the same cannot be."""
    op.create_table(
        "schedules",
        sa.Column("name", sa.Text, primary_key=True, nullable=False),
        sa.Column("definition", sa.Text, nullable=False),
        sa.Column("source", sa.Text, nullable=False),
        sa.Column("paused", sa.Integer, nullable=False),
        sa.Column("revision", sa.Integer, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sa.Column("updated_us", sa.BigInteger, nullable=False),
        sa.Column("next_us", sa.BigInteger),
        sqlite_with_rowid=False,
    )
    op.create_index("schedules_next", "schedules", ["next_us"])
    op.create_table(
        "fires",
        sa.Column("schedule", sa.Text, primary_key=True, nullable=False),
        sa.Column("fire_us", sa.BigInteger, primary_key=True, nullable=False),
        sa.Column("job_id", sa.Text),
        sa.Column("what", sa.Text, nullable=False),
        sa.Column("created_us", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
