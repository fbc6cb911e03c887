"""One job's outcome waits a moment for the next job, where that is expected, and shares its commit.

The clock of these tests moves by hand or when all tasks wait.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
import trio
import trio.testing

from hermesd.core.errors import Broken, StoreUnavailable
from hermesd.stores.backend import ItemFault, Verb
from hermesd.stores.company import LATE, LONGEST_SECONDS, Expected
from hermesd.stores.group import GroupCommit
from stores.held import AtOnceBackend, HeldBackend, SlowAhead, here, may_wait

GAP = LONGEST_SECONDS  # between jobs: long enough for an outcome to wait as long as it may


def test_jobs_that_come_close_after_each_other_are_waited_for() -> None:
    """Until the next one is late, and never for long."""
    expected = Expected()
    assert expected.seconds(0.0) == 0.0
    expected.came(10.0)
    assert expected.seconds(10.0) == 0.0
    expected.came(10.0 + GAP)
    assert expected.seconds(10.0 + GAP) == LONGEST_SECONDS
    late = 10.0 + GAP + GAP * LATE
    assert expected.seconds(late - 0.0002) == pytest.approx(0.0002)
    assert expected.seconds(late) == 0.0
    expected.came(20.0)
    assert expected.seconds(20.0) == 0.0
    expected.came(20.0018)
    assert expected.seconds(20.0018) == 0.0  # due in more than the longest moment
    assert expected.seconds(20.0026) == LONGEST_SECONDS


class Rig:
    """A group commit to which two jobs have just come, a gap apart; calls run beside the test."""

    def __init__(
        self, group: GroupCommit, callers: trio.Nursery, clock: trio.testing.MockClock
    ) -> None:
        self.group = group
        self.callers = callers
        self.clock = clock
        self.answers: dict[Any, list[Any]] = {}

    async def call(self, verb: Verb, item: Any, scope: trio.CancelScope | None = None) -> None:
        """Ask for it and let it come as far as it comes."""

        async def one() -> None:
            with scope or trio.CancelScope():
                self.answers[item] = await self.group.do(verb, [item], 0.0)

        self.callers.start_soon(one)
        await trio.testing.wait_all_tasks_blocked()

    async def pass_by(self, seconds: float) -> None:
        """Let so much time pass."""
        self.clock.jump(seconds)
        await trio.testing.wait_all_tasks_blocked()


@asynccontextmanager
async def rigged(group: GroupCommit, clock: trio.testing.MockClock) -> AsyncIterator[Rig]:
    """See Rig."""
    async with group.running(), trio.open_nursery() as callers:
        await trio.testing.wait_all_tasks_blocked()
        rig = Rig(group, callers, clock)
        await rig.call(Verb.BEAR, "1")
        await rig.pass_by(GAP)
        await rig.call(Verb.BEAR, "2")
        yield rig


def going_ahead(backend: HeldBackend, ahead: SlowAhead) -> GroupCommit:
    """A group commit that tries `ahead` first."""
    log = structlog.get_logger()
    return GroupCommit(
        backend, max_group=100, max_pending=1000, log=log, ahead=ahead, may_wait=may_wait
    )


async def test_an_outcome_shares_the_commit_of_the_next_job(
    mock_clock: trio.testing.MockClock,
) -> None:
    """It is pending until then, and both are answered."""
    backend = AtOnceBackend()
    async with rigged(here(backend), mock_clock) as rig:
        await rig.call(Verb.SETTLE, "a")
        assert (rig.group.pending, rig.answers.get("a")) == (1, None)
        assert rig.group.owed() is not None
        await rig.call(Verb.BEAR, "3")
        assert (rig.answers["a"], rig.answers["3"]) == (["A"], ["3"])
        assert (rig.group.pending, rig.group.owed()) == (0, None)
        await rig.pass_by(1.0)  # its moment is over, and that is nobody's
    assert backend.groups == [["1"], ["2"], ["a", "3"]]


async def test_an_outcome_to_which_nothing_comes_is_committed_alone(
    mock_clock: trio.testing.MockClock,
) -> None:
    """After its moment; and at once where no job has come for long."""
    backend = AtOnceBackend()
    async with rigged(here(backend), mock_clock) as rig:
        await rig.call(Verb.SETTLE, "a")
        assert len(backend.groups) == 2
        await rig.pass_by(LONGEST_SECONDS)
        assert rig.answers["a"] == ["A"]
        await rig.pass_by(GAP * LATE)
        await rig.call(Verb.SETTLE, "b")
        assert rig.answers["b"] == ["B"]
        assert rig.group.pending == 0
    assert backend.groups == [["1"], ["2"], ["a"], ["b"]]


@pytest.mark.parametrize("first", ["job", "moment"])
async def test_a_job_that_comes_as_the_moment_ends(
    mock_clock: trio.testing.MockClock, first: str
) -> None:
    """Each is committed once, in one commit or two."""
    backend = AtOnceBackend()
    async with rigged(here(backend), mock_clock) as rig:
        await rig.call(Verb.SETTLE, "a")
        if first == "moment":
            mock_clock.jump(LONGEST_SECONDS)
        rig.callers.start_soon(rig.call, Verb.BEAR, "3")
        if first == "job":
            mock_clock.jump(LONGEST_SECONDS)
        await trio.testing.wait_all_tasks_blocked()
        assert (rig.answers["a"], rig.answers["3"]) == (["A"], ["3"])
    assert sorted(item for items in backend.groups for item in items) == ["1", "2", "3", "a"]


async def test_whoever_comes_first_takes_it_along(mock_clock: trio.testing.MockClock) -> None:
    """Another outcome, several jobs, or something else; an outcome before what came after it."""
    backend = AtOnceBackend()
    async with rigged(here(backend), mock_clock) as rig:
        await rig.call(Verb.SETTLE, "a")
        await rig.call(Verb.SETTLE, "b")
        assert (rig.answers["a"], rig.answers["b"]) == (["A"], ["B"])
        await rig.call(Verb.SETTLE, "c")
        await rig.call(Verb.TOUCH, "d")
        assert (rig.answers["c"], rig.answers["d"]) == (["C"], ["D"])
        assert rig.group.pending == 0
    assert backend.groups == [["1"], ["2"], ["a", "b"], ["c", "d"]]


async def test_an_outcome_whose_caller_gives_up_is_not_committed(
    mock_clock: trio.testing.MockClock,
) -> None:
    """Nor is it pending any more; the next job goes alone."""
    backend, leaving = AtOnceBackend(), trio.CancelScope()
    async with rigged(here(backend), mock_clock) as rig:
        await rig.call(Verb.SETTLE, "a", leaving)
        leaving.cancel()
        rig.callers.start_soon(rig.call, Verb.BEAR, "3")  # while it has not gone yet
        await trio.testing.wait_all_tasks_blocked()
        assert rig.answers["3"] == ["3"]
        assert rig.group.pending == 0
    assert backend.groups == [["1"], ["2"], ["3"]]


async def test_what_waits_for_company_at_the_end_is_committed(
    mock_clock: trio.testing.MockClock,
) -> None:
    """As everything that waits then is."""
    backend = AtOnceBackend()
    async with rigged(here(backend), mock_clock) as rig:
        await rig.call(Verb.SETTLE, "a")
        rig.group.close()
        await trio.testing.wait_all_tasks_blocked()
        assert rig.answers["a"] == ["A"]
    assert backend.closed


@pytest.mark.parametrize("gone", [False, True], ids=["it stays", "it leaves"])
async def test_one_whose_moment_ends_as_the_store_closes_is_committed(
    mock_clock: trio.testing.MockClock, gone: bool
) -> None:
    """It came before the end; and the end does not wait for one whose caller has left."""
    backend, leaving = AtOnceBackend(), trio.CancelScope()
    async with rigged(here(backend), mock_clock) as rig:
        await rig.call(Verb.SETTLE, "a", leaving)
        # As its deadline does, a turn before it can look.
        (leaving if gone else rig.group._company._moment).cancel()
        rig.group.close()
        await trio.testing.wait_all_tasks_blocked()
        assert rig.answers.get("a") == (None if gone else ["A"])
        assert rig.group.pending == 0
        with pytest.raises(StoreUnavailable):
            await rig.group.do(Verb.SETTLE, ["b"], 0.0)
    assert backend.closed
    assert backend.groups == [["1"], ["2"], *([] if gone else [["a"]])]


async def test_what_cannot_wait_does_not(mock_clock: trio.testing.MockClock) -> None:
    """As an outcome of which more has to be read."""
    backend = AtOnceBackend()
    async with rigged(here(backend), mock_clock) as rig:
        await rig.call(Verb.SETTLE, "impatient")
        assert rig.answers["impatient"] == ["IMPATIENT"]
    assert backend.groups == [["1"], ["2"], ["impatient"]]


@pytest.mark.parametrize("fate", [True, False], ids=["it happened", "it did not"])
async def test_what_became_of_both_is_looked_up_together(
    mock_clock: trio.testing.MockClock, fate: bool
) -> None:
    """Also where a group is to have one row; nothing is stored twice."""
    backend = AtOnceBackend()
    async with rigged(here(backend, max_group=1), mock_clock) as rig:
        await rig.call(Verb.SETTLE, "a")
        backend.fate = fate
        await rig.call(Verb.BEAR, "3")
        with trio.CancelScope():
            while len(rig.answers) < 4:
                await trio.testing.wait_all_tasks_blocked(0.001)
        wanted = [["A"], ["3"]] if fate else [[StoreUnavailable]] * 2
        told = [rig.answers["a"], rig.answers["3"]]
        assert (told if fate else [[type(each)] for (each,) in told]) == wanted
    assert backend.groups == [["1"], ["2"], ["a", "3"]]


async def test_a_defect_of_the_commit_is_told_to_both(
    mock_clock: trio.testing.MockClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As Broken, and none is committed again."""
    backend = AtOnceBackend()
    async with rigged(here(backend), mock_clock) as rig:
        await rig.call(Verb.SETTLE, "a")
        with monkeypatch.context() as patched:
            patched.setattr(rig.group._committer, "alone", None)
            await rig.call(Verb.BEAR, "3")
        assert [type(rig.answers[each][0]) for each in "a3"] == [Broken] * 2
        assert rig.group.pending == 0
        await rig.call(Verb.BEAR, "4")
    assert backend.groups == [["1"], ["2"], ["4"]]


