"""The group commit over a backend that a test holds by the hand."""

from __future__ import annotations

import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Sequence
from contextlib import asynccontextmanager
from typing import Any

import pytest
import structlog
import trio
import trio.testing

from hermesd.core.errors import Broken, OutcomeUnknown, StoreUnavailable, Unstorable
from hermesd.stores.backend import Answers, CommitUnknown, Evidence, ItemFault, Part, Verb
from hermesd.stores.group import GroupCommit
from hermesd.stores.pace import SMALL_ROWS, Pace


class HeldBackend:
    """Commits when let; an item that is an exception is a fault, `landed` what a look-up says."""

    def __init__(self) -> None:
        self.groups: list[list[Any]] = []
        self.gate = threading.Semaphore(0)
        self.entered = threading.Semaphore(0)
        self.fate: bool | StoreUnavailable | None = None
        self.untended = False
        self.tended: list[str] = []
        self.closed = False

    def let(self, groups: int = 100) -> None:
        """So many transactions may go on."""
        self.gate.release(groups)

    async def busy(self) -> None:
        """Wait until a transaction has begun."""
        assert await trio.to_thread.run_sync(lambda: self.entered.acquire(timeout=60))

    def at_once(self, parts: Sequence[Part]) -> Callable[[], Answers] | None:
        """Never."""
        return None

    def needs_tending(self) -> bool:
        """When the test says so, once."""
        wanted, self.untended = self.untended, False
        return wanted

    def tend_ahead(self) -> None:
        """Note it."""
        self.tended.append("ahead")

    def tend(self) -> None:
        """Note it."""
        self.tended.append("between")

    def commit(self, parts: Sequence[Part], *, wait: bool = True) -> Answers:
        """Answers each item's text in capitals."""
        self.entered.release()
        assert self.gate.acquire(timeout=60)
        items = [item for part in parts for item in part.items]
        for item in items:
            if isinstance(item, Exception):
                raise item
        self.groups.append(items)
        answers = [[str(item).upper() for item in part.items] for part in parts]
        if self.fate is not None:
            raise CommitUnknown(answers, ("job", "queued", 1))
        return answers

    def landed(self, evidence: Evidence) -> bool:
        """As the test has it."""
        if isinstance(self.fate, StoreUnavailable):
            raise self.fate
        return bool(self.fate)

    def instead(self, part: Part, reason: str) -> Part | None:
        """An outcome is replaced, nothing else is."""
        if part.verb is not Verb.SETTLE:
            return None
        return Part(verb=Verb.SETTLE_INSTEAD, items=(f"instead: {reason}",), at=part.at)

    def close(self) -> None:
        """Note it."""
        self.closed = True


@pytest.fixture
def backend() -> HeldBackend:
    """It commits nothing until it is let."""
    return HeldBackend()


@asynccontextmanager
async def running(
    backend: HeldBackend, *, max_group: int = 100, max_pending: int = 1000
) -> AsyncIterator[GroupCommit]:
    """A group commit over the backend, which is let go on at the end."""
    group = GroupCommit(
        backend, max_group=max_group, max_pending=max_pending, log=structlog.get_logger()
    )
    async with group.running():
        try:
            yield group
        finally:
            backend.let()


async def gather(group: GroupCommit, *calls: Sequence[Any], verb: Verb = Verb.TOUCH) -> list[Any]:
    """The answers of concurrent calls, of which the first alone is under way at once."""
    assert isinstance(group._backend, HeldBackend)
    answers: list[Any] = [None] * len(calls)

    async def one(place: int) -> None:
        answers[place] = await group.do(verb, calls[place], 0.0)

    async with trio.open_nursery() as nursery:
        for place in range(len(calls)):
            nursery.start_soon(one, place)
            await trio.testing.wait_all_tasks_blocked()
            if place == 0:
                await group._backend.busy()
        group._backend.let()
    return answers


async def test_what_piled_up_goes_into_one_transaction(backend: HeldBackend) -> None:
    """The first goes at once and alone, all that came meanwhile go next."""
    async with running(backend) as group:
        calls = [[f"a{number}"] for number in range(8)]
        answers = await gather(group, *calls)
    assert answers == [[f"A{number}"] for number in range(8)]
    assert [len(items) for items in backend.groups] == [1, 7]
    assert backend.closed


