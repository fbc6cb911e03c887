"""The statements that write, each for a whole group with one JSON text as its parameter.

Those of nearly every job take binary arrays instead, one a column, and new jobs of which many are
alike say what they share once; one job has statements of its own (measured: see `hot`). What is
read to be changed is locked in the order of the ids, so that transactions do not meet crosswise.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from hermesd.stores.hot import ASSIGNED, SUCCEEDED
from hermesd.stores.rows import CHANGING, COLUMNS
from hermesd.stores.tables import EVENT, KEY, TYPE

_NUMBERS: Final = {
    **dict.fromkeys(("priority", "max_attempts", "crash_limit", "attempts", "run"), "int"),
    **dict.fromkeys(("attempt", "crash_count", "cancel_requested"), "int"),
    **dict.fromkeys(("timeout_us", "lease", "old_lease", "order_key", "at"), "bigint"),
}


def typed(names: Iterable[str]) -> str:
    """The columns of a record, as its definition says them."""
    return ", ".join(f"{name} {_type_of(name)}" for name in names)


def _type_of(name: str) -> str:
    return _NUMBERS.get(name) or ("bigint" if name.endswith("_us") else "text")


def is_text(name: str) -> bool:
    """Whether the column's values are texts."""
    return _type_of(name) == "text"


def is_int(name: str) -> bool:
    """Whether the column's values are numbers of 32 bits."""
    return _type_of(name) == "int"


def _given(names: Iterable[str]) -> str:
    return f"json_to_recordset($1::json) AS given({typed(names)})"


def _in_arrays(names: Sequence[str]) -> str:
    """A row for each place of the arrays.

    Not by one `unnest` of them all in FROM, which first writes each array's rows down (measured,
    for the change of one job: 80 µs more of 260).
    """
    kinds = ("text" if is_text(name) else "bigint" for name in names)
    arrays = (
        f"unnest(${place}::{kind}[]) AS {name}"
        for place, (name, kind) in enumerate(zip(names, kinds, strict=True), 1)
    )
    return f"(SELECT {', '.join(arrays)}) AS given"


def _all_or_none(change: str, values: int) -> str:
    """The change of as many jobs as the value after those `values` says.

    Where it hits fewer, the division fails and undoes the transaction.
    """
    hit = f"WITH hit AS ({change} RETURNING 1)"
    return f"{hit} SELECT 1 / (count(*) = ${values + 1}::bigint)::int FROM hit"


def _was(condition: str, given_id: str = "given.id") -> str:
    """What must be true of a job that was found by its id.

    Said so that it concerns both sides of the join: of the jobs alone it would make the planner
    expect few, and go through all that are in that state for each of the given rows.
    """
    return f"({condition} OR {given_id} IS NULL)"


_WAS_RUNNING: Final = _was("jobs.state = 'running'")
_ONE_WAS_RUNNING: Final = _was("state = 'running'", "$1")
_WAS_WAITING: Final = _was("jobs.state = 'queued' AND jobs.owner = 'store'")
_TEXTS: Final = "ARRAY(SELECT json_array_elements_text($1::json))"
# A row in the order of the decoder.
AS_JSON: Final = f"json_build_array({', '.join(f'jobs.{name}' for name in COLUMNS)})"
LIGHT: Final = AS_JSON.replace("jobs.payload", "''")
_WRITTEN: Final = "pg_current_xact_id_if_assigned()::text"
NOW_US: Final = "(extract(epoch FROM clock_timestamp()) * 1000000)::bigint"

INSERT_ALL: Final = (
    f"INSERT INTO jobs ({', '.join(COLUMNS)}) SELECT {', '.join(COLUMNS)} FROM {_given(COLUMNS)}"
)
# What each job has of its own, as arrays, then what all of them share.
OWN: Final = (
    "id",
    "payload",
    "labels",
    "created_us",
    "updated_us",
    "enqueued_us",
    "run_us",
    "started_us",
    "order_key",
    "trace_context",
    "limit_key",
)
SHARED: Final = tuple(name for name in COLUMNS if name not in OWN)


def _own_or_shared() -> str:
    arrays = [f"unnest(${place}::{_type_of(name)}[])" for place, name in enumerate(OWN, 1)]
    ones = [f"${place}::{_type_of(name)}" for place, name in enumerate(SHARED, len(OWN) + 1)]
    return ", ".join(arrays + ones)


