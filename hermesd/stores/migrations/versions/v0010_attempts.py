"""What the events that end an attempt tell of it."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Events of before tell nothing of it."""
    op.add_column("events", sa.Column("started_us", sa.BigInteger))
    op.add_column("events", sa.Column("rung", sa.Text))
    op.add_column("events", sa.Column("error", sa.Text))
