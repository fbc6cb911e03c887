"""The group commit over a backend that a test holds by the hand."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

import pytest
import structlog
import trio
import trio.testing

from hermesd.core.errors import Broken, OutcomeUnknown, StoreUnavailable, Unstorable
from hermesd.stores.backend import Answers, ItemFault, Part, Verb
from hermesd.stores.group import GroupCommit
from hermesd.stores.pace import SMALL_ROWS, Pace
from stores.held import (
    AtOnceBackend,
    HeldBackend,
    QuickBackend,
    running,
)


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