INSERT_ALIKE: Final = f"INSERT INTO jobs ({', '.join(OWN + SHARED)}) SELECT {_own_or_shared()}"
INSERT_ONE: Final = (
    f"INSERT INTO jobs ({', '.join(OWN + SHARED)}) "
    f"VALUES ({', '.join(f'${place}' for place in range(1, len(COLUMNS) + 1))})"
)
# SUCCEEDED, and how many
SUCCEED_ALL: Final = _all_or_none(
    "UPDATE jobs SET state = 'succeeded', owner = 'none', result = given.result, error = NULL, "
    "finished_us = given.at, updated_us = given.at, "
    "started_us = coalesce(given.started_us, jobs.started_us) "
    f"FROM {_in_arrays(SUCCEEDED)} "
    f"WHERE jobs.id = given.id AND jobs.lease = given.lease AND {_WAS_RUNNING}",
    len(SUCCEEDED),
)
# SUCCEEDED; whether it has hit is to be seen from the number of rows
SUCCEED_ONE: Final = (
    "UPDATE jobs SET state = 'succeeded', owner = 'none', result = $3, error = NULL, "
    "finished_us = $4, updated_us = $4, started_us = coalesce($5, started_us) "
    f"WHERE id = $1 AND lease = $2 AND {_ONE_WAS_RUNNING}"
)
# ASSIGNED, for queued jobs of the store's own, and how many
ASSIGN_ALL: Final = _all_or_none(
    "UPDATE jobs SET state = 'running', owner = 'incarnation', "
    f"{', '.join(f'{name} = given.{name}' for name in ASSIGNED[2:])} "
    f"FROM {_in_arrays(ASSIGNED)} WHERE jobs.id = given.id "
    f"AND jobs.lease = given.old_lease AND {_WAS_WAITING}",
    len(ASSIGNED),
)
HAND_OVER: Final = (
    "UPDATE jobs SET owner = 'amqp', published_us = given.published_us "
    f"FROM {_given(('id', 'lease', 'published_us'))} "
    f"WHERE jobs.id = given.id AND jobs.lease = given.lease AND {_WAS_WAITING} "
    "RETURNING jobs.id, jobs.lease"
)
# [id, state and lease as they were, then CHANGING]; entering `queued` clears the publish mark.
BEFORE: Final = ("id", "old_state", "old_lease")
CHANGE_JOBS: Final = (
    f"UPDATE jobs SET {', '.join(f'{name} = given.{name}' for name in CHANGING)}, "
    "published_us = CASE WHEN given.state = 'queued' AND given.lease > given.old_lease THEN NULL "
    f"ELSE jobs.published_us END FROM {_given((*BEFORE, *CHANGING))} "
    "WHERE jobs.id = given.id AND jobs.state = given.old_state AND jobs.lease = given.old_lease"
)
_BY_ID: Final = f"(SELECT * FROM jobs WHERE id = ANY({_TEXTS}) ORDER BY id FOR UPDATE) AS jobs"
JOBS_BY_ID: Final = f"SELECT string_agg({AS_JSON}::text, ',') FROM {_BY_ID}"
LIGHT_BY_ID: Final = f"SELECT string_agg({LIGHT}::text, ',') FROM {_BY_ID}"
INSERT_EVENTS: Final = (
    f"INSERT INTO events ({', '.join(EVENT)}) SELECT {', '.join(EVENT)} FROM {_given(EVENT)}"
)

# What a job carries; a payload's size stands in its row.
SIZE: Final = "octet_length(payload) + coalesce(octet_length(result), 0)"
DUE_IDS: Final = (
    f"SELECT id, {SIZE} FROM jobs WHERE state = 'scheduled' AND run_us <= $1 "
    "ORDER BY run_us LIMIT $2 FOR UPDATE SKIP LOCKED"
)
ORPHAN_IDS: Final = (
    f"SELECT id, {SIZE} FROM jobs WHERE state = 'running' "
    "AND NOT EXISTS (SELECT 1 FROM incarnations AS living "
    "WHERE living.incarnation = jobs.incarnation AND living.fenced = 0) LIMIT $1 "
    "FOR UPDATE OF jobs SKIP LOCKED"
)
LIVING: Final = (
    f"SELECT incarnation FROM incarnations WHERE fenced = 0 AND incarnation = ANY({_TEXTS})"
)

# [principal, key hash]; whoever looks for a key, or puts it, holds its lock to the end.
KEY_NAMES: Final = KEY[:2]
LOCK_KEYS: Final = (
    "SELECT count(pg_advisory_xact_lock(number)) FROM (SELECT DISTINCT "
    "hashtextextended(principal || chr(10) || key_hash, 5) AS number "
    f"FROM {_given(KEY_NAMES)} ORDER BY 1) AS sorted"
)
FIND_KEYS: Final = (
    f"SELECT {', '.join(f'keys.{name}' for name in KEY)}, keys.final_state "
    f"FROM {_given(KEY_NAMES)} JOIN idempotency AS keys "
    "ON keys.principal = given.principal AND keys.key_hash = given.key_hash"
)
PUT_KEYS: Final = (
    f"INSERT INTO idempotency ({', '.join(KEY)}) SELECT {', '.join(KEY)} FROM {_given(KEY)} "
    "ON CONFLICT (principal, key_hash) DO UPDATE SET body_hash = excluded.body_hash, "
    "job_id = excluded.job_id, expires_us = excluded.expires_us, final_state = NULL"
)

