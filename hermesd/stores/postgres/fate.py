"""What became of a commit whose answer was lost with its connection."""

from __future__ import annotations

import time
from typing import Final

import msgspec

from hermesd.core.errors import StoreUnavailable
from hermesd.core.states import State
from hermesd.stores.backend import Evidence
from hermesd.stores.postgres import statements
from hermesd.stores.postgres.connection import Refused
from hermesd.stores.postgres.pipe import Pipe

END_SECONDS: Final = 5.0  # for the server to end a connection that is gone here
POLL_SECONDS: Final = 0.02
_IN_THE_FUTURE: Final = "22023"  # invalid_parameter_value: of a number that was not given yet
_NOT_YET: Final = "not yet"


class Backend(msgspec.Struct, frozen=True):
    """One of the server's processes; process ids come again, with another start.

    `life` is another one after each crash of the server, and on each server.
    """

    pid: int
    started: str
    life: str | None


class Fate(msgspec.Struct, frozen=True):
    """A transaction that was told to commit; the server remembers the end of each for long."""

    xid: str
    backend: Backend
    evidence: Evidence | None


def landed(pipe: Pipe, fate: Fate, life: str | None) -> bool:
    """Whether it was committed, asked on another connection than its own: one to the life `life`.

    It is still under way where only the network failed: then its backend is ended first, so that it
    cannot commit after the answer. A server that has crashed gives the numbers of transactions that
    it did not come to write down to others: then only what the transaction wrote can tell.
    Raises StoreUnavailable where the server cannot tell.
    """
    same_life = life is not None and life == fate.backend.life
    until = time.monotonic() + END_SECONDS
    while True:
        status = _status(pipe, fate.xid)
        if status == _NOT_YET or (status == "in progress" and not same_life):
            return False  # its number is nobody's, or somebody else's
        if status != "in progress":
            break
        if time.monotonic() > until:
            raise StoreUnavailable("PostgreSQL does not end the connection that was lost")
        started = fate.backend.started.encode()
        pipe.send(statements.END_BACKEND, b"%d" % fate.backend.pid, started)
        pipe.collect(end=True)
        time.sleep(POLL_SECONDS)  # in the store's own thread; the server does not call back
    if status is None:
        raise StoreUnavailable("PostgreSQL does not remember the transaction")
    if status == "committed" and not same_life:
        return _seen(pipe, fate.evidence)
    return status == "committed"


def _status(pipe: Pipe, xid: str) -> str | None:
    """The server's word for it; _NOT_YET where it has not come to that number."""
    asked = pipe.send(statements.STATUS_OF, xid.encode())
    try:
        pipe.collect(end=True)
    except Refused as error:
        if error.sqlstate == _IN_THE_FUTURE:
            return _NOT_YET
        raise
    ((status,),) = asked.rows
    return None if status is None else str(status)


def _seen(pipe: Pipe, evidence: Evidence | None) -> bool:
    """Whether a job is as the transaction left it; StoreUnavailable where that does not tell."""
    if evidence is not None:
        job_id, state, lease = evidence
        asked = pipe.send(statements.LEASE_OF, job_id.encode())
        pipe.collect(end=True)
        if not asked.rows:
            return False
        ((found, found_lease),) = asked.rows
        if (found, found_lease) == (state, lease):
            return True
        before = found_lease == lease and State(state).terminal and not State(found).terminal
        if found_lease < lease or before:
            return False
    raise StoreUnavailable("PostgreSQL has crashed, and others have changed the job since")
