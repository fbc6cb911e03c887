"""What a test asks about the rungs of the ladder: which serves, who owns what, how fast it goes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any, Protocol

import trio

from processes.client import ApiClient, until
from processes.daemon import PATIENCE_SECONDS
from processes.history import History

SERVING = "hermesd_queue_rung_serving"
WINDOW_SECONDS = 2.0
FLUCTUATION = 0.4  # what a busy machine makes of a rate; without its broker an api keeps a third


class Seen(Protocol):
    """What is asked: an api, and the store and the records beside it."""

    @property
    def client(self) -> ApiClient:
        """Of the api."""

    @property
    def history(self) -> History:
        """As it is when asked."""


async def ready(deployment: Seen) -> dict[str, Any]:
    """What /ready says of the queue; the api is ready whatever its broker does."""
    answer = await deployment.client.http.get("/ready")
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["checks"]["queue"]
    return found


async def serves(deployment: Seen, rung: str, seconds: float = PATIENCE_SECONDS) -> str:
    """Return the reason when /ready and the metric name this rung as the serving one."""
    last: dict[str, Any] = {}

    async def look() -> bool:
        last.update(await ready(deployment))
        metric = await deployment.client.metric(SERVING, rung="amqp")
        return last["rung"] == rung and metric == (rung == "amqp")

    try:
        await until(look, f"the rung {rung} to serve", seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}: {last}") from error
    return str(last["reason"])


def owners(deployment: Seen, ids: Iterable[str]) -> Counter[str]:
    """Who owns these jobs, by the store."""
    jobs = deployment.history.jobs()
    return Counter(jobs[each].owner for each in ids if each in jobs)


async def owned(deployment: Seen, ids: Iterable[str], owner: str = "amqp") -> None:
    """Return when all of these are owned like this."""
    wanted = list(ids)
    seen: Counter[str] = Counter()

    async def look() -> bool:
        seen.clear()
        seen.update(owners(deployment, wanted))
        return seen[owner] == len(wanted)

    try:
        await until(look, f"{len(wanted)} jobs to be owned by {owner}")
    except AssertionError as error:
        raise AssertionError(f"{error}: {seen}") from error


async def started(deployment: Seen, count: int, seconds: float = PATIENCE_SECONDS) -> None:
    """Return when handlers were called so often."""

    async def look() -> bool:
        return len(deployment.history.starts()) >= count

    try:
        await until(look, f"{count} calls of handlers", seconds)
    except AssertionError as error:
        raise AssertionError(f"{error}: {len(deployment.history.starts())}") from error


async def rate(deployment: Seen) -> float:
    """Calls of handlers a second, over a window from now on."""
    begun, before = trio.current_time(), len(deployment.history.starts())
    await trio.sleep(WINDOW_SECONDS)
    return (len(deployment.history.starts()) - before) / (trio.current_time() - begun)


async def fast_again(deployment: Seen, before: float, within: float = 5.0) -> None:
    """Return when the rate is as before, but for FLUCTUATION, in a window that begins `within`."""
    until_time, seen = trio.current_time() + within, []
    while trio.current_time() < until_time:
        seen.append(await rate(deployment))
        if seen[-1] >= before * (1 - FLUCTUATION):
            return
    raise AssertionError(f"{before:.0f} starts/s before the fault, now {seen}")


async def came_through(
    deployment: Seen, ids: list[str], *, api_boots: int = 1, unclaimed: bool = False
) -> None:
    """All of these end well, each run with one recorded outcome, and no invariant was broken.

    `unclaimed`: see History.check.
    """
    await deployment.client.all_ended(PATIENCE_SECONDS * 3)
    jobs = deployment.history.check(ids, unclaimed=unclaimed)
    assert Counter(row.state for row in jobs.values()) == {"succeeded": len(ids)}
    assert await deployment.client.metric("hermesd_invariant_breaches_total") == 0
    counted = (await deployment.client.stats())["jobs"]
    assert {state: count for state, count in counted.items() if count} == {"succeeded": len(ids)}
    if api_boots == 1:
        settled = await deployment.client.metric("hermesd_jobs_settled_total", outcome="succeed")
        assert settled == len(ids)
