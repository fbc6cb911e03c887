"""One job's own change, committed in its caller's task."""

from __future__ import annotations

from typing import Any

import pytest
import trio
import trio.testing

from hermesd.core.errors import StoreUnavailable, Unstorable
from hermesd.stores.backend import ItemFault, Verb
from hermesd.stores.group import GroupCommit
from hermesd.stores.pace import SMALL_ROWS
from stores.held import (
    AtOnceBackend,
    HeldBackend,
    SlowAhead,
    at_once,
    here,
    resting,
)


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
