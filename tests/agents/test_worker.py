"""A real worker at a real api, with a control line that can be cut."""

from __future__ import annotations

import threading
from typing import Any

import pytest
import trio
from trio.testing import MockClock

from agents.workers import open_worker
from agents.world import Api, all_in, open_api, until
from hermesd.core.errors import TooLarge
from hermesd.core.records import Report, ReportAnswer
from hermesd.core.states import State
from hermesd.handlers.contract import Handler, job
from hermesd.testing.links import DirectLink


class Doings:
    """Handlers of type `note` that wait for the test, and what they saw."""

    def __init__(self) -> None:
        self.begun = 0
        self.go = trio.Event()
        self.raises: BaseException | None = None
        self.result: Any = "done"

    def handler(self) -> Handler:
        """The handler of `note`."""

        async def note(payload: Any) -> Any:
            self.begun += 1
            await self.go.wait()
            if self.raises is not None:
                raise self.raises
            return self.result

        return job("note")(note)


@pytest.fixture
def doings() -> Doings:
    """What the handlers do."""
    return Doings()


def link_to(api: Api) -> DirectLink:
    """A line to the api, whose agents run."""
    api.start()
    return DirectLink(api.agents.control)


async def routable(api: Api, workers: int = 1) -> None:
    """Wait until so many workers can be given jobs."""
    await until(
        lambda: sum(view.routable for view in api.state.registry) == workers,
        f"{workers} routable workers",
    )
    await until(
        lambda: all(sum(view.free_slots().values()) for view in api.state.registry), "their slots"
    )


async def test_a_job_goes_the_whole_way(api: Api, clock: MockClock, doings: Doings) -> None:
    """Accepted directly, run, reported, recorded; every slot is free again."""
    doings.go.set()
    async with open_worker(link_to(api), [doings.handler()]) as worker:
        await routable(api)
        answer = await api.submit()
        assert (answer.routed, answer.worker_id) == ("direct", "w1")
        await all_in(api, [answer.job.id], State.SUCCEEDED)
        assert bytes((await api.job(answer.job.id)).result or b"") == b'"done"'
        await until(lambda: not worker.state.leases.held(), "the verdict")
        view = api.view(worker.state.incarnation)
        assert (view.free("async"), view.held) == (4, {})
    assert api.breaches() == 0


async def test_outcomes_wait_for_an_api(api: Api, clock: MockClock, doings: Doings) -> None:
    """The report is retried, never the work."""
    link = link_to(api)
    async with open_worker(link, [doings.handler()]) as worker:
        await routable(api)
        job_id = (await api.submit()).job.id
        link.cut = True
        doings.go.set()
        await until(lambda: bool(worker.state.leases.unsettled), "the outcome")
        await trio.sleep(5)
        link.cut = False
        await all_in(api, [job_id], State.SUCCEEDED)
        assert doings.begun == 1


async def test_a_verdict_that_was_lost_is_asked_for_again(
    api: Api, clock: MockClock, doings: Doings
) -> None:
    """The second report is dropped by the api, and final for the worker."""
    link = link_to(api)
    async with open_worker(link, [doings.handler()]) as worker:
        await routable(api)
        job_id = (await api.submit()).job.id
        link.calls.clear()
        link.lost_answers = 1
        doings.go.set()
        await all_in(api, [job_id], State.SUCCEEDED)
        await until(lambda: not worker.state.leases.held(), "the final verdict", 20)
        assert doings.begun == 1
    assert api.breaches() == 0


async def test_a_store_that_is_away_delays_outcomes_only(
    api: Api, clock: MockClock, doings: Doings
) -> None:
    """The worker is neither evicted nor asked to run anything twice."""
    async with open_worker(link_to(api), [doings.handler()]) as worker:
        await routable(api)
        job_id = (await api.submit()).job.id
        api.jobs.down = True
        doings.go.set()
        await trio.sleep(60)
        api.jobs.down = False
        await all_in(api, [job_id], State.SUCCEEDED)
        assert (await api.job(job_id)).lease == 1
        assert api.view(worker.state.incarnation).routable


async def test_a_fenced_worker_comes_back_as_another(
    api: Api, clock: MockClock, doings: Doings
) -> None:
    """Cut off past the TTL, its jobs run elsewhere, and its late outcomes are refused."""
    link = link_to(api)
    async with open_worker(link, [doings.handler()]) as worker:
        await routable(api)
        first = worker.state.incarnation
        job_id = (await api.submit()).job.id
        link.hang_up()
        await all_in(api, [job_id], State.QUEUED)
        link.cut = False
        await until(lambda: doings.begun == 2, "the second execution")
        assert worker.state.incarnation != first
        doings.go.set()
        await all_in(api, [job_id], State.SUCCEEDED)
        await until(lambda: not worker.state.leases.held(), "nothing to be held")
        assert worker.state.slots.free() == {"async": 4, "thread": 2, "process": 0}
        assert (await api.job(job_id)).crash_count == 0
    assert api.breaches() == 0


