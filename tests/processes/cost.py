"""What a job costs the apis, which no load on the machine changes much, unlike a throughput.

The unit is what a fixed piece of work costs this process in the same window, so that a slower
moment of the machine (caches, clock rate, a sibling on the core) is in both.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from processes.client import ApiClient, until
from processes.several import SeveralApis
from processes.submitter import Answers, bodies, submit_all

JOBS: Final = 400
CONNECTIONS: Final = 8
WINDOWS: Final = 3
MOST_WINDOWS: Final = 12
YARDSTICK: Final = 200_000
# Jobs share commits as they happen to meet, so that single windows differ; a busy loop, a lost fast
# path or statements that are planned anew each time cost several times as much.
MOST_RATIO: Final = 1.5


async def job_cost(several: SeveralApis, windows: int = WINDOWS) -> float:
    """What a job costs the apis in the best of some windows, in yardsticks."""
    return min([await _window(several) for _ in range(windows)])


async def as_cheap_again(several: SeveralApis, before: float) -> None:
    """Return when a job costs about what it did; raises AssertionError where it never does."""
    seen: list[float] = []
    while len(seen) < MOST_WINDOWS:
        seen.append(await _window(several))
        if seen[-1] <= before * MOST_RATIO:
            return
    raise AssertionError(f"a job cost the apis {before:.4f} before, and now {seen}")


async def pushed_again(client: ApiClient) -> None:
    """Return when jobs go straight to workers: nothing waits for anybody's next look."""

    async def look() -> bool:
        answers = [await client.submit("note") for _ in range(10)]
        return all(answer["routed"] == "direct" for answer in answers)

    await until(look, "jobs to be pushed")


async def _window(several: SeveralApis) -> float:
    spent, own = several.cpu_seconds(), _yardstick()
    each = JOBS // len(several.ports)
    for port in several.ports:
        answers: Answers = await submit_all(
            port, bodies("note", [{}] * each), connections=CONNECTIONS
        )
        assert len(answers.accepted) == each, answers
    await several.all_ended()
    own = (own + _yardstick()) / 2
    return (several.cpu_seconds() - spent) / JOBS / own


def _yardstick(clock: Callable[[], float] = time.thread_time) -> float:
    """CPU seconds of a fixed piece of work."""
    begun = clock()
    sum(number * number % 7 for number in range(YARDSTICK))
    return clock() - begun
