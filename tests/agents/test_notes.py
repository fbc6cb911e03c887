"""What handlers tell of themselves, from a real worker to a real api."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import msgspec
import pytest
import trio
from trio.testing import MockClock

from agents.workers import open_worker
from agents.world import Api, all_in, until
from hermesd.core.errors import Unavailable
from hermesd.core.fleet import Registration, RegistrationAnswer
from hermesd.core.job import Token
from hermesd.core.notes import JobNotes, LogLine, NoteBatch, Progress, Told
from hermesd.core.states import State
from hermesd.handlers import JobContext, job
from hermesd.handlers.contract import Handler
from hermesd.ports import ControlService
from hermesd.testing.links import DirectLink

Telling = Callable[[JobContext], Awaitable[None]]


def note(tell: Telling) -> Handler:
    """The handler of `note`, which tells what the test wants."""

    @job("note", max_attempts=2)
    async def handler(payload: Any, ctx: JobContext) -> None:
        await tell(ctx)

    return handler


async def told(api: Api, job_id: str) -> Told:
    """What the store knows of it."""
    return (await api.store.notes.told([job_id])).get(job_id, Told())


async def lines(api: Api, job_id: str) -> list[str]:
    """All lines that the store has."""
    return [one.line for one in await api.store.notes.lines(job_id, 0, 10_000)]


async def submitted(api: Api) -> str:
    """The id of a job that its worker has taken."""
    await until(lambda: any(view.routable for view in api.state.registry), "a worker")
    answer = await api.submit()
    assert answer.routed == "direct"
    return answer.job.id


class HungLink(DirectLink):
    """An api that takes notes and never answers them."""

    async def note(self, batch: NoteBatch) -> Sequence[bool]:
        """Neither a word nor an error."""
        self.calls.append("note")
        await trio.sleep_forever()
        raise AssertionError


class OlderLink(DirectLink):
    """An api that knows nothing of notes."""

    async def register(self, registration: Registration) -> RegistrationAnswer:
        """As it was answered before there were notes."""
        answer = await super().register(registration)
        return msgspec.structs.replace(answer, takes_notes=False)

    async def note(self, batch: NoteBatch) -> Sequence[bool]:
        """There is no such call."""
        raise AssertionError("an older api was told notes")


class LossyLink(DirectLink):
    """The first answer to a note is lost."""

    async def note(self, batch: NoteBatch) -> Sequence[bool]:
        """It was taken, and nobody hears of it."""
        answer = await super().note(batch)
        if self.calls.count("note") == 1:
            raise Unavailable("the answer was lost")
        return answer


def link_to(api: Api, kind: Callable[[ControlService], DirectLink] = DirectLink) -> DirectLink:
    """A line to the api, whose agents run."""
    api.start()
    return kind(api.agents.control)


async def test_a_job_that_says_nothing_costs_no_call(api: Api, clock: MockClock) -> None:
    """Nor does an idle worker."""

    async def silent(ctx: JobContext) -> None:
        await trio.sleep(3)

    link = link_to(api)
    async with open_worker(link, [note(silent)]):
        job_id = await submitted(api)
        await all_in(api, [job_id], State.SUCCEEDED)
        await trio.sleep(60)
    assert "note" not in link.calls


async def test_a_hundred_steps_are_two_updates_a_second(api: Api, clock: MockClock) -> None:
    """The first at once, the last before the outcome; those in between are coalesced."""

    async def steps(ctx: JobContext) -> None:
        for step in range(100):
            await ctx.progress((step + 1) / 100, f"step {step + 1}")
            await trio.sleep(0.05)

    link = link_to(api)
    async with open_worker(link, [note(steps)]):
        job_id = await submitted(api)
        await until(lambda: "note" in link.calls, "the first", 0.2)
        await all_in(api, [job_id], State.SUCCEEDED)
    assert 10 <= link.calls.count("note") <= 12
    told_last = (await told(api, job_id)).progress
    assert told_last is not None
    assert (told_last.fraction, told_last.note) == (1.0, "step 100")
    events = api.state.ring.recent(100, "progress", job_id)
    assert len(events) == link.calls.count("note")
    assert (events[0].message, events[0].attempt) == ("100% step 100", 1)
    assert events[-1].message == "1% step 1"


async def test_jobs_of_one_worker_share_a_call(api: Api, clock: MockClock) -> None:
    """Four that tell ten times a second are one call in half a second."""
    go = trio.Event()

    async def steps(ctx: JobContext) -> None:
        await go.wait()
        for step in range(50):
            await ctx.progress(step / 50)
            await trio.sleep(0.1)
        await trio.sleep(5)

    link = link_to(api)
    async with open_worker(link, [note(steps)]):
        ids = [await submitted(api) for _ in range(4)]
        go.set()
        await all_in(api, ids, State.SUCCEEDED)
        assert link.calls.count("note") <= 12
        assert [(await told(api, each)).progress is not None for each in ids] == [True] * 4


async def test_lines_past_a_thousand_are_counted(api: Api, clock: MockClock) -> None:
    """The first are kept, cut where they are too long; the events tell the last of a batch."""

    async def chatty(ctx: JobContext) -> None:
        ctx.log("x" * 5000, level="debug")
        for number in range(1, 1200):
            ctx.log(f"line {number}")

    async with open_worker(link_to(api), [note(chatty)]):
        job_id = await submitted(api)
        await all_in(api, [job_id], State.SUCCEEDED)
    found = await lines(api, job_id)
    assert len(found) == 1000
    assert len(found[0].encode()) <= 4096
    assert found[0].endswith("(cut)")
    assert found[1:] == [f"line {number}" for number in range(1, 1000)]
    assert (await told(api, job_id)).logs_dropped == 200
    assert api.state.ring.recent(100, "logged", job_id)[0].message.startswith("line 999")


async def test_an_outcome_waits_for_last_words_no_more_than_a_moment(
    api: Api, clock: MockClock
) -> None:
    """An api that hangs on notes delays nothing else, and the worker goes on."""

    async def brief(ctx: JobContext) -> None:
        await ctx.progress(0.5, "half")

    async with open_worker(link_to(api, HungLink), [note(brief)]) as worker:
        job_id = await submitted(api)
        began = trio.current_time()
        await all_in(api, [job_id], State.SUCCEEDED)
        assert trio.current_time() - began < 1.0
        assert worker.state.slots.free()["async"] == 4
        again = await submitted(api)
        await all_in(api, [again], State.SUCCEEDED)
    assert await told(api, job_id) == Told()


async def test_an_api_of_the_last_release_is_told_nothing(api: Api, clock: MockClock) -> None:
    """The job runs as ever, at once."""

    async def brief(ctx: JobContext) -> None:
        for step in range(20):
            await ctx.progress(step / 20)
            ctx.log("a line")
            await trio.sleep(0.1)

    async with open_worker(link_to(api, OlderLink), [note(brief)]):
        job_id = await submitted(api)
        await all_in(api, [job_id], State.SUCCEEDED)
        assert await lines(api, job_id) == []


async def test_what_an_answer_was_lost_of_is_told_again_and_kept_once(
    api: Api, clock: MockClock
) -> None:
    """A repeat is no second line."""
    go_on = trio.Event()

    async def speaker(ctx: JobContext) -> None:
        ctx.log("one")
        ctx.log("two")
        await go_on.wait()
        ctx.log("three")

    link = link_to(api, LossyLink)
    async with open_worker(link, [note(speaker)]):
        job_id = await submitted(api)
        await until(lambda: link.calls.count("note") >= 2, "the repeat", 3)
        go_on.set()
        await all_in(api, [job_id], State.SUCCEEDED)
    assert await lines(api, job_id) == ["one", "two", "three"]


async def test_what_was_said_while_the_line_was_cut_is_told_later(
    api: Api, clock: MockClock
) -> None:
    """In the order in which it was said."""
    go_on = trio.Event()

    async def speaker(ctx: JobContext) -> None:
        await go_on.wait()
        for step in range(10):
            ctx.log(f"line {step}")
            await ctx.progress(step / 10)
            await trio.sleep(0.5)

    link = link_to(api)
    async with open_worker(link, [note(speaker)]):
        job_id = await submitted(api)
        link.cut = True
        go_on.set()
        await trio.sleep(3)
        link.cut = False
        await all_in(api, [job_id], State.SUCCEEDED)
    assert await lines(api, job_id) == [f"line {step}" for step in range(10)]


@pytest.mark.parametrize("lease", [0, 2])
async def test_late_notes_change_nothing(api: Api, clock: MockClock, lease: int) -> None:
    """Neither in the store nor in the events; the worker is told so."""

    async def waits(ctx: JobContext) -> None:
        await trio.sleep(2)

    async with open_worker(link_to(api), [note(waits)]) as worker:
        job_id = await submitted(api)
        late = JobNotes(
            token=Token(job_id, lease),
            progress=Progress(fraction=0.9, at=1.0),
            lines=(LogLine(line="late", at=1.0),),
        )
        batch = NoteBatch(incarnation=worker.state.incarnation, notes=(late,))
        assert list(await api.agents.control.note(batch)) == [False]
        assert await told(api, job_id) == Told()
        assert await lines(api, job_id) == []
        assert api.state.ring.recent(100, "progress") == []
        await all_in(api, [job_id], State.SUCCEEDED)


async def test_what_a_task_says_after_its_job_has_ended_is_let_go(
    api: Api, clock: MockClock
) -> None:
    """A handler's context that outlives it has nobody to tell."""
    kept: list[JobContext] = []

    async def keeps(ctx: JobContext) -> None:
        ctx.log("in time")
        kept.append(ctx)

    link = link_to(api)
    async with open_worker(link, [note(keeps)]) as worker:
        job_id = await submitted(api)
        await all_in(api, [job_id], State.SUCCEEDED)
        await until(lambda: not worker.state.leases.held(), "the verdict")
        calls = link.calls.count("note")
        kept[0].log("too late")
        await kept[0].progress(0.5)
        await trio.sleep(5)
        assert link.calls.count("note") == calls
    assert await lines(api, job_id) == ["in time"]


async def test_a_second_attempt_begins_anew(api: Api, clock: MockClock) -> None:
    """Its progress is its own, and the lines of both are told apart."""
    second = trio.Event()

    async def fails_once(ctx: JobContext) -> None:
        ctx.log(f"attempt {ctx.attempt}")
        if ctx.attempt == 1:
            await ctx.progress(0.8)
            raise RuntimeError("once")
        await second.wait()

    async with open_worker(link_to(api), [note(fails_once)]):
        job_id = await submitted(api)
        await until(lambda: len(api.state.ring.recent(9, "logged", job_id)) == 2, "the second")
        assert (await told(api, job_id)).progress is None
        second.set()
        await all_in(api, [job_id], State.SUCCEEDED)
    found = await api.store.notes.lines(job_id, 0, 9)
    assert [(one.line, one.attempt) for one in found] == [("attempt 1", 1), ("attempt 2", 2)]
