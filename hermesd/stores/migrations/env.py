"""What the migration tool runs: one transaction on the connection that `migrate` hands over."""

from __future__ import annotations

from alembic import context

from hermesd.stores.version import VERSION_TABLE

context.configure(
    connection=context.config.attributes["connection"],
    version_table=VERSION_TABLE,
    transactional_ddl=True,
)
with context.begin_transaction():
    context.run_migrations()
