"""What a server that has crashed can tell of a commit: it gives its number to others."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager

import psycopg
import pytest
from databases.postgresql import PostgresServer
from databases.stores import line_to

from hermesd.core.errors import StoreUnavailable
from hermesd.stores.backend import Evidence
from hermesd.stores.postgres import statements
from hermesd.stores.postgres.connection import WRITER_SETTINGS, open_connection
from hermesd.stores.postgres.fate import Backend, Fate, landed
from hermesd.stores.postgres.pipe import Pipe

ABSENT: Evidence = ("absent", "queued", 1)
XID = "SELECT pg_current_xact_id()::text"
CHANGE = "INSERT INTO meta (name, value) VALUES ('probe', '1') ON CONFLICT (name) DO NOTHING"


@contextmanager
def asking(url: str) -> Iterator[tuple[Pipe, str]]:
    """A connection to ask on, and the server's life."""
    pipe = Pipe(open_connection(line_to(url), "writer", WRITER_SETTINGS))
    try:
        own = pipe.send(statements.SELF)
        pipe.collect(end=True)
        yield pipe, own.rows[0][2]
    finally:
        pipe.close()


def of(xid: str, life: str | None, evidence: Evidence | None = None) -> Fate:
    """A transaction of a backend that is gone."""
    return Fate(xid, Backend(1, "long ago", life), evidence)


def committed(url: str) -> str:
    """The number of a transaction that was committed just now."""
    with psycopg.connect(url) as connection:
        connection.execute(CHANGE)
        (xid,) = connection.execute(XID).fetchone() or ("",)
        return str(xid)


def test_what_a_crash_undid_has_not_landed(postgresql: PostgresServer, postgresql_url: str) -> None:
    """Though another transaction was given its number, and was committed."""
    with asking(postgresql_url) as (_, life), closing(psycopg.connect(postgresql_url)) as lost:
        lost.execute(CHANGE)
        (xid,) = lost.execute(XID).fetchone() or ("",)
        try:
            postgresql.kill()
        finally:
            postgresql.start()
    fate = of(xid, life, ABSENT)
    with asking(postgresql_url) as (pipe, now):
        assert now != life
        assert not landed(pipe, fate, now)
        while int(committed(postgresql_url)) < int(xid):
            pass
        assert not landed(pipe, fate, now)


def test_a_number_that_was_not_given_yet_has_not_landed(postgresql_url: str) -> None:
    """A crash has undone the transaction that had it."""
    xid = str(int(committed(postgresql_url)) + 1_000_000)
    with asking(postgresql_url) as (pipe, life):
        assert not landed(pipe, of(xid, life), life)


def test_a_server_that_has_not_crashed_is_believed(
    postgresql: PostgresServer, postgresql_url: str
) -> None:
    """Also after a restart in good order."""
    xid = committed(postgresql_url)
    with asking(postgresql_url) as (pipe, life):
        assert landed(pipe, of(xid, life), life)
    try:
        postgresql.stop()
    finally:
        postgresql.start()
    with asking(postgresql_url) as (pipe, now):
        assert now == life
        assert landed(pipe, of(xid, life), now)


@pytest.mark.parametrize(
    ("evidence", "found"),
    [
        (("job-1", "running", 2), True),
        (("job-1", "running", 3), False),
        (("job-1", "succeeded", 2), False),
        (ABSENT, False),
        (("job-1", "running", 1), None),
        (None, None),
    ],
    ids=["as it left it", "before it", "not ended", "absent", "changed since", "nothing to see"],
)
def test_after_a_crash_what_was_written_tells(
    postgresql_url: str, evidence: Evidence | None, found: bool | None
) -> None:
    """None: nobody can tell."""
    xid = committed(postgresql_url)
    with psycopg.connect(postgresql_url, autocommit=True) as connection:
        connection.execute(JOB)
    with asking(postgresql_url) as (pipe, life):
        fate = of(xid, "before the crash", evidence)
        if found is None:
            with pytest.raises(StoreUnavailable):
                landed(pipe, fate, life)
        else:
            assert landed(pipe, fate, life) is found


JOB = (
    "INSERT INTO jobs (id, type, queue, priority, state, payload, attempts, max_attempts, "
    "timeout_us, backoff, labels, run, lease, owner, crash_count, crash_limit, cancel_requested, "
    "order_key, created_us, updated_us) VALUES ('job-1', 'note', 'default', 3, 'running', '{}', "
    "1, 1, 1000000, '{}', '{}', 1, 2, 'incarnation', 0, 3, 0, 1, 1, 1)"
)
