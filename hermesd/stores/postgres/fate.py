"""What became of a commit whose answer was lost with its connection."""

from __future__ import annotations

import time
from typing import Any, Final

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
    """A transaction that was told to commit; the server remembers the end of each for long.

    `xid` is None where it was told so before its number came back; then `made` may be a job that
    it has inserted, and `mark` is the time it has given the job of `evidence` (see `HotRows`).
    """

    xid: str | None
    backend: Backend
    evidence: Evidence | None
    made: str | None = None
    mark: int | None = None


def landed(pipe: Pipe, fate: Fate, life: str | None) -> bool:
    """Whether it was committed, asked on another connection than its own: one to the life `life`.

    It is still under way where only the network failed: then its backend is ended first, so that it
    cannot commit after the answer. A server that has crashed gives the numbers of transactions that
    it did not come to write down to others: then only what the transaction wrote can tell.
    Raises StoreUnavailable where the server cannot tell.
    """
    if fate.xid is None:
        _end(pipe, fate.backend)
        return _seen(pipe, fate)
    same_life = life is not None and life == fate.backend.life
    until = time.monotonic() + END_SECONDS
    while True:
        status = _status(pipe, fate.xid)
        if status == _NOT_YET or (status == "in progress" and not same_life):
            return False  # its number is nobody's, or somebody else's
        if status != "in progress":
            break
        _end_once(pipe, fate.backend, until)
    if status is None:
        raise StoreUnavailable("PostgreSQL does not remember the transaction")
    if status == "committed" and not same_life:
        return _seen(pipe, fate)
    return status == "committed"


def _end(pipe: Pipe, backend: Backend) -> None:
    """Return when the backend is gone, and what it has done can be seen."""
    until = time.monotonic() + END_SECONDS
    while _end_once(pipe, backend, until):
        pass


def _end_once(pipe: Pipe, backend: Backend, until: float) -> bool:
    """Tell a backend to end; False where it has ended. StoreUnavailable after `until`."""
    if time.monotonic() > until:
        raise StoreUnavailable("PostgreSQL does not end the connection that was lost")
    told = pipe.send(statements.END_BACKEND, b"%d" % backend.pid, backend.started.encode())
    pipe.collect(end=True)
    if told.rows:
        time.sleep(POLL_SECONDS)  # in the store's own thread; the server does not call back
    return bool(told.rows)


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


def _seen(pipe: Pipe, fate: Fate) -> bool:
    """Whether a job is as the transaction left it; StoreUnavailable where that does not tell."""
    if fate.made is not None:
        return bool(_found(pipe, fate.made))
    if fate.evidence is not None:
        job_id, state, lease = fate.evidence
        rows = _found(pipe, job_id)
        if not rows:
            return False
        ((found, found_lease, mark),) = rows
        if (found, found_lease) == (state, lease):
            return fate.mark is None or fate.mark == mark
        before = found_lease == lease and State(state).terminal and not State(found).terminal
        if found_lease < lease or before:
            return False
    raise StoreUnavailable("others have changed the job since the connection to PostgreSQL broke")


def _found(pipe: Pipe, job_id: str) -> list[tuple[Any, ...]]:
    """(state, lease, when it was assigned or has ended) of a job, where it exists."""
    asked = pipe.send(statements.LEASE_OF, job_id.encode())
    pipe.collect(end=True)
    return asked.rows