ENDED: Final = "state IN ('succeeded', 'failed', 'cancelled')"
PURGE_IDS: Final = (
    f"SELECT id FROM jobs WHERE id = ANY({_TEXTS}) AND {ENDED} ORDER BY id FOR UPDATE SKIP LOCKED"
)
KEEP_FINAL_STATES: Final = (
    "UPDATE idempotency SET final_state = jobs.state FROM jobs "
    f"WHERE idempotency.job_id = ANY({_TEXTS}) AND jobs.id = idempotency.job_id"
)
PURGE_JOBS: Final = f"DELETE FROM jobs WHERE id = ANY({_TEXTS})"
PURGE_EVENTS: Final = f"DELETE FROM events WHERE job_id = ANY({_TEXTS})"
# OFFSET 0 keeps each key's look at its job one search by its id.
PURGE_KEYS: Final = (
    "WITH old AS MATERIALIZED (SELECT principal, key_hash FROM idempotency AS known "
    "WHERE known.expires_us <= $1 AND NOT EXISTS (SELECT 1 FROM jobs "
    f"WHERE jobs.id = known.job_id AND NOT jobs.{ENDED} OFFSET 0) "
    "ORDER BY known.expires_us LIMIT 1000 FOR UPDATE SKIP LOCKED) "
    "DELETE FROM idempotency USING old WHERE idempotency.principal = old.principal "
    "AND idempotency.key_hash = old.key_hash"
)

REGISTER: Final = (
    "INSERT INTO incarnations AS known "
    "(incarnation, worker_id, address, machine, last_seen_us, fenced) "
    "VALUES ($1, $2, $3, $4, $5, 0) ON CONFLICT (incarnation) DO UPDATE SET "
    "worker_id = excluded.worker_id, address = excluded.address, machine = excluded.machine, "
    "last_seen_us = greatest(known.last_seen_us, excluded.last_seen_us) "
    "WHERE known.fenced = 0 RETURNING incarnation"
)
HEARD: Final = (
    "UPDATE incarnations SET last_seen_us = greatest(last_seen_us, $2) WHERE fenced = 0 "
    "AND incarnation IN (SELECT incarnation FROM incarnations "
    f"WHERE incarnation = ANY({_TEXTS}) AND fenced = 0 ORDER BY incarnation FOR UPDATE) "
    "RETURNING incarnation"
)
FENCE: Final = (
    "UPDATE incarnations SET fenced = 1 WHERE incarnation = $1 AND fenced = 0 "
    "AND last_seen_us <= $2 RETURNING incarnation"
)
COUNT_AS_HEARD: Final = (
    "UPDATE incarnations SET last_seen_us = greatest(last_seen_us, $1) WHERE incarnation IN "
    "(SELECT incarnation FROM incarnations WHERE fenced = 0 ORDER BY incarnation FOR UPDATE)"
)
FORGET: Final = (
    "DELETE FROM incarnations WHERE fenced = 1 AND last_seen_us <= $1 AND NOT EXISTS "
    "(SELECT 1 FROM jobs WHERE state = 'running' AND jobs.incarnation = incarnations.incarnation) "
    "RETURNING incarnation"
)
LEARN: Final = (
    f"INSERT INTO types ({', '.join(TYPE)}) SELECT {', '.join(TYPE)} FROM {_given(TYPE)} "
    "ORDER BY name ON CONFLICT (name) DO UPDATE SET definition = excluded.definition, "
    "last_seen_us = excluded.last_seen_us, source = excluded.source"
)
TOUCH: Final = (
    "INSERT INTO meta (name, value) VALUES ('checked_us', $1) "
    "ON CONFLICT (name) DO UPDATE SET value = excluded.value"
)

# What proves the commit later (NULL: nothing was written), and the time there.
XID: Final = f"SELECT {_WRITTEN}, {NOW_US}"
LAST_ORDER_KEY: Final = (
    "SELECT max(order_key) FROM (SELECT max(order_key) AS order_key FROM jobs "
    "WHERE state = 'queued' UNION ALL "
    "SELECT max(order_key) FROM jobs WHERE state = 'running') AS live"
)
# A server that comes back from a crash throws its statistics away, and says when.
SELF: Final = (
    "SELECT pg_backend_pid(), (SELECT backend_start::text FROM pg_stat_activity "
    "WHERE pid = pg_backend_pid()), (SELECT stats_reset::text FROM pg_stat_bgwriter), "
    f"pg_is_in_recovery(), {NOW_US}"
)
SYNCED: Final = (
    "SELECT set_config('synchronous_commit', 'on', false) "
    "WHERE current_setting('synchronous_commit') = 'off'"
)
STATUS_OF: Final = "SELECT pg_xact_status($1::xid8)"
LEASE_OF: Final = (
    "SELECT state, lease, CASE state WHEN 'running' THEN started_us ELSE finished_us END "
    "FROM jobs WHERE id = $1"
)
# A role without the right to see a backend's start gets NULL for it, and then a refusal.
END_BACKEND: Final = (
    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
    "WHERE pid = $1::int AND (backend_start IS NULL OR backend_start::text = $2)"
)
