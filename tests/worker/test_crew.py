"""Async handlers that share tasks: none of them may notice."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from typing import Any

import msgspec
import pytest
import structlog
import trio
from trio.testing import MockClock, wait_all_tasks_blocked

from hermesd.clock import TrioClock
from hermesd.config import Config
from hermesd.core.fleet import Acceptance, DispatchAnswer, DispatchBatch, DispatchItem
from hermesd.core.job import Token
from hermesd.core.outcome import Outcome, OutcomeKind
from hermesd.handlers import hookimpl, job
from hermesd.handlers.loader import load_plugins
from hermesd.observe.worker_metrics import WorkerMetrics
from hermesd.testing.links import DirectLink
from hermesd.worker.crew import MOST_RESTING
from hermesd.worker.execute import Executor
from hermesd.worker.follow import pool_limits
from hermesd.worker.notes import NoteSender
from hermesd.worker.processes import ProcessPool
from hermesd.worker.receive import Receiver
from hermesd.worker.slots import SlotTable
from hermesd.worker.state import Session, WorkerState

TIMEOUT_SECONDS = 5.0
SUCCEEDED, FAILED = OutcomeKind.SUCCEEDED, OutcomeKind.FAILED


class Running:
    """A worker without links; `handle` is its one handler, which gets the payload."""

    def __init__(self, handle: Any, nursery: trio.Nursery, *plugins: object):
        catalogue = load_plugins(enabled=["(none)"], extra=[job("note")(handle), *plugins])
        self.state = WorkerState(
            worker_id="w1",
            version="0",
            config=Config(),
            clock=TrioClock(),
            catalogue=catalogue,
            metrics=WorkerMetrics(),
            log=structlog.get_logger(),
            slots=SlotTable({"async": 100, "thread": 1, "process": 0}),
        )
        limits = pool_limits(self.state.config)
        pool = ProcessPool(nursery, size=1, limits=limits, logger=self.state.log)
        executor = Executor(self.state, pool, NoteSender(self.state), nursery)
        self.receiver = Receiver(self.state, executor)
        self.nursery = nursery
        self.state.sessions["a"] = Session(
            DirectLink(None),  # type: ignore[arg-type]  # nobody speaks over it
            "a",
            "boot",
            "store",
            5.0,
        )

    def dispatch(self, *payloads: Any, ids: Sequence[str] = ()) -> tuple[Acceptance, ...]:
        """A batch of jobs with these payloads, whose ids are "0", "1", ... or `ids`."""
        names = ids or [str(number) for number in range(len(payloads))]
        items = tuple(
            DispatchItem(
                id=name,
                lease=1,
                type="note",
                payload=msgspec.Raw(msgspec.json.encode(payload)),
                queue="default",
                priority=3,
                attempt=1,
                max_attempts=3,
                timeout=TIMEOUT_SECONDS,
            )
            for name, payload in zip(names, payloads, strict=True)
        )
        batch = DispatchBatch(
            api_name="a",
            api_boot="boot",
            store_id="store",
            incarnation=self.state.incarnation,
            number=self.state.sessions["a"].last_batch + 1,
            jobs=items,
        )
        answer = self.receiver.accept(batch)
        assert isinstance(answer, DispatchAnswer)
        return answer.items

    def outcome(self, job_id: str) -> Outcome:
        """What a job came to."""
        return self.state.leases.unsettled[Token(job_id, 1)][0]

    @property
    def kinds(self) -> list[OutcomeKind]:
        """How all that have ended did, by their ids."""
        ended = sorted(self.state.leases.unsettled.items(), key=lambda item: item[0].job_id)
        return [outcome.kind for _, (outcome, _) in ended]

    def counted(self, name: str) -> float:
        """The sum of a counter's samples."""
        return sum(
            sample.value
            for metric in self.state.metrics.registry.collect()
            for sample in metric.samples
            if sample.name == f"hermesd_worker_{name}_total"
        )


@asynccontextmanager
async def crew(handle: Any, *plugins: object) -> AsyncIterator[Running]:
    """A worker, until all that it was given has ended."""
    async with trio.open_nursery() as nursery:
        worker = Running(handle, nursery, *plugins)
        yield worker
        await worker.state.leases.wait_idle()
        nursery.cancel_scope.cancel()


async def test_short_handlers_run_one_after_another_in_one_task(autojump_clock: MockClock) -> None:
    """In the order in which they came, and all of them are accounted for."""
    seen: list[tuple[Any, trio.lowlevel.Task]] = []

    async def handle(payload: Any) -> Any:
        seen.append((payload, trio.lowlevel.current_task()))
        return payload

    async with crew(handle) as worker:
        assert set(worker.dispatch(*range(20))) == {Acceptance.ACCEPTED}
        assert worker.state.slots.free()["async"] == 80
        await wait_all_tasks_blocked()
        assert [payload for payload, _ in seen] == list(range(20))
        assert len({task for _, task in seen}) == 1
        assert worker.outcome("7").result == b"7"
        assert worker.state.slots.free()["async"] == 100
        assert worker.kinds == [SUCCEEDED] * 20
        assert worker.counted("jobs_started") == worker.counted("jobs_ended") == 20


