"""What PostgreSQL is told beside: texts compare bytewise, and busy tables are vacuumed often."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None

# Each job leaves one dead row when it ends and one when it is deleted: to wait until a fifth of a
# million kept jobs is dead would let the table grow by as much, and its indexes for good.
_BUSY = ("jobs", "events", "job_logs", "idempotency", "fires")
_VACUUM = {
    "autovacuum_vacuum_scale_factor": 0.02,
    "autovacuum_vacuum_threshold": 2000,
    "autovacuum_vacuum_insert_scale_factor": 0.1,
    "autovacuum_analyze_scale_factor": 0.05,
    "autovacuum_vacuum_cost_delay": 0,
}


def upgrade() -> None:
    """Nothing for SQLite, which does both by itself.

    No fillfactor: a change of state is never a heap-only one, since the conditions of the partial
    indexes name the state.
    """
    connection = op.get_bind()
    if connection.dialect.name != "postgresql":
        return
    inspector = sa.inspect(connection)
    for table in inspector.get_table_names():
        texts = [
            column["name"]
            for column in inspector.get_columns(table)
            if isinstance(column["type"], sa.Text)
        ]
        if texts:
            changes = ", ".join(f'ALTER {name} TYPE text COLLATE "C"' for name in texts)
            op.execute(f"ALTER TABLE {table} {changes}")
    settings = ", ".join(f"{name} = {value}" for name, value in _VACUUM.items())
    for table in _BUSY:
        op.execute(f"ALTER TABLE {table} SET ({settings})")
