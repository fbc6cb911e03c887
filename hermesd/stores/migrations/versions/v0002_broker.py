"""Waiting jobs by who owns them: those of the store, and those at a message broker."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None

_PRIORITY_FIRST = sa.text("priority DESC")


def upgrade() -> None:
    """The index of what waits tells the owner, and what is at the broker has one of its own."""
    queued, with_broker = sa.text("state = 'queued'"), sa.text("owner = 'amqp'")
    op.drop_index("jobs_queued", "jobs")
    op.create_index(
        "jobs_queued",
        "jobs",
        ["queue", "type", "owner", _PRIORITY_FIRST, "order_key", "state"],
        sqlite_where=queued,
        postgresql_where=queued,
    )
    op.create_index(
        "jobs_with_broker",
        "jobs",
        ["queue", "priority", "published_us", "id", "owner"],
        sqlite_where=with_broker,
        postgresql_where=with_broker,
    )