async def test_handlers_that_wait_hold_nobody_up(autojump_clock: MockClock) -> None:
    """All of a batch wait at once, and in tasks of their own."""
    go, tasks = trio.Event(), set()

    async def handle(payload: Any) -> None:
        tasks.add(trio.lowlevel.current_task())
        if payload != "short":
            await go.wait()

    async with crew(handle) as worker:
        worker.dispatch(*range(60), "short")
        await wait_all_tasks_blocked()
        assert len(worker.state.leases.running) == 60
        assert len(tasks) >= 60
        assert worker.kinds == [SUCCEEDED]
        go.set()
        await wait_all_tasks_blocked()
        assert worker.kinds == [SUCCEEDED] * 61
        assert len(worker.nursery.child_tasks) <= MOST_RESTING


async def test_a_hand_rests_for_the_next_job_unless_it_has_waited(
    autojump_clock: MockClock,
) -> None:
    """Then another task has it; an end of the worker ends those that rest."""
    tasks: list[trio.lowlevel.Task] = []

    async def handle(payload: Any) -> None:
        tasks.append(trio.lowlevel.current_task())
        if payload:
            await trio.sleep(payload)

    async with crew(handle) as worker:
        for number, seconds in enumerate((0, 0, 1, 0)):
            worker.dispatch(seconds, ids=[str(number)])
            await worker.state.leases.wait_idle()
            await wait_all_tasks_blocked()
    assert worker.kinds == [SUCCEEDED] * 4
    assert tasks[0] is tasks[1] is tasks[2] is not tasks[3]


async def test_what_one_sets_in_its_context_no_other_finds(autojump_clock: MockClock) -> None:
    """Nor the one that comes after it in its task, whether it waits or not."""
    mark: ContextVar[Any] = ContextVar("mark", default=None)
    found: list[Any] = []

    async def handle(payload: Any) -> None:
        found.append(mark.get())
        mark.set(payload)
        if payload % 2:
            await trio.sleep(payload / 10)
        found.append(mark.get() == payload)

    async with crew(handle) as worker:
        worker.dispatch(*range(6))
    assert sorted(found, key=str) == [None] * 6 + [True] * 6


async def test_each_has_its_own_time_limit(autojump_clock: MockClock) -> None:
    """A handler can ask for it, and is ended at it, whatever ran before it in its task."""
    left: list[float] = []

    async def handle(payload: Any) -> None:
        left.append(trio.current_effective_deadline() - trio.current_time())
        if payload == "long":
            await trio.sleep_forever()

    async with crew(handle) as worker:
        worker.dispatch("short", "long", "short", "long")
    assert left == [TIMEOUT_SECONDS] * 4
    assert worker.kinds == [SUCCEEDED, FAILED, SUCCEEDED, FAILED]
    error = worker.outcome("1").error
    assert error is not None
    assert (error.kind, error.message) == ("timeout", "did not end within 5 s")


async def test_a_cancel_ends_one_and_no_other(autojump_clock: MockClock) -> None:
    """Also one that is asked for before the handler begins."""

    async def handle(payload: Any) -> None:
        await trio.lowlevel.checkpoint()
        if payload == "long":
            await trio.sleep(1)

    async with crew(handle) as worker:
        worker.dispatch("short", "long", "long", "short")
        worker.state.leases.cancel([Token("0", 1)])
        await trio.sleep(0.5)
        worker.state.leases.cancel([Token("1", 1)])
    cancelled = OutcomeKind.CANCELLED
    assert worker.kinds == [cancelled, cancelled, SUCCEEDED, SUCCEEDED]


async def test_a_scope_left_open_is_the_fault_of_one(autojump_clock: MockClock) -> None:
    """Its job has failed; those after it are not ended by what it left behind."""

    async def handle(payload: Any) -> None:
        if payload == "careless":
            trio.move_on_after(1).__enter__()
        elif payload == "long":
            await trio.sleep(2)

    async with crew(handle) as worker:
        worker.dispatch("short", "careless", "short", "long")
    assert worker.kinds == [SUCCEEDED, FAILED, SUCCEEDED, SUCCEEDED]
    error = worker.outcome("1").error
    assert error is not None
    assert "Cancel scope stack corrupted" in error.message


async def test_one_that_fails_ends_no_other(autojump_clock: MockClock) -> None:
    """Whatever it raises, and whether it had waited before."""

    async def handle(payload: Any) -> None:
        if payload == "waits":
            await trio.sleep(1)
        if payload != "well":
            raise ValueError(payload)

    async with crew(handle) as worker:
        worker.dispatch("well", "bad", "well", "waits", "well")
    assert worker.kinds == [SUCCEEDED, FAILED, SUCCEEDED, FAILED, SUCCEEDED]
    error = worker.outcome("3").error
    assert error is not None
    assert error.message == "ValueError: waits"
    assert error.traceback.rstrip().endswith("ValueError: waits")
    assert worker.state.slots.free()["async"] == 100


