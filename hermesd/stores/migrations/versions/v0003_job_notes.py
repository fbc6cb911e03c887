"""What running jobs tell of themselves: their log lines, and how many were too many."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

_KEY = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Log lines have a table of their own; progress has had its columns from the beginning."""
    op.add_column("jobs", sa.Column("logs_dropped", sa.Integer, nullable=False, server_default="0"))
    op.create_table(
        "job_logs",
        sa.Column("id", _KEY, primary_key=True, autoincrement=True),
        sa.Column("job_id", sa.Text, nullable=False),
        sa.Column("run", sa.Integer, nullable=False),
        sa.Column("attempt", sa.Integer, nullable=False),
        sa.Column("time_us", sa.BigInteger, nullable=False),
        sa.Column("level", sa.Text, nullable=False),
        sa.Column("line", sa.Text, nullable=False),
    )
    op.create_index("job_logs_job", "job_logs", ["job_id", "id"])
