"""The tables of a new database, as all migrations together leave them; tests compare the two.

A first start needs no migration tool that way, which takes longer than the rest of it (measured:
0.5 of 1.3 s). Whatever migration is added changes this too. The types are SQLite's; PostgreSQL
knows them as well, and puts to them what it is told beside (see `postgres.fresh`).
"""

from __future__ import annotations

from typing import Final

from hermesd.stores.version import VERSION_TABLE

_JOBS: Final = (
    "id TEXT NOT NULL, type TEXT NOT NULL, queue TEXT NOT NULL, priority INTEGER NOT NULL, "
    "state TEXT NOT NULL, payload TEXT NOT NULL, attempts INTEGER NOT NULL, "
    "max_attempts INTEGER NOT NULL, timeout_us BIGINT NOT NULL, backoff TEXT NOT NULL, "
    "labels TEXT NOT NULL, run INTEGER NOT NULL, lease BIGINT NOT NULL, owner TEXT NOT NULL, "
    "rung TEXT, assigned_by TEXT, worker_id TEXT, incarnation TEXT, "
    "crash_count INTEGER NOT NULL, crash_limit INTEGER NOT NULL, "
    "cancel_requested INTEGER NOT NULL, order_key BIGINT NOT NULL, created_us BIGINT NOT NULL, "
    "updated_us BIGINT NOT NULL, enqueued_us BIGINT, run_us BIGINT, started_us BIGINT, "
    "finished_us BIGINT, result TEXT, error TEXT, idempotency_key TEXT, trace_context TEXT, "
    "limit_key TEXT, published_us BIGINT, parents_pending INTEGER DEFAULT '0' NOT NULL, "
    "progress FLOAT, progress_note TEXT, logs_dropped INTEGER DEFAULT '0' NOT NULL, "
    "PRIMARY KEY (id)"
)
_EVENTS: Final = (
    "id INTEGER NOT NULL, job_id TEXT NOT NULL, time_us BIGINT NOT NULL, job_type TEXT NOT NULL, "
    "kind TEXT NOT NULL, worker_id TEXT, message TEXT NOT NULL, run INTEGER NOT NULL, "
    "attempt INTEGER NOT NULL, started_us BIGINT, rung TEXT, error TEXT, PRIMARY KEY (id)"
)
_JOB_LOGS: Final = (
    "id INTEGER NOT NULL, job_id TEXT NOT NULL, run INTEGER NOT NULL, attempt INTEGER NOT NULL, "
    "time_us BIGINT NOT NULL, level TEXT NOT NULL, line TEXT NOT NULL, PRIMARY KEY (id)"
)
_VERSION: Final = (
    f"version_num VARCHAR(32) NOT NULL, CONSTRAINT {VERSION_TABLE}_pkc PRIMARY KEY (version_num)"
)

NUMBERED: Final = frozenset({"events", "job_logs"})  # whose `id` the database gives
TABLES: Final = {
    VERSION_TABLE: _VERSION,
    "jobs": _JOBS,
    "events": _EVENTS,
    "job_logs": _JOB_LOGS,
    "idempotency": (
        "principal TEXT NOT NULL, key_hash TEXT NOT NULL, body_hash TEXT NOT NULL, "
        "job_id TEXT NOT NULL, expires_us BIGINT NOT NULL, final_state TEXT, "
        "PRIMARY KEY (principal, key_hash)"
    ),
    "incarnations": (
        "incarnation TEXT NOT NULL, worker_id TEXT NOT NULL, address TEXT NOT NULL, "
        "machine TEXT NOT NULL, last_seen_us BIGINT NOT NULL, fenced INTEGER NOT NULL, "
        "PRIMARY KEY (incarnation)"
    ),
    "types": (
        "name TEXT NOT NULL, definition TEXT NOT NULL, last_seen_us BIGINT NOT NULL, "
        "source TEXT NOT NULL, PRIMARY KEY (name)"
    ),
    "meta": "name TEXT NOT NULL, value TEXT NOT NULL, PRIMARY KEY (name)",
    "schedules": (
        "name TEXT NOT NULL, definition TEXT NOT NULL, source TEXT NOT NULL, "
        "paused INTEGER NOT NULL, revision INTEGER NOT NULL, created_us BIGINT NOT NULL, "
        "updated_us BIGINT NOT NULL, next_us BIGINT, PRIMARY KEY (name)"
    ),
    "fires": (
        "schedule TEXT NOT NULL, fire_us BIGINT NOT NULL, job_id TEXT, what TEXT NOT NULL, "
        "created_us BIGINT NOT NULL, PRIMARY KEY (schedule, fire_us)"
    ),
    "apis": (
        "name TEXT NOT NULL, boot TEXT NOT NULL, url TEXT NOT NULL, "
        "last_seen_us BIGINT NOT NULL, PRIMARY KEY (name)"
    ),
    "queue_pauses": (
        "queue TEXT NOT NULL, since_us BIGINT NOT NULL, reason TEXT NOT NULL, "
        "paused_by TEXT NOT NULL, PRIMARY KEY (queue)"
    ),
    "points": (
        "at_us BIGINT NOT NULL, api TEXT NOT NULL, boot TEXT NOT NULL, point TEXT NOT NULL, "
        "PRIMARY KEY (at_us, api, boot)"
    ),
}
INDEXES: Final = {
    "jobs_queued": (
        "jobs (queue, type, owner, priority DESC, order_key, state) WHERE state = 'queued'"
    ),
    "jobs_with_broker": "jobs (queue, priority, published_us, id, owner) WHERE owner = 'amqp'",
    "jobs_scheduled": "jobs (run_us) WHERE state = 'scheduled'",
    "jobs_running": "jobs (incarnation) WHERE state = 'running'",
    "jobs_failed": "jobs (id) WHERE state = 'failed'",
    "ix_idempotency_job_id": "idempotency (job_id)",
    "ix_idempotency_expires_us": "idempotency (expires_us)",
    "ix_events_job_id": "events (job_id)",
    "job_logs_job": "job_logs (job_id, id)",
    "schedules_next": "schedules (next_us)",
}
