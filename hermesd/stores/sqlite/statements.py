"""The statements that write, each for a whole group with one JSON text as its parameter.

Those named `_ALL` and `_ALIKE` stand in triggers (see `hot`), with a column's name in place of `?`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from hermesd.core.notes import LINE_BYTES
from hermesd.stores.hot import ASSIGNED, SUCCEEDED
from hermesd.stores.rows import CHANGING, COLUMNS
from hermesd.stores.sqlite.rows import AS_JSON, BRIEF, LIGHT
from hermesd.stores.tables import EVENT, KEY


def _unpacked(names: Sequence[str], first: int = 0) -> str:
    # A path that begins with $ is taken as it is, a number is made into one at each row first.
    return ", ".join(f"r ->> '$[{place}]' AS {name}" for place, name in enumerate(names, first))


# Either way of saying it keeps json_each from rendering each row's text anew for every column
# (measured: 22 against 9 microseconds a row). The WITH stands inside, since Python counts the rows
# of a statement only if its first word is INSERT, UPDATE or DELETE; a trigger can have no WITH.
_EACH: Final = "WITH given AS MATERIALIZED (SELECT value AS r FROM json_each(?))"
_GIVEN: Final = "(SELECT value AS r FROM json_each(?) LIMIT -1 OFFSET 0)"

INSERT_ALL: Final = (
    f"INSERT INTO jobs ({', '.join(COLUMNS)}) SELECT {_unpacked(COLUMNS)} FROM {_GIVEN}"
)

# Of many alike all but what is each one's own is said once: in the columns of the view (see `hot`)
# named so. `given` is a JSON object then, of a key for each job (KEY_DIGITS of its time of creation
# and as many of its place, then its id) its payload: nothing is parsed for each row. `enqueued` and
# `started` are what to add to that time (0, or NULL for none).
KEY_DIGITS: Final = 19  # an INTEGER has no more
SHARED: Final = tuple(
    name
    for name in COLUMNS
    if name
    not in (
        *("id", "payload", "order_key"),
        *("created_us", "updated_us", "enqueued_us", "started_us"),
    )
)
_OF_KEY: Final = {
    "created_us": "at",
    "updated_us": "at",
    "enqueued_us": "at + NEW.enqueued",
    "started_us": "at + NEW.started",
} | {name: name for name in ("id", "payload", "order_key")}
INSERT_ALIKE: Final = (
    f"INSERT INTO jobs ({', '.join(COLUMNS)}) "
    f"SELECT {', '.join(_OF_KEY.get(name, f'NEW.{name}') for name in COLUMNS)} "
    f"FROM (SELECT substr(key, {2 * KEY_DIGITS + 1}) AS id, value AS payload, "
    f"substr(key, 1, {KEY_DIGITS}) + 0 AS at, "
    f"substr(key, {KEY_DIGITS + 1}, {KEY_DIGITS}) + 0 AS order_key "
    "FROM json_each(NEW.given) LIMIT -1 OFFSET 0)"
)

# SUCCEEDED
SUCCEED_ALL: Final = (
    "UPDATE jobs SET state = 'succeeded', owner = 'none', result = given.result, error = NULL, "
    "finished_us = given.at, updated_us = given.at, "
    "started_us = coalesce(given.started_us, jobs.started_us) "
    f"FROM (SELECT {_unpacked(SUCCEEDED)} "
    f"FROM {_GIVEN}) AS given "
    "WHERE jobs.id = given.id AND jobs.lease = given.lease AND jobs.state = 'running'"
)

# ASSIGNED, for queued jobs of the store's own
ASSIGN_ALL: Final = (
    "UPDATE jobs SET state = 'running', owner = 'incarnation', "
    f"{', '.join(f'{name} = given.{name}' for name in ASSIGNED[2:])} "
    f"FROM (SELECT {_unpacked(ASSIGNED)} "
    f"FROM {_GIVEN}) AS given "
    "WHERE jobs.id = given.id AND jobs.lease = given.old_lease AND jobs.state = 'queued' "
    "AND jobs.owner = 'store'"
)

# The same for many that share all behind their ids, which are the JSON list `given`. IN is half the
# work of a join: no table is made of what is to be changed. The + keeps it to the primary key.
_OF_GIVEN: Final = "WHERE id IN (SELECT value FROM json_each(NEW.given))"
SUCCEED_ALIKE: Final = (
    "UPDATE jobs SET state = 'succeeded', owner = 'none', result = NEW.result, error = NULL, "
    "finished_us = NEW.at, updated_us = NEW.at, "
    "started_us = coalesce(NEW.started_us, started_us) "
    f"{_OF_GIVEN} AND +lease = NEW.lease AND +state = 'running'"
)
ASSIGN_ALIKE: Final = (
    "UPDATE jobs SET state = 'running', owner = 'incarnation', "
    f"{', '.join(f'{name} = NEW.{name}' for name in ASSIGNED[2:])} "
    f"{_OF_GIVEN} AND +lease = NEW.old_lease AND +state = 'queued' AND +owner = 'store'"
)

# [id, lease], and [id, lease, published_us]: which waiting jobs the store owns, and no more does.
STILL_OWN: Final = (
    f"{_EACH} SELECT json_group_array(json_array(jobs.id, jobs.lease)) FROM given CROSS JOIN jobs "
    "ON jobs.id = r ->> '$[0]' AND jobs.lease = r ->> '$[1]' AND jobs.state = 'queued' "
    "AND jobs.owner = 'store'"
)
HAND_OVER: Final = (
    "UPDATE jobs SET owner = 'amqp', published_us = given.published_us "
    f"FROM ({_EACH} SELECT {_unpacked(('id', 'lease', 'published_us'))} FROM given) AS given "
    "WHERE jobs.id = given.id AND jobs.lease = given.lease AND jobs.state = 'queued' "
    "AND jobs.owner = 'store'"
)

# [id, state and lease as they were, then CHANGING]; entering `queued` clears the publish mark.
CHANGE_JOBS: Final = (
    f"UPDATE jobs SET {', '.join(f'{name} = new.{name}' for name in CHANGING)}, "
    "published_us = CASE WHEN new.state = 'queued' AND new.lease > new.old_lease THEN NULL "
    "ELSE jobs.published_us END "
    f"FROM ({_EACH} SELECT {_unpacked(('id', 'old_state', 'old_lease'))}, "
    f"{_unpacked(CHANGING, 3)} FROM given) AS new "
    "WHERE jobs.id = new.id AND jobs.state = new.old_state AND jobs.lease = new.old_lease"
)

_BY_ID: Final = "AS r FROM json_each(?) AS wanted CROSS JOIN jobs ON jobs.id = wanted.value"
JOBS_BY_ID: Final = f"SELECT {AS_JSON} {_BY_ID}"
LIGHT_BY_ID: Final = f"SELECT {LIGHT} {_BY_ID}"
BRIEF_BY_ID: Final = f"SELECT {BRIEF} {_BY_ID}"

INSERT_EVENTS: Final = (
    f"INSERT INTO events ({', '.join(EVENT)}) {_EACH} SELECT {_unpacked(EVENT)} FROM given"
)

DUE_IDS: Final = (
    "SELECT id FROM jobs WHERE state = 'scheduled' AND run_us <= ? ORDER BY run_us LIMIT ?"
)
NEXT_DUE: Final = "SELECT min(run_us) FROM jobs WHERE state = 'scheduled'"
ORPHAN_IDS: Final = (
    "SELECT id FROM jobs WHERE state = 'running' "
    "AND NOT EXISTS (SELECT 1 FROM incarnations AS living "
    "WHERE living.incarnation = jobs.incarnation AND living.fenced = 0) LIMIT ?"
)
LAST_ORDER_KEY: Final = (
    "SELECT max(order_key) FROM (SELECT max(order_key) AS order_key FROM jobs "
    "WHERE state = 'queued' UNION ALL "
    "SELECT max(order_key) FROM jobs WHERE state = 'running')"
)
WAITING_IN_PAIR: Final = (
    "SELECT * FROM (SELECT id, priority, order_key FROM jobs WHERE state = 'queued' "
    "AND queue = ? AND type = ? AND owner = 'store' ORDER BY priority DESC, order_key LIMIT ?)"
)

COUNT_WAITING: Final = (
    "SELECT queue, type, priority, count(*) FROM jobs WHERE state = 'queued' "
    "GROUP BY queue, type, owner, priority"  # as its index is sorted
)

# What a broker owns is queued: that need not be asked, so that the index alone can answer.
AT_BROKER: Final = (
    "SELECT * FROM (SELECT id, lease, published_us FROM jobs "
    "WHERE owner = 'amqp' AND queue = ? AND priority = ? AND published_us < ? "
    "ORDER BY published_us, id LIMIT ?)"
)
COUNT_AT_BROKER: Final = (
    "SELECT queue, priority, count(*) FROM jobs WHERE owner = 'amqp' "
    "AND published_us < ? GROUP BY queue, priority"
)

FIND_KEYS: Final = (
    f"{_EACH} SELECT {', '.join(f'keys.{name}' for name in KEY)}, keys.final_state "
    "FROM given CROSS JOIN idempotency AS keys "
    "ON keys.principal = r ->> '$[0]' AND keys.key_hash = r ->> '$[1]'"
)
PUT_KEYS: Final = (
    f"REPLACE INTO idempotency ({', '.join(KEY)}) {_EACH} SELECT {_unpacked(KEY)} FROM given"
)

# [after, until, limit, and of each of ENDED_STATES the time in microseconds: NULL for never]
ENDED_STATES: Final = ("succeeded", "failed", "cancelled")
_DUE_TO_GO: Final = " OR ".join(f"(state = '{one}' AND finished_us <= ?)" for one in ENDED_STATES)
WALK_ENDED: Final = (
    "WITH walked AS MATERIALIZED (SELECT id, type, state, finished_us, "
    "length(CAST(payload AS BLOB)) + coalesce(length(CAST(result AS BLOB)), 0) AS size "
    "FROM jobs WHERE id > ? AND id < ? ORDER BY id LIMIT ?) "
    "SELECT json_group_array(json_array(id, type, state, finished_us, size + logged)), "
    f"(SELECT max(id) FROM walked) FROM (SELECT *, {LINE_BYTES} * (SELECT count(*) FROM job_logs "
    f"WHERE job_logs.job_id = walked.id) AS logged FROM walked WHERE {_DUE_TO_GO} ORDER BY id)"
)

# Each through the index of its state.
COUNT_LIVE: Final = " UNION ALL ".join(
    f"SELECT '{one}', count(*) FROM jobs WHERE state = '{one}'"
    for one in ("scheduled", "queued", "running")
)

ENDED: Final = "state IN ('succeeded', 'failed', 'cancelled')"
KEEP_FINAL_STATES: Final = (
    "UPDATE idempotency SET final_state = jobs.state FROM jobs "
    "WHERE idempotency.job_id IN (SELECT value FROM json_each(?)) "
    f"AND jobs.id = idempotency.job_id AND jobs.{ENDED}"
)
PURGE_JOBS: Final = f"DELETE FROM jobs WHERE id IN (SELECT value FROM json_each(?)) AND {ENDED}"
PURGE_EVENTS: Final = (
    "DELETE FROM events WHERE job_id IN (SELECT value FROM json_each(?)) "
    "AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.id = events.job_id)"
)
PURGE_KEYS: Final = (
    "DELETE FROM idempotency WHERE (principal, key_hash) IN (SELECT principal, key_hash "
    "FROM idempotency AS old WHERE old.expires_us <= ? AND NOT EXISTS (SELECT 1 FROM jobs "
    f"WHERE jobs.id = old.job_id AND NOT jobs.{ENDED}) LIMIT 1000)"
)