async def test_what_is_named_twice_in_a_batch_runs_once(autojump_clock: MockClock) -> None:
    """Both are told that it is accepted."""
    begun: list[Any] = []

    async def handle(payload: Any) -> None:
        begun.append(payload)

    async with crew(handle) as worker:
        said = worker.dispatch(1, 1, 2, ids=["same", "same", "other"])
    assert (said, begun) == ((Acceptance.ACCEPTED,) * 3, [1, 2])


async def test_no_more_begin_than_there_are_slots(autojump_clock: MockClock) -> None:
    """The others are refused, and none of those that run is counted twice."""

    async def handle(payload: Any) -> None:
        await trio.sleep(1)

    async with crew(handle) as worker:
        said = worker.dispatch(*range(102))
        assert said == (Acceptance.ACCEPTED,) * 100 + (Acceptance.FULL,) * 2
        assert worker.state.slots.free()["async"] == 0
    assert worker.state.slots.free()["async"] == 100


async def test_what_a_handler_binds_is_on_no_line_of_another_job(
    autojump_clock: MockClock,
) -> None:
    """But on its own, though the same task runs both, one of them after it has waited."""
    lines: list[dict[str, Any]] = []

    def keep(_: Any, __: str, event: Any) -> Any:
        lines.append(dict(event))
        raise structlog.DropEvent

    async def handle(payload: str) -> None:
        structlog.contextvars.bind_contextvars(customer=payload)
        if "waits" in payload:
            await trio.sleep(1)
        if "fails" in payload:
            raise ValueError(payload)

    before = structlog.get_config()
    structlog.configure(processors=[structlog.contextvars.merge_contextvars, keep])
    try:
        async with crew(handle) as worker:
            worker.dispatch("waits", ids=["a"])
            await wait_all_tasks_blocked()
            worker.dispatch("short", "waits too", "short", ids=["b", "c", "d"])
            await worker.state.leases.wait_idle()
            worker.dispatch("short", "fails", "waits and fails", 1, ids=["e", "f", "g", "h"])
            await worker.state.leases.wait_idle()
    finally:
        structlog.configure(**before)
    told = {line["job_id"]: line.get("customer") for line in lines if line["event"] == "job ended"}
    assert told == {
        "a": "waits",
        **dict.fromkeys("bde", "short"),
        "c": "waits too",
        "f": "fails",
        "g": "waits and fails",
        "h": None,  # no text: its handler was not called
    }


async def test_a_batch_that_is_refused_does_not_keep_an_idle_worker(
    autojump_clock: MockClock,
) -> None:
    """Whoever waits for its last job has it."""

    async def handle(payload: Any) -> None:
        await trio.sleep(1)

    async with crew(handle) as worker:
        worker.state.slots.pause(True)
        assert worker.dispatch("x") == (Acceptance.FULL,)
        with trio.fail_after(5):
            await worker.state.leases.wait_idle()


async def test_what_an_observer_sets_as_a_job_ends_does_not_reach_a_later_one(
    autojump_clock: MockClock,
) -> None:
    """A hand that has rested begins as a new one would."""
    customer: ContextVar[str] = ContextVar("customer", default="nobody")
    seen: list[str] = []

    class Observer:
        """Sets it wherever it is called."""

        @hookimpl
        def hermesd_job_finished(self) -> None:
            seen.append(customer.get())
            customer.set("somebody")

    async def handle(payload: str) -> None:
        """Nothing."""

    async with crew(handle, Observer()) as worker:
        for job_id in "ab":
            worker.dispatch("x", ids=[job_id])
            await worker.state.leases.wait_idle()
            await wait_all_tasks_blocked()
    assert seen == ["nobody", "nobody"]


@pytest.mark.parametrize("fails", [False, True])
async def test_a_lock_that_a_handler_leaves_held_is_broken(
    autojump_clock: MockClock, fails: bool
) -> None:
    """As where each job has a task: nobody waits for it for ever, or is taken for its holder."""
    lock = trio.Lock()

    async def handle(payload: str) -> None:
        if payload != "leaves it":
            async with lock:
                return
        lock.acquire_nowait()
        if fails:
            raise ValueError

    async with crew(handle) as worker:
        worker.dispatch("leaves it", "wants it", "wants it too", ids="abc")
        with trio.fail_after(TIMEOUT_SECONDS - 1):
            await worker.state.leases.wait_idle()
    assert worker.kinds == [FAILED if fails else SUCCEEDED, FAILED, FAILED]
    errors = [worker.outcome(job_id).error for job_id in "bc"]
    assert all(error and "BrokenResourceError" in error.traceback for error in errors)


async def test_a_nursery_that_a_handler_leaves_open_ends_the_worker_at_once(
    autojump_clock: MockClock,
) -> None:
    """Not later, with some other job on the same task."""
    left = []

    async def handle(payload: str) -> None:
        left.append(trio.open_nursery())
        await left[-1].__aenter__()

    with pytest.RaisesGroup(pytest.RaisesExc(RuntimeError, match="Nursery stack corrupted")):
        async with crew(handle) as worker:
            worker.dispatch("x")
            await trio.sleep_forever()