async def test_a_bad_outcome_does_not_harm_the_job_that_took_it_along(
    mock_clock: trio.testing.MockClock,
) -> None:
    """Both are looked into, before what came meanwhile."""
    backend = AtOnceBackend()
    bad = ItemFault("bad")
    async with rigged(here(backend), mock_clock) as rig:
        await rig.call(Verb.SETTLE, bad)
        async with trio.open_nursery() as both:
            both.start_soon(rig.call, Verb.BEAR, "3")
        with trio.fail_after(3600):
            while "3" not in rig.answers or bad not in rig.answers:
                await trio.testing.wait_all_tasks_blocked(0.01)
        assert rig.answers["3"] == ["3"]
        assert rig.answers[bad] == ["INSTEAD: BAD"]
        assert rig.group.pending == 0


async def test_what_ahead_has_left_of_both_is_looked_into_next(
    backend: HeldBackend, ahead: SlowAhead, mock_clock: trio.testing.MockClock
) -> None:
    """Together, since the backend knows them together, and before what came meanwhile."""
    ahead.let.set()
    group = going_ahead(backend, ahead)
    async with rigged(group, mock_clock) as rig:
        await rig.call(Verb.SETTLE, "hard")
        ahead.let, ahead.begun = trio.Event(), trio.Event()
        leaving = trio.CancelScope()
        await rig.call(Verb.BEAR, "3", leaving)
        leaving.cancel()
        for item in "45":
            await rig.call(Verb.BEAR, item)
        assert rig.group.pending == 4
        ahead.let.set()
        await backend.busy()
        assert ahead.groups == [["1"], ["2"]]
        backend.let()
        await trio.testing.wait_all_tasks_blocked()
    assert rig.answers["hard"] == ["HARD"]
    assert rig.group.pending == 0
    assert backend.groups == [["hard", "3"]]
    assert ahead.groups == [["1"], ["2"], ["4", "5"]]


async def test_an_outcome_whose_caller_gives_up_while_it_is_committed_harms_nobody(
    backend: HeldBackend, ahead: SlowAhead, mock_clock: trio.testing.MockClock
) -> None:
    """The job that took it along is answered, and nothing is pending."""
    ahead.let.set()
    group = going_ahead(backend, ahead)
    leaving = trio.CancelScope()
    async with rigged(group, mock_clock) as rig:
        await rig.call(Verb.SETTLE, "a", leaving)
        ahead.let = trio.Event()
        await rig.call(Verb.BEAR, "3")
        assert rig.group.pending == 2
        leaving.cancel()
        await trio.testing.wait_all_tasks_blocked()
        ahead.let.set()
        await trio.testing.wait_all_tasks_blocked()
        assert rig.answers["3"] == ["3"]
        assert (rig.group.pending, rig.group.owed()) == (0, None)
    assert ahead.groups == [["1"], ["2"], ["a", "3"]]
