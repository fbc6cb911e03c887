"""One connection: takes a ticket, submits, repeats what is worth it, counts, and takes the next."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import trio

from hermesd.bench.bodies import Bodies, Request
from hermesd.bench.faults import Fault, of_failure, of_response
from hermesd.bench.plan import Plan
from hermesd.bench.tally import Tally
from hermesd.bench.target import Target
from hermesd.bench.tickets import Tickets
from hermesd.client import ClientError
from hermesd.client.retry import Effort, RetryPolicy
from hermesd.core.backoff import Backoff
from hermesd.http.client import HttpConnection
from hermesd.http.errors import HttpCallFailed

ABANDONED: Final = "abandoned at the end"
_BACKOFF: Final = Backoff(seconds=0.1, factor=2.0, max_seconds=5.0, jitter=0.5)
_RETRY_SECONDS: Final = 300.0


@dataclass(frozen=True)
class Sender:
    """What all connections of a run share."""

    plan: Plan
    target: Target
    bodies: Bodies
    tickets: Tickets
    tally: Tally

    async def run(self) -> None:
        """Submit over one connection until there are no more tickets."""
        connection = self.target.connection()
        try:
            while (ticket := self.tickets.take(trio.current_time())) is not None:
                if ticket.due is not None:
                    await trio.sleep_until(ticket.due)
                request = self.bodies.request(ticket.jobs)
                due = trio.current_time() if ticket.due is None else ticket.due
                await self._submit(connection, request, due)
        finally:
            with trio.CancelScope(shield=True):
                await connection.aclose()

    async def _submit(self, connection: HttpConnection, request: Request, due: float) -> None:
        effort = Effort(self._policy(), self.plan.keys, trio.current_time)
        try:
            while (fault := await self._attempt(connection, request)) is not None:
                try:
                    pause_seconds = effort.pause_after(fault.error)
                except ClientError:
                    self.tally.given_up(fault.kind, request.jobs, trio.current_time())
                    return
                self.tally.repeated(fault.kind)
                await trio.sleep(pause_seconds)
        except trio.Cancelled:
            self.tally.given_up(ABANDONED, request.jobs, trio.current_time())
            raise
        self.tally.accepted(request.jobs, due, trio.current_time())

    async def _attempt(self, connection: HttpConnection, request: Request) -> Fault | None:
        """One try; None when the jobs were accepted."""
        try:
            response = await connection.request(
                "POST",
                self.target.prefix + request.path,
                request.body,
                request.headers,
                self.plan.timeout_seconds,
            )
        except HttpCallFailed as failure:
            return of_failure(failure)
        return of_response(response)

    def _policy(self) -> RetryPolicy:
        return RetryPolicy(
            retries=self.plan.retries, total_seconds=_RETRY_SECONDS, backoff=_BACKOFF
        )
