"""The first tables."""

from __future__ import annotations

from alembic import op

from hermesd.stores.schema import build

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create all tables. A later version freezes what this one creates."""
    build().create_all(op.get_bind())