async def test_a_group_has_a_bound(backend: HeldBackend) -> None:
    """In rows; one call above it goes alone."""
    async with running(backend, max_group=3) as group:
        await gather(group, ["a"], ["b"], ["c", "d"], ["e"], list("fghij"), ["k"])
    assert ["".join(items) for items in backend.groups] == ["a", "bcd", "e", "fghij", "k"]


async def test_a_bad_item_is_found_by_halving(backend: HeldBackend) -> None:
    """It fails alone, within a call of several too; the rest is stored."""
    bad = ItemFault("too big")
    async with running(backend) as group:
        answers = await gather(group, ["a"], ["b"], ["c", bad, "d"], ["e"], [bad])
    assert [answers[0], answers[1], answers[3]] == [["A"], ["B"], ["E"]]
    assert (answers[2][0], answers[2][2]) == ("C", "D")
    assert isinstance(answers[2][1], Unstorable)
    assert isinstance(answers[4][0], Unstorable)
    assert sorted(item for items in backend.groups for item in items) == list("abcde")


async def test_a_whole_call_is_not_split(backend: HeldBackend) -> None:
    """Its items stand and fall together."""
    async with running(backend) as group:
        backend.let()
        answers = await group.do(Verb.INSERT, ["a", ItemFault("bad"), "b"], 0.0, whole=True)
    assert [type(answer) for answer in answers] == [Unstorable] * 3
    assert backend.groups == []


async def test_an_unstorable_outcome_is_replaced(backend: HeldBackend) -> None:
    """What the backend gives in its place is stored and answers."""
    async with running(backend) as group:
        backend.let()
        answers = await group.do(Verb.SETTLE, ["a", ItemFault("bad")], 0.0)
    assert answers == ["A", "INSTEAD: BAD"]


async def test_a_defect_reaches_its_caller_only(backend: HeldBackend) -> None:
    """As Broken, while the others are stored and the thread goes on."""
    async with running(backend) as group:
        answers = await gather(group, ["a"], [KeyError("oops")], ["b"])
        assert (await group.do(Verb.TOUCH, ["c"], 0.0)) == ["C"]
    assert isinstance(answers[1][0], Broken)
    assert (answers[0], answers[2]) == (["A"], ["B"])


async def test_an_absent_database_is_every_waiters_answer(backend: HeldBackend) -> None:
    """Nothing is halved for it, and each gets an exception of its own."""
    down = StoreUnavailable("locked")
    async with running(backend) as group:
        answers = await gather(group, ["a"], ["b"], [down], ["c"])
        assert (group.stats.failed_groups, group.stats.failing) == (1, True)
        assert await group.do(Verb.TOUCH, ["d"], 0.0) == ["D"]
        assert (group.stats.failed_groups, group.stats.failing) == (1, False)
    assert answers[0] == ["A"]
    errors = [answer[0] for answer in answers[1:]]
    assert [type(error) for error in errors] == [StoreUnavailable] * 3
    assert len({id(error) for error in errors}) == 3


@pytest.mark.parametrize(
    ("fate", "answer"),
    [(True, "A"), (False, StoreUnavailable), (StoreUnavailable("gone"), OutcomeUnknown)],
    ids=["it happened", "it did not", "nobody knows"],
)
async def test_an_unknown_fate_is_looked_up(backend: HeldBackend, fate: Any, answer: Any) -> None:
    """Three answers, and `unavailable` only where nothing was done."""
    backend.fate = fate
    async with running(backend) as group:
        backend.let()
        (got,) = await group.do(Verb.TOUCH, ["a"], 0.0)
    assert got == answer or isinstance(got, answer)


async def test_cancelled_callers_are_left_out(backend: HeldBackend) -> None:
    """Their items never reach the database if their turn had not come."""
    async with running(backend) as group:
        giving_up = trio.CancelScope()

        async def quit_early() -> None:
            with giving_up:
                await group.do(Verb.TOUCH, ["b"], 0.0)

        async with trio.open_nursery() as nursery:
            nursery.start_soon(group.do, Verb.TOUCH, ["a"], 0.0)
            await backend.busy()
            nursery.start_soon(quit_early)
            nursery.start_soon(group.do, Verb.TOUCH, ["c"], 0.0)
            await trio.testing.wait_all_tasks_blocked()
            giving_up.cancel()
            await trio.testing.wait_all_tasks_blocked()
            backend.let()
    assert backend.groups == [["a"], ["c"]]


