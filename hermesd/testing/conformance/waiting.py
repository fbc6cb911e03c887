"""What waits: order in the queue, timers, and jobs whose worker is gone."""

from __future__ import annotations

from typing import Final

import msgspec
import pytest

from hermesd.core.job import Owner
from hermesd.core.records import Verdict
from hermesd.core.states import Move, State
from hermesd.stores.portion import MOST_BYTES
from hermesd.testing.conformance.scene import INCARNATION, Conformance, Scene

_MAIL: Final = {"queue": "mail", "type": "a"}


def _payload(size: int) -> msgspec.Raw:
    return msgspec.Raw(b'"%s"' % (b"x" * (size - 2)))


class WaitingConformance(Conformance):
    """JobStore.waiting, release_due, next_due, release_orphans."""

    async def test_priority_goes_before_age(self, scene: Scene) -> None:
        """Highest first, and within one priority the oldest."""
        jobs = [(await scene.queued(priority=p)).id for p in (3, 10, 3, 0, 10)]
        order = [jobs[place] for place in (1, 4, 0, 2, 3)]
        assert await scene.waiting() == order
        assert await scene.waiting(limit=3) == order[:3]
        assert await scene.waiting(limit=0) == []

    async def test_jobs_of_one_moment_stay_in_the_order_of_their_submit(self, scene: Scene) -> None:
        """The clock does not move, the order is strict all the same, within a batch too."""
        first = await scene.submit(*(scene.job() for _ in range(5)))
        last = await scene.queued()
        assert await scene.waiting() == [one.job.id for one in first] + [last.id]

    async def test_a_clock_set_back_does_not_change_the_order(self, scene: Scene) -> None:
        """Places rise strictly, whatever the wall clock does."""
        first = await scene.queued()
        scene.clock.jump(-3600)
        second = await scene.queued()
        assert await scene.waiting() == [first.id, second.id]

    async def test_only_the_wanted_pairs_are_answered(self, scene: Scene) -> None:
        """Queue and type must both fit; the best over all pairs come first."""
        mail = await scene.queued(queue="mail", type="a")
        await scene.queued(queue="mail", type="b")
        slow = await scene.queued(queue="slow", type="b", priority=7)
        wanted = (("mail", "a"), ("slow", "b"), ("slow", "a"), ("mail", "a"))
        assert await scene.waiting(*wanted) == [slow.id, mail.id]
        assert await scene.waiting(*wanted, limit=1) == [slow.id]
        many = [(f"queue-{number}", "a") for number in range(700)]
        assert await scene.waiting(*many, ("mail", "a")) == [mail.id]

    async def test_no_more_is_answered_than_the_wanted_bytes(self, scene: Scene) -> None:
        """Of payloads, but for the first; whether that was all is said, in all pairs."""
        pairs = (("default", "test.echo"), ("mail", "a"))
        small = [await scene.queued(payload=_payload(100)) for _ in range(4)]
        large = [await scene.queued(payload=_payload(50_000), **_MAIL) for _ in range(3)]
        last = await scene.queued(payload=_payload(100))
        order = [job.id for job in (*small, *large, last)]
        for most_bytes, fitting in (
            (0, 1),
            (99, 1),
            (299, 2),
            (300, 3),
            (50_399, 4),
            (50_400, 5),
            (150_499, 7),
            (150_500, 8),
        ):
            head = await scene.head(*pairs, limit=100, most_bytes=most_bytes)
            assert [job.id for job in head.jobs] == order[:fitting], most_bytes
            assert head.everything == (fitting == 8)
        urgent = await scene.queued(payload=_payload(60_000), priority=9, **_MAIL)
        many = [(f"queue-{number}", "a") for number in range(150)]
        head = await scene.head(pairs[0], *many, pairs[1], limit=100, most_bytes=60_100)
        assert [job.id for job in head.jobs] == [urgent.id, small[0].id]
        head = await scene.head(pairs[1], limit=1, most_bytes=10)
        assert (list(head.jobs), head.everything) == ([urgent], False)
        head = await scene.head(*many, limit=1, most_bytes=10)
        assert (list(head.jobs), head.everything) == ([], True)

    async def test_the_bytes_of_a_payload_are_those_of_its_text(self, scene: Scene) -> None:
        """And not its characters."""
        for _ in range(3):
            await scene.queued(payload=msgspec.Raw(msgspec.json.encode("ü" * 1000)))
        head = await scene.head(limit=100, most_bytes=4003)
        assert (len(head.jobs), head.everything) == (1, False)
        head = await scene.head(limit=100, most_bytes=6006)
        assert (len(head.jobs), head.everything) == (3, True)

    async def test_a_released_job_keeps_its_place(self, scene: Scene) -> None:
        """What was taken first and handed back is first again."""
        await scene.living(INCARNATION)
        first, second = await scene.queued(), await scene.queued()
        scene.clock.advance(10)
        taken = await scene.assign(first)
        assert taken is not None
        await scene.settle(taken, Move.RELEASE, attempts=0)
        assert await scene.waiting() == [first.id, second.id]
        assert (await scene.now(first)).enqueued_at == first.enqueued_at

    async def test_a_job_inserted_as_running_has_its_place_too(self, scene: Scene) -> None:
        """Released, it stands where its submit put it."""
        direct = await scene.running()
        second = await scene.queued()
        await scene.settle(direct, Move.RELEASE)
        assert await scene.waiting() == [direct.id, second.id]

    async def test_a_retried_job_queues_at_the_end(self, scene: Scene) -> None:
        """Coming from the timer it has a new place."""
        job = await scene.running()
        await scene.settle(job, Move.RETRY, run_at=scene.clock.utc() + 1)
        other = await scene.queued()
        scene.clock.advance(1)
        (back,) = await scene.store.jobs.release_due(10)
        assert back.enqueued_at == scene.clock.utc()
        assert await scene.waiting() == [other.id, job.id]

    async def test_due_jobs_are_queued_in_time(self, scene: Scene) -> None:
        """Not before their time, the earliest first, and no more than asked for."""
        late = await scene.scheduled(after=20)
        soon = await scene.scheduled(after=10)
        assert await scene.store.jobs.next_due() == soon.run_at
        assert list(await scene.store.jobs.release_due(10)) == []
        scene.clock.advance(30)
        (first,) = await scene.store.jobs.release_due(1)
        assert first == await scene.now(soon)
        assert (first.state, first.owner, first.lease) == (State.QUEUED, Owner.STORE, 1)
        assert [job.id for job in await scene.store.jobs.release_due(10)] == [late.id]
        assert await scene.store.jobs.next_due() is None

    async def test_jobs_of_a_fenced_worker_are_queued_again(self, scene: Scene) -> None:
        """The attempt is given back, nothing is charged, and its outcome is void."""
        lost = await scene.running(incarnation="lost")
        kept = await scene.running()
        assert list(await scene.store.jobs.release_orphans(10)) == []
        await scene.store.fleet.fence("lost", silent_for_seconds=None)
        (back,) = await scene.store.jobs.release_orphans(10)
        assert back == await scene.now(lost)
        assert (back.state, back.owner, back.lease) == (State.QUEUED, Owner.STORE, 2)
        assert (back.attempts, back.crash_count, back.incarnation) == (0, 0, None)
        assert await scene.settle(lost, Move.SUCCEED) is Verdict.DROPPED
        assert await scene.now(kept) == kept
        assert await scene.event_kinds(lost) == ["released"]

    async def test_jobs_of_an_unknown_worker_are_queued_again(self, scene: Scene) -> None:
        """An incarnation that the store never heard of holds nothing; the limit holds."""
        for _ in range(3):
            await scene.queued(state=State.RUNNING, lease=1, attempts=1, incarnation="unheard")
        assert len(await scene.store.jobs.release_orphans(2)) == 2
        assert len(await scene.store.jobs.release_orphans(2)) == 1
        assert len(await scene.waiting()) == 3

    @pytest.mark.parametrize("source", [State.SCHEDULED, State.RUNNING])
    async def test_large_jobs_are_released_a_few_at_a_time(
        self, scene: Scene, source: State
    ) -> None:
        """No more than a portion, but for small ones, and at least one: none is kept for ever."""
        large = MOST_BYTES // 2
        sizes = [large, MOST_BYTES + 1, 10, large, large - 10, 11, 12]
        fields = {"lease": 1, "incarnation": "lost"} if source is State.RUNNING else {"run_at": 1.0}
        jobs = {
            (await scene.queued(state=source, payload=_payload(size), **fields)).id: size
            for size in sizes
        }
        release = scene.store.jobs.release_due
        if source is State.RUNNING:
            release = scene.store.jobs.release_orphans
        rounds = list[list[int]]()
        while back := await release(1000):
            rounds.append([len(bytes(job.payload)) for job in back])
            assert rounds[-1] == [jobs[job.id] for job in back]
        assert sorted(size for each in rounds for size in each) == sorted(sizes)
        assert all(sum(each) <= MOST_BYTES + 100 for each in rounds if len(each) > 1)
        assert 3 <= len(rounds) < len(sizes)

    async def test_an_orphan_to_be_cancelled_is_cancelled(self, scene: Scene) -> None:
        """It is not run again."""
        job = await scene.running()
        await scene.store.jobs.cancel(job.id)
        await scene.store.fleet.fence(INCARNATION, silent_for_seconds=None)
        (ended,) = await scene.store.jobs.release_orphans(10)
        assert (ended.state, ended.owner) == (State.CANCELLED, Owner.NONE)
        assert await scene.waiting() == []
        assert await scene.event_kinds(job) == ["cancel-requested", "cancelled"]
