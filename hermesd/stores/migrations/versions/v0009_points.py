"""The history of the fleet: a row for each minute of each life of an api."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """They are found by their time, and dropped after a day."""
    op.create_table(
        "points",
        sa.Column("at_us", sa.BigInteger, primary_key=True, nullable=False),
        sa.Column("api", sa.Text, primary_key=True, nullable=False),
        sa.Column("boot", sa.Text, primary_key=True, nullable=False),
        sa.Column("point", sa.Text, nullable=False),
        sqlite_with_rowid=False,
    )