async def test_past_the_bound_a_call_is_refused(backend: HeldBackend) -> None:
    """And taken again when there is room."""
    async with running(backend, max_pending=2) as group:
        async with trio.open_nursery() as nursery:
            for item in "ab":
                nursery.start_soon(group.do, Verb.TOUCH, [item], 0.0)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(StoreUnavailable):
                await group.do(Verb.TOUCH, ["c"], 0.0)
            backend.let()
        assert await group.do(Verb.TOUCH, ["d"], 0.0) == ["D"]


async def test_an_answer_is_owed_until_it_is_given(backend: HeldBackend) -> None:
    """With another number after each group; an absent database gives its answers too."""
    async with running(backend) as group:
        assert group.owed() is None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(group.do, Verb.TOUCH, ["a"], 0.0)
            await backend.busy()
            before = group.owed()
            nursery.start_soon(group.do, Verb.TOUCH, [StoreUnavailable("away")], 0.0)
            await trio.testing.wait_all_tasks_blocked()
            assert group.owed() == before is not None
            backend.let(1)
            await backend.busy()
            assert group.owed() not in (before, None)
            backend.let(1)
        assert group.owed() is None


async def test_a_committing_task_that_has_ended_owes_for_ever(
    backend: HeldBackend, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nobody will be answered again, which somebody has to notice."""
    monkeypatch.setattr(backend, "needs_tending", lambda: bool(backend.groups and 1 / 0))
    async with running(backend) as group:
        backend.let()
        await gather(group, ["a"])
        await trio.testing.wait_all_tasks_blocked()
        owed = group.owed()
        with pytest.raises(StoreUnavailable):
            await group.do(Verb.TOUCH, ["b"], 0.0)
        assert group.owed() == owed is not None


async def test_the_database_is_tended_beside_and_between_commits(backend: HeldBackend) -> None:
    """The long part goes on while commits do, the short one comes between two of them."""
    backend.let()
    async with running(backend) as group:
        backend.untended = True
        assert await group.do(Verb.TOUCH, ["a"], 0.0) == ["A"]
    assert backend.tended[0] == "ahead"
    assert backend.closed


class QuickBackend(HeldBackend):
    """Commits at once on any thread, except what is to be waited for."""

    def __init__(self) -> None:
        super().__init__()
        self.let(1000)
        self.waited: list[bool] = []
        self.locked = False

    def commit(self, parts: Sequence[Part], *, wait: bool = True) -> Answers:
        """See HeldBackend; locked by another program where the test says so."""
        self.waited.append(wait)
        if self.locked and not wait:
            raise StoreUnavailable("locked")
        return super().commit(parts, wait=wait)


async def test_quick_commits_are_not_handed_off_and_locked_ones_are() -> None:
    """The loop's own thread never waits for another program's lock."""
    backend = QuickBackend()
    group = GroupCommit(
        backend, max_group=10, max_pending=100, log=structlog.get_logger(), pace=Pace()
    )
    async with group.running():
        assert await group.do(Verb.TOUCH, ["a"], 0.0) == ["A"]
        backend.locked = True
        assert await group.do(Verb.TOUCH, ["b"], 0.0) == ["B"]
    assert backend.waited == [False, False, True]


class AtOnceBackend(QuickBackend):
    """Commits at once, and notes in which thread."""

    def __init__(self) -> None:
        super().__init__()
        self.threads: list[int] = []

    def at_once(self, parts: Sequence[Part]) -> Callable[[], Answers] | None:
        """As `commit` does without waiting."""

        def call() -> Answers:
            self.threads.append(threading.get_ident())
            return self.commit(parts, wait=False)

        return call


async def test_a_large_group_leaves_the_loop_to_the_others() -> None:
    """It is committed by one call on the other thread, and a small one where it is."""
    backend = AtOnceBackend()
    group = GroupCommit(
        backend, max_group=1000, max_pending=1000, log=structlog.get_logger(), pace=Pace()
    )
    async with group.running():
        await group.do(Verb.TOUCH, ["a"], 0.0)
        await group.do(Verb.TOUCH, ["a"] * (SMALL_ROWS + 1), 0.0)
        here = threading.get_ident()
        assert [thread == here for thread in backend.threads] == [True, False]
        backend.locked = True
        assert await group.do(Verb.TOUCH, ["b"], 0.0) == ["B"]
    assert backend.waited == [False, False, False, True]


@pytest.mark.parametrize("fate", [True, False], ids=["it happened", "it did not"])
async def test_an_unknown_fate_of_one_call_is_looked_up(fate: bool) -> None:
    """And nothing is stored twice."""
    backend = AtOnceBackend()
    backend.fate = fate
    async with running(backend) as group:
        (got,) = await group.do(Verb.TOUCH, ["a"], 0.0)
    assert got == "A" if fate else isinstance(got, StoreUnavailable)
    assert backend.groups == [["a"]]


async def test_a_fault_on_the_loop_is_looked_into_on_a_thread() -> None:
    """The bad item fails alone, as it does when everything is handed off."""
    backend = QuickBackend()
    group = GroupCommit(
        backend, max_group=10, max_pending=100, log=structlog.get_logger(), pace=Pace()
    )
    async with group.running():
        good, bad = await group.do(Verb.TOUCH, ["a", ItemFault("bad")], 0.0)
    assert good == "A"
    assert isinstance(bad, Unstorable)


@pytest.mark.parametrize("fault", [None, ItemFault("no")], ids=["it cannot", "it fails"])
async def test_what_ahead_does_not_do_the_backend_does(
    backend: HeldBackend, fault: Exception | None
) -> None:
    """With the same parts, and nobody notices; what it does needs no thread."""
    seen: list[Sequence[Part]] = []

    async def ahead(parts: Sequence[Part]) -> Answers | None:
        seen.append(parts)
        if parts[0].items == ("easy",):
            return [["done"]]
        if fault is not None:
            raise fault
        return None

    backend.let()
    log = structlog.get_logger()
    group = GroupCommit(backend, max_group=100, max_pending=1000, log=log, ahead=ahead)
    async with group.running():
        assert await group.do(Verb.TOUCH, ["easy"], 0.0) == ["done"]
        assert not backend.groups
        assert await group.do(Verb.TOUCH, ["hard"], 0.0) == ["HARD"]
    assert backend.groups == [["hard"]]
    assert [part.items for (part,) in seen] == [("easy",), ("hard",)]
    assert group.stats.commits == 2


class NotingPace(Pace):
    """Remembers what it was told of the other thread."""

    def __init__(self) -> None:
        super().__init__()
        self.beside: list[int] = []

    def took_beside(self, seconds: float, rows: int, now: float) -> None:
        """See Pace."""
        assert seconds > 0
        self.beside.append(rows)
        super().took_beside(seconds, rows, now)


async def test_the_pace_learns_from_the_other_thread_too() -> None:
    """By all that is committed there, however it got there."""
    backend, pace = AtOnceBackend(), NotingPace()
    group = GroupCommit(
        backend, max_group=1000, max_pending=1000, log=structlog.get_logger(), pace=pace
    )
    async with group.running():
        await group.do(Verb.TOUCH, ["a"], 0.0)
        await group.do(Verb.TOUCH, ["a"] * (SMALL_ROWS + 1), 0.0)
        backend.locked = True
        await group.do(Verb.TOUCH, ["a"] * 2, 0.0)
    assert pace.beside == [SMALL_ROWS + 1, 2]


def here(backend: HeldBackend) -> GroupCommit:
    """A group commit that commits small groups on the loop's thread."""
    return GroupCommit(
        backend, max_group=100, max_pending=1000, log=structlog.get_logger(), pace=Pace()
    )


def at_once(call: Coroutine[Any, Any, list[Any]]) -> list[Any] | None:
    """The answers of a call that does not wait for anything; None where it does."""
    try:
        call.send(None)
    except StopIteration as end:
        answers: list[Any] = end.value
        return answers
    call.close()
    return None


async def test_one_jobs_change_is_committed_in_its_callers_task() -> None:
    """While the store is idle; what others ask for, or several jobs, is waited for."""
    backend = AtOnceBackend()
    group = here(backend)
    async with group.running():
        await trio.testing.wait_all_tasks_blocked()
        assert at_once(group.do(Verb.BEAR, ["a"], 0.0)) == ["A"]
        await trio.testing.wait_all_tasks_blocked()
        assert at_once(group.do(Verb.SETTLE, ["b"], 0.0)) == ["B"]
        assert (group.owed(), group.stats.commits, group.stats.items) == (None, 2, 2)
        assert await group.do(Verb.TOUCH, ["c"], 0.0) == ["C"]
        assert await group.do(Verb.BEAR, ["d", "e"], 0.0) == ["D", "E"]
    assert backend.groups == [["a"], ["b"], ["c"], ["d", "e"]]


async def test_in_one_turn_of_the_loop_one_change_is_committed_alone() -> None:
    """What else comes in it is one commit, after the loop has looked at everything else."""
    backend = AtOnceBackend()
    group = here(backend)
    async with group.running():
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as callers:
            for item in "abcd":
                callers.start_soon(group.do, Verb.SETTLE, [item], 0.0)
    assert [len(items) for items in backend.groups] == [1, 3]


async def test_one_jobs_change_waits_for_what_is_under_way(backend: HeldBackend) -> None:
    """Nothing overtakes, and what waits is shared."""
    group = here(backend)
    async with group.running(), trio.open_nursery() as callers:
        callers.start_soon(group.do, Verb.TOUCH, ["a"] * (SMALL_ROWS + 1), 0.0)
        await backend.busy()
        callers.start_soon(group.do, Verb.BEAR, ["b"], 0.0)
        callers.start_soon(group.do, Verb.SETTLE, ["c"], 0.0)
        await trio.testing.wait_all_tasks_blocked()
        assert not backend.groups
        backend.let()
    assert [sorted(items) for items in backend.groups[1:]] == [["b", "c"]]


async def test_what_is_committed_at_once_has_the_database_tended() -> None:
    """As any commit has."""
    backend = AtOnceBackend()
    group = here(backend)
    async with group.running():
        await trio.testing.wait_all_tasks_blocked()
        backend.untended = True
        assert at_once(group.do(Verb.BEAR, ["a"], 0.0)) == ["A"]
    assert backend.tended[0] == "ahead"


async def test_what_cannot_be_committed_at_once_is_waited_for() -> None:
    """A locked database, and a bad item, which fails alone as it does in a group."""
    backend = AtOnceBackend()
    group = here(backend)
    async with group.running():
        await trio.testing.wait_all_tasks_blocked()
        backend.locked = True
        assert await group.do(Verb.BEAR, ["a"], 0.0) == ["A"]
        assert backend.waited == [False, True]
        backend.locked = False
        (bad,) = await group.do(Verb.BEAR, [ItemFault("bad")], 0.0)
    assert isinstance(bad, Unstorable)
    assert backend.groups == [["a"]]


@pytest.mark.parametrize("fate", [True, False], ids=["it happened", "it did not"])
async def test_an_unknown_fate_is_looked_up_though_the_caller_has_left(fate: bool) -> None:
    """Of that change alone: what came beside it is stored as ever."""
    backend = AtOnceBackend()
    group = here(backend)
    answers: list[Any] = []
    async with group.running():
        await trio.testing.wait_all_tasks_blocked()
        async with trio.open_nursery() as callers:
            leaving = trio.CancelScope()

            async def doubtful() -> None:
                with leaving:
                    backend.fate = fate
                    leaving.cancel()
                    await group.do(Verb.BEAR, ["a"], 0.0)
                backend.fate = None
                answers.extend(await group.do(Verb.BEAR, ["b"], 0.0))

            callers.start_soon(doubtful)
        await trio.testing.wait_all_tasks_blocked()
        assert at_once(group.do(Verb.BEAR, ["c"], 0.0)) == ["C"]
    assert answers == ["B"]
    assert backend.groups == [["a"], ["b"], ["c"]]


class SlowAhead:
    """An `ahead` that answers when it is let, and not what it is told is hard."""

    def __init__(self) -> None:
        self.groups: list[list[Any]] = []
        self.begun = trio.Event()
        self.let = trio.Event()

    async def __call__(self, parts: Sequence[Part]) -> Answers | None:
        """In capitals."""
        self.begun.set()
        await self.let.wait()
        items = [item for part in parts for item in part.items]
        if "hard" in items:
            return None
        self.groups.append(items)
        return [[item.upper() for item in part.items] for part in parts]


@pytest.fixture
def ahead() -> SlowAhead:
    """It answers nothing until it is let."""
    return SlowAhead()


@asynccontextmanager
async def resting(backend: HeldBackend, ahead: SlowAhead) -> AsyncIterator[GroupCommit]:
    """A group commit that tries `ahead` first, with nothing to do."""
    log = structlog.get_logger()
    group = GroupCommit(backend, max_group=100, max_pending=1000, log=log, ahead=ahead)
    async with group.running():
        await trio.testing.wait_all_tasks_blocked()
        yield group


async def test_what_comes_while_one_job_is_seen_to_ahead_is_the_next_group(
    backend: HeldBackend, ahead: SlowAhead
) -> None:
    """One commit at a time, and an answer is owed meanwhile."""
    async with resting(backend, ahead) as group:
        async with trio.open_nursery() as callers:
            callers.start_soon(group.do, Verb.BEAR, ["a"], 0.0)
            await ahead.begun.wait()
            before = group.owed()
            assert group.pending == 1
            for item in "bcd":
                callers.start_soon(group.do, Verb.SETTLE, [item], 0.0)
            await trio.testing.wait_all_tasks_blocked()
            assert not ahead.groups
            assert group.owed() == before is not None
            ahead.let.set()
        assert (group.pending, group.owed(), group.stats.commits) == (0, None, 2)
    assert [sorted(items) for items in ahead.groups] == [["a"], ["b", "c", "d"]]


async def test_callers_who_were_answered_together_share_the_next_commit_too(
    backend: HeldBackend, ahead: SlowAhead
) -> None:
    """The first of them does not go alone, which would be two commits for each round of theirs."""
    ahead.let.set()
    async with resting(backend, ahead) as group:

        async def thrice(item: str) -> None:
            for _ in range(3):
                assert await group.do(Verb.SETTLE, [item], 0.0) == [item.upper()]

        async with trio.open_nursery() as callers:
            for item in "abcd":
                callers.start_soon(thrice, item)
        assert await group.do(Verb.SETTLE, ["e"], 0.0) == ["E"]
    assert max(map(len, ahead.groups)) == 4
    assert len(ahead.groups) <= 6


async def test_a_caller_who_gives_up_waits_for_what_is_begun_ahead(
    backend: HeldBackend, ahead: SlowAhead
) -> None:
    """It is committed once, and the others go on."""
    async with resting(backend, ahead) as group:
        leaving = trio.CancelScope()
        answers: list[Any] = []

        async def leave() -> None:
            with leaving:
                answers.extend(await group.do(Verb.BEAR, ["a"], 0.0))

        async with trio.open_nursery() as callers:
            callers.start_soon(leave)
            await ahead.begun.wait()
            leaving.cancel()
            callers.start_soon(group.do, Verb.BEAR, ["b"], 0.0)
            await trio.testing.wait_all_tasks_blocked()
            assert not answers
            ahead.let.set()
    assert answers == ["A"]
    assert ahead.groups == [["a"], ["b"]]


async def test_what_ahead_has_left_of_one_job_is_looked_into_next(
    backend: HeldBackend, ahead: SlowAhead
) -> None:
    """Before what came meanwhile, alone, and though its caller has left."""
    async with resting(backend, ahead) as group:
        leaving = trio.CancelScope()

        async def leave() -> None:
            with leaving:
                await group.do(Verb.BEAR, ["hard"], 0.0)

        async with trio.open_nursery() as callers:
            callers.start_soon(leave)
            await ahead.begun.wait()
            leaving.cancel()
            for item in "bc":
                callers.start_soon(group.do, Verb.BEAR, [item], 0.0)
            await trio.testing.wait_all_tasks_blocked()
            ahead.let.set()
            await backend.busy()
            assert not ahead.groups
            backend.let()
    assert backend.groups == [["hard"]]
    assert [sorted(items) for items in ahead.groups] == [["b", "c"]]


async def test_the_end_waits_for_what_is_begun_ahead(
    backend: HeldBackend, ahead: SlowAhead
) -> None:
    """And for what came behind it; nothing more is taken."""
    answers: list[Any] = []

    async def one(group: GroupCommit, item: str) -> None:
        answers.extend(await group.do(Verb.BEAR, [item], 0.0))

    async with trio.open_nursery() as callers, resting(backend, ahead) as group:
        callers.start_soon(one, group, "a")
        await ahead.begun.wait()
        callers.start_soon(one, group, "b")
        await trio.testing.wait_all_tasks_blocked()
        group.close()
        with pytest.raises(StoreUnavailable):
            await group.do(Verb.BEAR, ["c"], 0.0)
        await trio.testing.wait_all_tasks_blocked()
        assert not backend.closed
        ahead.let.set()
    assert answers == ["A", "B"]
    assert backend.closed
