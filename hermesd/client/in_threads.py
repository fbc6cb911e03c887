"""The client for threads and scripts."""

from __future__ import annotations

import time
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from types import TracebackType
from typing import Self, TypeVar, Unpack

import httpx
from msgspec import UNSET

from hermesd.client import answers, calls
from hermesd.client import schedules as schedule_calls
from hermesd.client.bulk_in_threads import BulkInThreads
from hermesd.client.calls import Call, JobFilters, NewJob, SubmitOptions
from hermesd.client.faults import ClientError
from hermesd.client.feed import Feed, StreamedEvent
from hermesd.client.orders_in_threads import OrdersInThreads
from hermesd.client.reading import RawAnswer, read, refusal
from hermesd.client.retry import Effort, RetryPolicy
from hermesd.client.schedules import ScheduleList, ScheduleOptions, ScheduleView
from hermesd.client.waiting import POLL_SECONDS, Vigil
from hermesd.client.wire import DEFAULT_URL, Wire, header_mapping, opened, translated

A = TypeVar("A")


class Client(BulkInThreads, OrdersInThreads):
    """Calls one api. Safe to share between threads; a context manager, else call `close()`.

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
        self._http = opened(httpx.Client, self._wire)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes the connections."""
        self._http.close()

    def call(self, call: Call[A]) -> A:
        """Makes any call of `calls`, repeating it where that is right."""
        effort = Effort(self._policy, repeatable=call.repeatable)
        while True:
            try:
                return read(call, self._exchange(call))
            except ClientError as fault:
                pause = effort.pause_after(fault)
            time.sleep(pause)

    def submit(
        self, job_type: str, payload: object = UNSET, **options: Unpack[SubmitOptions]
    ) -> answers.Submission:
        """Records a job; without a `payload` it gets an empty object."""
        return self.call(calls.submit(calls.new_job(job_type, payload, options)))

    def submit_batch(self, items: Sequence[NewJob]) -> answers.BatchSubmission:
        """Records all of `items` or none."""
        return self.call(calls.submit_batch(items))

    def job(self, job_id: str) -> answers.JobView:
        """The job as it is now."""
        return self.call(calls.job(job_id)).job

    def wait(
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
            job = self.call(calls.job(job_id, wait_seconds=vigil.next_poll_seconds())).job
            pause = vigil.pause_after(job)
            if pause is None:
                return job
            if on_poll:
                on_poll(job)
            time.sleep(pause)

    def jobs(
        self,
        *,
        cursor: str | None = None,
        limit: int | None = None,
        **filters: Unpack[JobFilters],
    ) -> answers.JobPage:
        """One page of jobs, newest first; `limit` up to 500."""
        return self.call(calls.jobs(filters, cursor=cursor, limit=limit))

    def iter_jobs(
        self, *, page_size: int = 500, **filters: Unpack[JobFilters]
    ) -> Iterator[answers.JobView]:
        """All jobs that fit, newest first, a page at a time."""
        cursor: str | None = None
        while True:
            page = self.jobs(cursor=cursor, limit=page_size, **filters)
            yield from page.jobs
            cursor = page.next_cursor
            if cursor is None:
                return

    def events(self, job_id: str) -> answers.EventList:
        """The history of one job, oldest first."""
        return self.call(calls.job_events(job_id))

    def logs(self, job_id: str, *, after: int = 0, limit: int | None = None) -> answers.LogPage:
        """A page of what a job has logged, from the line behind number `after` on."""
        return self.call(calls.job_logs(job_id, after=after, limit=limit))

    def iter_logs(
        self, job_id: str, *, after: int = 0, page_size: int = 500
    ) -> Iterator[answers.LogLine]:
        """All that a job has logged until now, from the line behind number `after` on."""
        place: int | None = after
        while place is not None:
            page = self.logs(job_id, after=place, limit=page_size)
            yield from page.lines
            place = page.next_after

    def retry(self, job_id: str) -> answers.JobView:
        """A new run of a failed job; a scheduled one becomes due now."""
        return self.call(calls.retry(job_id)).job

    def cancel(self, job_id: str) -> answers.JobView:
        """Cancels a waiting job; a running one is asked to end (`cancel_requested`)."""
        return self.call(calls.cancel(job_id)).job

    def workers(self) -> answers.WorkerList:
        """The fleet."""
        return self.call(calls.workers())

    def types(self) -> answers.TypeList:
        """The job types that can be submitted."""
        return self.call(calls.types())

    def recent_events(
        self, *, limit: int | None = None, kind: str | None = None, job_id: str | None = None
    ) -> answers.EventList:
        """What the api still has in memory, newest first."""
        return self.call(calls.recent_events(limit=limit, kind=kind, job_id=job_id))

    @contextmanager
    def stream_events(self, *, after: int | None = None) -> Iterator[Iterator[StreamedEvent]]:
        """Events as they happen, from the one behind `after` on; reconnects by itself.

        The iterator never ends; it raises once `retries` connections in a row brought nothing.
        """
        with closing(self._stream(Feed(self._policy, after=after))) as events:
            yield events

    def schedules(self) -> ScheduleList:
        """All schedules, by name."""
        return self.call(schedule_calls.schedules())

    def schedule(
        self, name: str, *, next_fires: int | None = None, last_fires: int | None = None
    ) -> ScheduleView:
        """One schedule, with so many of its next and last fires."""
        asked = schedule_calls.schedule(name, next_fires=next_fires, last_fires=last_fires)
        return self.call(asked).schedule

    def make_schedule(
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
        return self.call(ask).schedule

    def delete_schedule(self, name: str, *, if_match: str | None = None) -> ScheduleView:
        """Deletes it, not its jobs; answers it as it was. `if_match`: only with that etag."""
        return self.call(schedule_calls.delete(name, if_match)).schedule

    def pause_schedule(self, name: str) -> ScheduleView:
        """Nothing is fired until it is resumed."""
        return self.call(schedule_calls.pause(name)).schedule

    def resume_schedule(self, name: str) -> ScheduleView:
        """It fires again, from now on."""
        return self.call(schedule_calls.resume(name)).schedule

    def trigger_schedule(self, name: str) -> answers.JobView:
        """Submits its job now."""
        return self.call(schedule_calls.trigger(name)).job

    def stats(self) -> answers.Stats:
        """Counts of the daemon."""
        return self.call(calls.stats())

    def health(self) -> answers.Health:
        """Whether the process answers."""
        return self.call(calls.health())

    def ready(self) -> answers.Readiness:
        """Whether jobs are taken; a no is an answer, not a fault."""
        return self.call(calls.ready())

    def _exchange(self, call: Call[A]) -> RawAnswer:
        with (
            translated(self._wire.base_url, call.idempotency_key),
            self._http.stream(**self._wire.request(call)) as response,
        ):
            return self._whole(response, self._wire.patience(call))

    def _whole(self, response: httpx.Response, seconds: float) -> RawAnswer:
        inbox = self._wire.inbox(seconds)
        for chunk in response.iter_raw():
            inbox.take(chunk)
        return RawAnswer(response.status_code, header_mapping(response.headers), inbox.body)

    def _stream(self, feed: Feed) -> Generator[StreamedEvent]:
        while True:
            try:
                with (
                    translated(self._wire.base_url),
                    self._http.stream(**self._wire.feed_request(feed.headers())) as response,
                ):
                    if response.status_code != 200:
                        raise refusal(self._whole(response, self._wire.timeout_seconds))
                    for chunk in response.iter_raw():
                        yield from feed.take(chunk)
                    raise feed.ended()
            except ClientError as fault:
                pause = feed.pause_after(fault)
            time.sleep(pause)
