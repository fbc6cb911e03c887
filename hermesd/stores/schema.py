"""The tables, in SQLAlchemy Core types that SQLite and PostgreSQL share.

Only migrations and their tests import this: the daemon's statements are written by hand. Times are
whole microseconds (`_us`), states and owners their words, JSON is text, stored as it was given.
Indexes of live states are partial, so that ended jobs cost the hot path nothing. On SQLite the
jobs lie in their primary key's tree: an id needs one search, and UUIDv7 ids append.
"""

from __future__ import annotations

from typing import Any

import sqlalchemy as sa


def _big_key() -> sa.types.TypeEngine[int]:
    """A 64-bit key that SQLite numbers by itself, which it does for INTEGER only."""
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
        # Unused, always NULL: to be rid of it, every row would have to be written anew.
        sa.Column("idempotency_key", text),
        sa.Column("trace_context", text),
        sa.Column("limit_key", text),
        sa.Column("published_us", big),
        _needed("parents_pending", small, server_default="0"),
        sa.Column("progress", sa.Float),
        sa.Column("progress_note", text),
        _needed("logs_dropped", small, server_default="0"),
        sqlite_with_rowid=False,
    )
    _index_live(jobs)


def _index_live(jobs: sa.Table) -> None:
    # The column of an index's own condition is in it too: SQLite looks at the row for it otherwise
    # (measured, to count 100,000 waiting jobs: 15 against 250 ms).
    best_first = (jobs.c.priority.desc(), "order_key", "state")
    _partial("jobs_queued", "state = 'queued'", jobs, "queue", "type", "owner", *best_first)
    published = ("priority", "published_us", "id", "owner")
    _partial("jobs_with_broker", "owner = 'amqp'", jobs, "queue", *published)
    _partial("jobs_scheduled", "state = 'scheduled'", jobs, "run_us")
    _partial("jobs_running", "state = 'running'", jobs, "incarnation")
    _partial("jobs_failed", "state = 'failed'", jobs, "id")


def _partial(name: str, condition: str, table: sa.Table, *columns: Any) -> None:
    only = sa.text(condition)
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
        sa.Column("started_us", big),
        sa.Column("rung", text),
        sa.Column("error", text),
    )
    logs = sa.Table(
        "job_logs",
        metadata,
        sa.Column("id", _big_key(), primary_key=True, autoincrement=True),
        _needed("job_id", text),
        _needed("run", sa.Integer),
        _needed("attempt", sa.Integer),
        _needed("time_us", big),
        _needed("level", text),
        _needed("line", text),
    )
    sa.Index("job_logs_job", logs.c.job_id, logs.c.id)


def _schedules(metadata: sa.MetaData) -> None:
    text, big = sa.Text, sa.BigInteger
    schedules = sa.Table(
        "schedules",
        metadata,
        sa.Column("name", text, primary_key=True, nullable=False),
        _needed("definition", text),
        _needed("source", text),
        _needed("paused", sa.Integer),
        _needed("revision", sa.Integer),
        _needed("created_us", big),
        _needed("updated_us", big),
        sa.Column("next_us", big),
        sqlite_with_rowid=False,
    )
    sa.Index("schedules_next", schedules.c.next_us)
    sa.Table(
        "fires",
        metadata,
        sa.Column("schedule", text, primary_key=True, nullable=False),
        sa.Column("fire_us", big, primary_key=True, nullable=False),
        sa.Column("job_id", text),
        _needed("what", text),
        _needed("created_us", big),
        sqlite_with_rowid=False,
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
        "apis",
        metadata,
        sa.Column("name", text, primary_key=True, nullable=False),
        _needed("boot", text),
        _needed("url", text),
        _needed("last_seen_us", big),
        sqlite_with_rowid=False,
    )
    sa.Table(
        "queue_pauses",
        metadata,
        sa.Column("queue", text, primary_key=True, nullable=False),
        _needed("since_us", big),
        _needed("reason", text),
        _needed("paused_by", text),
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


def _points(metadata: sa.MetaData) -> None:
    sa.Table(
        "points",
        metadata,
        sa.Column("at_us", sa.BigInteger, primary_key=True, nullable=False),
        sa.Column("api", sa.Text, primary_key=True, nullable=False),
        sa.Column("boot", sa.Text, primary_key=True, nullable=False),
        _needed("point", sa.Text),
        sqlite_with_rowid=False,
    )


def build() -> sa.MetaData:
    """All tables."""
    metadata = sa.MetaData()
    _jobs(metadata)
    _around_jobs(metadata)
    _schedules(metadata)
    _around_fleet(metadata)
    _points(metadata)
    return metadata
