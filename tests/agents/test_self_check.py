"""The links of a worker under the daemon's self-check: what is no fault of theirs is none."""

from __future__ import annotations

import trio
from trio.testing import MockClock

from agents.several import Roads, open_apis, road_to
from agents.test_worker import Doings, doings
from agents.workers import Worker, open_worker
from hermesd.core.fleet import Heartbeat, HeartbeatAnswer
from hermesd.daemon.selfcheck import Duty, SelfCheck, link_limit_seconds
from hermesd.testing.links import DirectLink

__all__ = ["doings"]

A, B = "10.0.0.1:7", "10.0.0.2:7"
BY_ADDRESS = {"control": {"endpoints": [A, B]}}
LOOK_SECONDS = 15.0


class StuckLink(DirectLink):
    """A line without the time limit that every real one has."""

    async def heartbeat(self, heartbeat: Heartbeat) -> HeartbeatAnswer:
        """Never answered."""
        await trio.sleep_forever()
        raise AssertionError


def check_of(worker: Worker) -> tuple[SelfCheck, int]:
    """The check, and after how many looks it must have found what stands still."""
    limit = link_limit_seconds(worker.state.config, 5.0)
    duty = Duty(lambda: worker.state.turns, lambda: limit)
    return SelfCheck({"link": duty}), int(limit / LOOK_SECONDS) + 3


async def test_links_take_their_turns_whatever_their_apis_do(
    clock: MockClock, doings: Doings
) -> None:
    """One that serves, one that stands by for it, and both when the api is gone."""
    async with open_apis() as apis:
        api = await apis.start("api-1")
        roads = Roads({A: road_to(api, A), B: road_to(api, B)})
        async with open_worker(roads, [doings.handler()], settings=BY_ADDRESS) as worker:
            check, looks = check_of(worker)
            for away in (False, True):
                if away:
                    roads.hang_up()
                for _ in range(looks):
                    await trio.sleep(LOOK_SECONDS)
                    assert sorted(worker.state.turns) == [A, B]
                    assert check.overdue(LOOK_SECONDS) == []


async def test_a_link_that_is_stuck_is_found(clock: MockClock, doings: Doings) -> None:
    """And named, while the others go on."""
    async with open_apis() as apis:
        first, second = await apis.start("api-1"), await apis.start("api-2")
        roads = Roads({A: road_to(first, A), B: StuckLink(second.agents.control, B)})
        async with open_worker(roads, [doings.handler()], settings=BY_ADDRESS) as worker:
            check, looks = check_of(worker)
            found: list[str] = []
            for _ in range(looks):
                await trio.sleep(LOOK_SECONDS)
                found = check.overdue(LOOK_SECONDS)
            assert len(found) == 1
            assert found[0].startswith(f"link {B} stands still for ")
