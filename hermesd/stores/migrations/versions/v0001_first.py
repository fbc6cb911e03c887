"""The first tables, as they were then."""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Create all tables."""
    _build().create_all(op.get_bind())


def _big_key() -> sa.types.TypeEngine[int]:
    return sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def _needed(name: str, of: type[sa.types.TypeEngine[Any]], **more: Any) -> sa.Column[Any]:
    return sa.Column(name, of, nullable=False, **more)


def _jobs(metadata: sa.MetaData) -> None:
    text, big, small = sa.Text, sa.BigInteger, sa.Integer
    jobs = sa.Table(
        "jobs",
        metadata,
        sa.Column("id", text, primary_key=True, nullable=False),
        _needed("type", text),
        _needed("queue", text),
        _needed("priority", small),
        _needed("state", text),
        _needed("payload", text),
        _needed("attempts", small),
        _needed("max_attempts", small),
        _needed("timeout_us", big),
        _needed("backoff", text),
        _needed("labels", text),
        _needed("run", small),
        _needed("lease", big),
        _needed("owner", text),
        sa.Column("rung", text),
        sa.Column("assigned_by", text),
        sa.Column("worker_id", text),
        sa.Column("incarnation", text),
        _needed("crash_count", small),
        _needed("crash_limit", small),
        _needed("cancel_requested", small),
        _needed("order_key", big),
        _needed("created_us", big),
        _needed("updated_us", big),
        sa.Column("enqueued_us", big),
        sa.Column("run_us", big),
        sa.Column("started_us", big),
        sa.Column("finished_us", big),
        sa.Column("result", text),
        sa.Column("error", text),
        sa.Column("idempotency_key", text),
        sa.Column("trace_context", text),
        sa.Column("limit_key", text),
        sa.Column("published_us", big),
        _needed("parents_pending", small, server_default="0"),
        sa.Column("progress", sa.Float),
        sa.Column("progress_note", text),
        sqlite_with_rowid=False,
    )
    _partial("jobs_queued", "queued", jobs, "queue", "type", jobs.c.priority.desc(), "order_key")
    _partial("jobs_scheduled", "scheduled", jobs, "run_us")
    _partial("jobs_running", "running", jobs, "incarnation")
    _partial("jobs_failed", "failed", jobs, "id")


def _partial(name: str, state: str, table: sa.Table, *columns: Any) -> None:
    only = sa.text(f"state = '{state}'")
    found = [table.c[one] if isinstance(one, str) else one for one in columns]
    sa.Index(name, *found, sqlite_where=only, postgresql_where=only)


def _around_jobs(metadata: sa.MetaData) -> None:
    text, big = sa.Text, sa.BigInteger
    sa.Table(
        "idempotency",
        metadata,
        sa.Column("principal", text, primary_key=True, nullable=False),
        sa.Column("key_hash", text, primary_key=True, nullable=False),
        _needed("body_hash", text),
        _needed("job_id", text, index=True),
        _needed("expires_us", big, index=True),
        sa.Column("final_state", text),  # set when the job is purged before its key expires
        sqlite_with_rowid=False,
    )
    sa.Table(
        "events",
        metadata,
        sa.Column("id", _big_key(), primary_key=True, autoincrement=True),
        _needed("job_id", text, index=True),
        _needed("time_us", big),
        _needed("job_type", text),
        _needed("kind", text),
        sa.Column("worker_id", text),
        _needed("message", text),
        _needed("run", sa.Integer),
        _needed("attempt", sa.Integer),
    )


def _around_fleet(metadata: sa.MetaData) -> None:
    text, big = sa.Text, sa.BigInteger
    sa.Table(
        "incarnations",
        metadata,
        sa.Column("incarnation", text, primary_key=True, nullable=False),
        _needed("worker_id", text),
        _needed("address", text),
        _needed("machine", text),
        _needed("last_seen_us", big),
        _needed("fenced", sa.Integer),
        sqlite_with_rowid=False,
    )
    sa.Table(
        "types",
        metadata,
        sa.Column("name", text, primary_key=True, nullable=False),
        _needed("definition", text),
        _needed("last_seen_us", big),
        _needed("source", text),
        sqlite_with_rowid=False,
    )
    sa.Table(
        "meta",
        metadata,
        sa.Column("name", text, primary_key=True, nullable=False),
        _needed("value", text),
        sqlite_with_rowid=False,
    )


def _build() -> sa.MetaData:
    metadata = sa.MetaData()
    _jobs(metadata)
    _around_jobs(metadata)
    _around_fleet(metadata)
    return metadata
