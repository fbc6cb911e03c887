"""A job that is submitted by itself, on its way through the intake."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import trio

from hermesd.api.acceptance import Waiter, stay
from hermesd.api.route import Reservation
from hermesd.core.job import Job


class Lone:
    """One from its routing until its client can be answered.

    `note` says why it waits where it has no `slot`; `waiter` has its worker's word where it has.
    """

    __slots__ = ("_tell", "error", "job", "note", "slot", "waiter")

    def __init__(self, job: Job, slot: Reservation | None = None, note: str = "") -> None:
        self.job = job
        self.slot = slot
        self.note = note
        self.waiter: Waiter | None = None
        self.error: Exception | None = None
        self._tell: Callable[[], None] | None = None

    async def done(self) -> None:
        """Return when somebody calls `go_on`, raise if `fail`; no cancellation comes through."""
        self.tell(partial(trio.lowlevel.reschedule, trio.lowlevel.current_task()))
        await trio.lowlevel.wait_task_rescheduled(stay)
        self.check()

    def tell(self, call: Callable[[], None]) -> None:
        """Have it called when somebody calls `go_on` or `fail`."""
        self._tell = call

    def check(self) -> None:
        """Raise what it has failed with, if it has."""
        if self.error is not None:
            raise self.error

    @property
    def refused(self) -> bool:
        """Whether it has failed."""
        return self.error is not None

    def go_on(self) -> None:
        """Its client can be answered; once is enough."""
        tell, self._tell = self._tell, None
        if tell is not None:
            tell()

    def fail(self, error: Exception) -> None:
        """The job is not stored, as far as is known."""
        self.error = error
        self.go_on()