async def test_a_restarted_api_is_registered_with_again(clock: MockClock, doings: Doings) -> None:
    """Jobs run on over the restart, and are recorded by the next life."""
    async with open_api() as api:
        store, link = api.store, link_to(api)
        async with open_worker(link, [doings.handler()]) as worker:
            await routable(api)
            job_id = (await api.submit()).job.id
            async with open_api(store=store, boot="boot-2") as again:
                api.nursery.cancel_scope.cancel()
                link.service = again.agents.control
                again.start()
                await routable(again)
                assert len(again.view(worker.state.incarnation).held) == 1
                assert again.view(worker.state.incarnation).free("async") == 3
                doings.go.set()
                await all_in(again, [job_id], State.SUCCEEDED)
                assert doings.begun == 1


async def test_unreported_outcomes_count_against_intake(
    api: Api, clock: MockClock, doings: Doings
) -> None:
    """A worker that cannot report shows no free slot, and is not asked in a circle."""
    doings.go.set()
    settings = {"worker": {"max_unreported": 2}}
    async with open_worker(link_to(api), [doings.handler()], settings=settings) as worker:
        await routable(api)
        api.jobs.retries = 10**6
        for _ in range(2):
            await api.submit()
        await until(lambda: worker.state.clogged, "the outcomes to pile up")
        await until(
            lambda: api.view(worker.state.incarnation).free("async") <= 0, "the slots to be gone"
        )
        waiting = [(await api.submit()).job.id for _ in range(3)]
        await trio.sleep(30)
        assert [(await api.job(job_id)).lease for job_id in waiting] == [0, 0, 0]
        api.jobs.retries = 0
        await all_in(api, waiting, State.SUCCEEDED)


async def test_one_outcome_that_is_refused_holds_nobody_up(
    api: Api, clock: MockClock, doings: Doings
) -> None:
    """It is found by halving, and recorded as unstorable."""

    class Narrow(DirectLink):
        """A line that takes no report with a large result."""

        async def report(self, report: Report) -> ReportAnswer:
            """See ControlLink."""
            if any(len(outcome.result or b"") > 1000 for outcome in report.outcomes):
                raise TooLarge("the message is too large")
            return await super().report(report)

    api.start()
    sizes = iter([10, 10, 5000, 10])

    async def note(payload: Any) -> str:
        await doings.go.wait()
        return "x" * next(sizes)

    async with open_worker(Narrow(api.agents.control), [job("note")(note)]):
        await routable(api)
        ids = [(await api.submit()).job.id for _ in range(4)]
        doings.go.set()
        await all_in(api, ids, State.SUCCEEDED, State.FAILED)
        jobs = [await api.job(job_id) for job_id in ids]
        [failed] = [one for one in jobs if one.state is State.FAILED]
        assert failed.error is not None
        assert failed.error.kind == "unstorable-result"


async def test_a_cancel_ends_a_running_job(api: Api, clock: MockClock, doings: Doings) -> None:
    """The poke makes it a matter of moments; the slot is free after it."""
    async with open_worker(link_to(api), [doings.handler()]) as worker:
        await routable(api)
        job_id = (await api.submit()).job.id
        await until(lambda: doings.begun == 1, "the start")
        began = trio.current_time()
        await api.agents.operator.cancel(job_id)
        await all_in(api, [job_id], State.CANCELLED)
        assert trio.current_time() - began < 2
        assert worker.state.slots.free()["async"] == 4


async def test_a_job_past_its_time_is_ended_and_tried_again(
    api: Api, clock: MockClock, doings: Doings
) -> None:
    """A timeout is a failure like others, and says so."""
    async with open_worker(link_to(api), [doings.handler()]):
        await routable(api)
        job_id = (await api.submit(timeout=5.0, max_attempts=2)).job.id
        await all_in(api, [job_id], State.FAILED)
        ended = await api.job(job_id)
        assert (doings.begun, ended.attempts) == (2, 2)
        assert ended.error is not None
        assert ended.error.message == "did not end within 5 s"


@pytest.mark.parametrize("grouped", [False, True])
async def test_a_cancelled_of_the_handlers_own_is_its_failure(
    api: Api, clock: MockClock, doings: Doings, grouped: bool
) -> None:
    """A handler that lets an old Cancelled escape does not take the worker with it."""
    with trio.CancelScope() as scope:
        scope.cancel()
        try:
            await trio.lowlevel.checkpoint()
        except trio.Cancelled as caught:
            stolen: BaseException = caught
            raise
    doings.raises = BaseExceptionGroup("both", [stolen, ValueError()]) if grouped else stolen
    doings.go.set()
    async with open_worker(link_to(api), [doings.handler()]) as worker:
        await routable(api)
        job_id = (await api.submit(max_attempts=1)).job.id
        await all_in(api, [job_id], State.FAILED)
        assert not worker.ended.is_set()
        doings.raises = None
        again = (await api.submit()).job.id
        await all_in(api, [again], State.SUCCEEDED)


