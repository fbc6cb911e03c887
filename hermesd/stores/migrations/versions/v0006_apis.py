"""The apis of a store, so that another one takes over what a dead one had given out."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """An api has a row for as long as it renews it."""
    op.create_table(
        "apis",
        sa.Column("name", sa.Text, primary_key=True, nullable=False),
        sa.Column("boot", sa.Text, nullable=False),
        sa.Column("url", sa.Text, nullable=False),
        sa.Column("last_seen_us", sa.BigInteger, nullable=False),
        sqlite_with_rowid=False,
    )
