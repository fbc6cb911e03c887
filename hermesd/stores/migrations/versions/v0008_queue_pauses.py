"""The queues that operators have paused."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0008"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """A queue has a row for as long as it is paused."""
    op.create_table(
        "queue_pauses",
        sa.Column("queue", sa.Text, primary_key=True, nullable=False),
        sa.Column("since_us", sa.BigInteger, nullable=False),
        sa.Column("reason", sa.Text, nullable=False),
        sa.Column("paused_by", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