async def test_a_handler_that_fails_while_it_is_interrupted_was_interrupted(
    api: Api, clock: MockClock, doings: Doings
) -> None:
    """The error of its tidying up does not cost it an attempt."""

    async def note(payload: Any) -> None:
        doings.begun += 1
        try:
            await trio.sleep_forever()
        finally:
            raise ValueError("tidying up failed")

    settings = {"drain": {"seconds": 1.0}}
    async with open_worker(link_to(api), [job("note")(note)], settings=settings) as worker:
        await routable(api)
        job_id = (await api.submit(max_attempts=1)).job.id
        await until(lambda: doings.begun == 1, "the start")
        worker.stop.drain.set()
        await all_in(api, [job_id], State.QUEUED)
        assert (await api.job(job_id)).attempts == 0


async def test_a_drain_finishes_what_it_can_and_hands_on_the_rest(
    api: Api, clock: MockClock, doings: Doings
) -> None:
    """Nothing dropped, nothing doubled; the worker leaves, and its incarnation with it."""
    settings = {"drain": {"seconds": 3.0}}

    async def chime(payload: Any) -> None:
        await trio.sleep(1.5)

    handlers = [doings.handler(), job("chime")(chime)]
    async with open_worker(link_to(api), handlers, settings=settings) as worker:
        await routable(api)
        short = (await api.submit("chime")).job.id
        long = (await api.submit("note")).job.id
        worker.stop.drain.set()
        await worker.ended.wait()
        assert (await api.job(short)).state is State.SUCCEEDED
        job_after = await api.job(long)
        assert (job_after.state, job_after.attempts, job_after.crash_count) == (State.QUEUED, 0, 0)
    assert not await api.store.fleet.living()
    assert not len(api.state.registry)
    assert api.breaches() == 0


async def test_a_drain_at_once_loses_nothing(api: Api, clock: MockClock, doings: Doings) -> None:
    """The second signal shortens the wait for jobs only."""
    settings = {"drain": {"seconds": 3600.0}}
    async with open_worker(link_to(api), [doings.handler()], settings=settings) as worker:
        await routable(api)
        job_id = (await api.submit()).job.id
        began = trio.current_time()
        worker.stop.drain.set()
        worker.stop.at_once.set()
        await worker.ended.wait()
        assert trio.current_time() - began < 5
        assert (await api.job(job_id)).state is State.QUEUED


async def test_what_a_drain_cannot_report_is_not_charged(
    api: Api, clock: MockClock, doings: Doings
) -> None:
    """The store takes no outcome until the worker has gone: the job runs again, unblamed."""
    settings = {"drain": {"seconds": 1.0, "report_seconds": 1.0}}
    async with open_worker(link_to(api), [doings.handler()], settings=settings) as worker:
        await routable(api)
        job_id = (await api.submit()).job.id
        doings.go.set()
        api.jobs.retries = 10**6
        worker.stop.drain.set()
        await worker.stop.left.wait()
        api.jobs.retries = 0
        await worker.ended.wait()
    await all_in(api, [job_id], State.QUEUED)
    assert (await api.job(job_id)).crash_count == 0


async def test_a_thread_is_waited_for_and_may_ask(api: Api, clock: MockClock) -> None:
    """It cannot be killed; its slot is free when it has ended."""
    told, release = threading.Event(), threading.Event()

    def grind(payload: Any, ctx: Any) -> None:
        release.wait(30)
        if ctx.cancel_requested():
            told.set()
            raise ValueError("given up")

    async with open_worker(link_to(api), [job("grind")(grind)]) as worker:
        await routable(api)
        job_id = (await api.submit("grind")).job.id
        await api.agents.operator.cancel(job_id)
        await until(lambda: any(r.why for r in worker.state.leases.running.values()), "the order")
        assert worker.state.slots.free()["thread"] == 1
        release.set()
        await trio.to_thread.run_sync(told.wait, 30)
        await all_in(api, [job_id], State.CANCELLED)
        assert worker.state.slots.free()["thread"] == 2


async def test_a_killed_worker_is_noticed_and_charged(
    api: Api, clock: MockClock, doings: Doings
) -> None:
    """In a second or two, since its stream ends and its address refuses."""
    async with open_worker(link_to(api), [doings.handler()]) as worker:
        await routable(api)
        job_id = (await api.submit()).job.id
        await until(lambda: doings.begun == 1, "the start")
        began = trio.current_time()
        worker.kill()
        await all_in(api, [job_id], State.QUEUED)
        assert trio.current_time() - began < 2.5
        assert (await api.job(job_id)).crash_count == 1


async def test_a_line_that_takes_no_heartbeat_is_not_hammered(
    api: Api, clock: MockClock, doings: Doings
) -> None:
    """Registering succeeds, heartbeats fail: there is a pause between the two."""

    class Deaf(DirectLink):
        """A line that loses every heartbeat."""

        async def heartbeat(self, heartbeat: Any) -> Any:
            """See ControlLink."""
            self.cut = True
            try:
                return await super().heartbeat(heartbeat)
            finally:
                self.cut = False

    api.start()
    link = Deaf(api.agents.control)
    async with open_worker(link, [doings.handler()]):
        await trio.sleep(10)
    assert link.calls.count("register") < 200
