"""The client for tasks, under asyncio and under trio (httpx finds out which)."""

from __future__ import annotations

from collections.abc import AsyncGenerator, AsyncIterator, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from types import TracebackType
from typing import Self, TypeVar, Unpack

import anyio
import httpx
from msgspec import UNSET

from hermesd.client import answers, calls
from hermesd.client import schedules as schedule_calls
from hermesd.client.bulk_in_tasks import BulkInTasks
from hermesd.client.calls import Call, JobFilters, NewJob, SubmitOptions
from hermesd.client.faults import ClientError
from hermesd.client.feed import Feed, StreamedEvent
from hermesd.client.orders_in_tasks import OrdersInTasks
from hermesd.client.reading import RawAnswer, read, refusal
from hermesd.client.retry import Effort, RetryPolicy
from hermesd.client.schedules import ScheduleList, ScheduleOptions, ScheduleView
from hermesd.client.waiting import POLL_SECONDS, Vigil
from hermesd.client.wire import DEFAULT_URL, Wire, header_mapping, opened, translated

A = TypeVar("A")


class AsyncClient(BulkInTasks, OrdersInTasks):
    """Calls one api. Safe to share between tasks of one loop; an async context manager, else
    `await close()`.

    `timeout_seconds` bounds each step of a request (connect, send, and the answer up to its end).
    A call that surely was not done, or that is safe to do twice, is repeated up to `retries` times
    with backoff, for at most `retry_total_seconds`. Raises the classes of `faults`, and
    InvalidValue (a ValueError) for arguments that no request can be made of.
    """

    def __init__(
        self,
        base_url: str = DEFAULT_URL,
        timeout_seconds: float = 10.0,
        retries: int = 5,
        *,
        retry_total_seconds: float = 60.0,
        max_answer_bytes: int = 256 * 1024 * 1024,
    ) -> None:
        self._wire = Wire(
            base_url=base_url, timeout_seconds=timeout_seconds, max_answer_bytes=max_answer_bytes
        )
        self._policy = RetryPolicy(retries=retries, total_seconds=retry_total_seconds)
        self._http = opened(httpx.AsyncClient, self._wire)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Closes the connections."""
        await self._http.aclose()

    async def call(self, call: Call[A]) -> A:
        """Makes any call of `calls`, repeating it where that is right."""
        effort = Effort(self._policy, repeatable=call.repeatable)
        while True:
            try:
                return read(call, await self._exchange(call))
            except ClientError as fault:
                pause = effort.pause_after(fault)
            await anyio.sleep(pause)

    async def submit(
        self, job_type: str, payload: object = UNSET, **options: Unpack[SubmitOptions]
    ) -> answers.Submission:
        """Records a job; without a `payload` it gets an empty object."""
        return await self.call(calls.submit(calls.new_job(job_type, payload, options)))

    async def submit_batch(self, items: Sequence[NewJob]) -> answers.BatchSubmission:
        """Records all of `items` or none."""
        return await self.call(calls.submit_batch(items))

    async def job(self, job_id: str) -> answers.JobView:
        """The job as it is now."""
        return (await self.call(calls.job(job_id))).job

    async def wait(
        self,
        job_id: str,
        timeout_seconds: float = 60.0,
        *,
        poll_seconds: float = POLL_SECONDS,
        on_poll: Callable[[answers.JobView], None] | None = None,
    ) -> answers.JobView:
        """The job once its run has ended; raises WaitTimeout. `on_poll` sees every view before."""
        vigil = Vigil(job_id, timeout_seconds, poll_seconds)
        while True:
            seconds = vigil.next_poll_seconds()
            job = (await self.call(calls.job(job_id, wait_seconds=seconds))).job
            pause = vigil.pause_after(job)
            if pause is None:
                return job
            if on_poll:
                on_poll(job)
            await anyio.sleep(pause)

    async def jobs(
        self,
        *,
        cursor: str | None = None,
        limit: int | None = None,
        **filters: Unpack[JobFilters],
    ) -> answers.JobPage:
        """One page of jobs, newest first; `limit` up to 500."""
        return await self.call(calls.jobs(filters, cursor=cursor, limit=limit))

    async def iter_jobs(
        self, *, page_size: int = 500, **filters: Unpack[JobFilters]
    ) -> AsyncIterator[answers.JobView]:
        """All jobs that fit, newest first, a page at a time."""
        cursor: str | None = None
        while True:
            page = await self.jobs(cursor=cursor, limit=page_size, **filters)
            for job in page.jobs:
                yield job
            cursor = page.next_cursor
            if cursor is None:
                return

    async def events(self, job_id: str) -> answers.EventList:
        """The history of one job, oldest first."""
        return await self.call(calls.job_events(job_id))

    async def logs(
        self, job_id: str, *, after: int = 0, limit: int | None = None
    ) -> answers.LogPage:
        """A page of what a job has logged, from the line behind number `after` on."""
        return await self.call(calls.job_logs(job_id, after=after, limit=limit))

    async def iter_logs(
        self, job_id: str, *, after: int = 0, page_size: int = 500
    ) -> AsyncIterator[answers.LogLine]:
        """All that a job has logged until now, from the line behind number `after` on."""
        place: int | None = after
        while place is not None:
            page = await self.logs(job_id, after=place, limit=page_size)
            for line in page.lines:
                yield line
            place = page.next_after

    async def retry(self, job_id: str) -> answers.JobView:
        """A new run of a failed job; a scheduled one becomes due now."""
        return (await self.call(calls.retry(job_id))).job

    async def cancel(self, job_id: str) -> answers.JobView:
        """Cancels a waiting job; a running one is asked to end (`cancel_requested`)."""
        return (await self.call(calls.cancel(job_id))).job

    async def workers(self) -> answers.WorkerList:
        """The fleet."""
        return await self.call(calls.workers())

    async def types(self) -> answers.TypeList:
        """The job types that can be submitted."""
        return await self.call(calls.types())

    async def recent_events(
        self, *, limit: int | None = None, kind: str | None = None, job_id: str | None = None
    ) -> answers.EventList:
        """What the api still has in memory, newest first."""
        return await self.call(calls.recent_events(limit=limit, kind=kind, job_id=job_id))

    @asynccontextmanager
    async def stream_events(
        self, *, after: int | None = None
    ) -> AsyncIterator[AsyncIterator[StreamedEvent]]:
        """Events as they happen, from the one behind `after` on; reconnects by itself.

        The iterator never ends; it raises once `retries` connections in a row brought nothing.
        """
        async with aclosing(self._stream(Feed(self._policy, after=after))) as events:
            yield events

    async def schedules(self) -> ScheduleList:
        """All schedules, by name."""
        return await self.call(schedule_calls.schedules())

    async def schedule(
        self, name: str, *, next_fires: int | None = None, last_fires: int | None = None
    ) -> ScheduleView:
        """One schedule, with so many of its next and last fires."""
        asked = schedule_calls.schedule(name, next_fires=next_fires, last_fires=last_fires)
        return (await self.call(asked)).schedule

    async def make_schedule(
        self,
        name: str,
        cron: str,
        job_type: str,
        payload: object = UNSET,
        *,
        replace: bool = False,
        if_match: str | None = None,
        **options: Unpack[ScheduleOptions],
    ) -> ScheduleView:
        """Makes a schedule; `replace` one of that name, with all of its definition.

        `if_match` replaces the one that has this etag still, and no other.
        """
        if replace or if_match is not None:
            ask = schedule_calls.put(name, cron, job_type, payload, options, if_match)
        else:
            ask = schedule_calls.make(name, cron, job_type, payload, options)
        return (await self.call(ask)).schedule

    async def delete_schedule(self, name: str, *, if_match: str | None = None) -> ScheduleView:
        """Deletes it, not its jobs; answers it as it was. `if_match`: only with that etag."""
        return (await self.call(schedule_calls.delete(name, if_match))).schedule

    async def pause_schedule(self, name: str) -> ScheduleView:
        """Nothing is fired until it is resumed."""
        return (await self.call(schedule_calls.pause(name))).schedule

    async def resume_schedule(self, name: str) -> ScheduleView:
        """It fires again, from now on."""
        return (await self.call(schedule_calls.resume(name))).schedule

    async def trigger_schedule(self, name: str) -> answers.JobView:
        """Submits its job now."""
        return (await self.call(schedule_calls.trigger(name))).job

    async def stats(self) -> answers.Stats:
        """Counts of the daemon."""
        return await self.call(calls.stats())

    async def health(self) -> answers.Health:
        """Whether the process answers."""
        return await self.call(calls.health())

    async def ready(self) -> answers.Readiness:
        """Whether jobs are taken; a no is an answer, not a fault."""
        return await self.call(calls.ready())

    async def _exchange(self, call: Call[A]) -> RawAnswer:
        request = self._wire.request(call)
        with translated(self._wire.base_url, call.idempotency_key):
            async with self._http.stream(**request) as response:
                return await self._whole(response, self._wire.patience(call))

    async def _whole(self, response: httpx.Response, seconds: float) -> RawAnswer:
        inbox = self._wire.inbox(seconds)
        async for chunk in response.aiter_raw():
            inbox.take(chunk)
        return RawAnswer(response.status_code, header_mapping(response.headers), inbox.body)

    async def _stream(self, feed: Feed) -> AsyncGenerator[StreamedEvent]:
        while True:
            try:
                request = self._wire.feed_request(feed.headers())
                with translated(self._wire.base_url):
                    async with self._http.stream(**request) as response:
                        if response.status_code != 200:
                            raise refusal(await self._whole(response, self._wire.timeout_seconds))
                        async for chunk in response.aiter_raw():
                            for event in feed.take(chunk):
                                yield event
                        raise feed.ended()
            except ClientError as fault:
                pause = feed.pause_after(fault)
            await anyio.sleep(pause)
