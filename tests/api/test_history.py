"""GET /stats/history, and what /types tells of the last minutes."""

from __future__ import annotations

from typing import Any

import pytest
import trio

from hermesd.core.states import Move

PERCENTILES = ("wait_p50", "wait_p95", "wait_p99", "run_p50", "run_p95", "run_p99")


async def test_the_history_is_columns_of_one_length(world: Any, autojump_clock: Any) -> None:
    """With null where nothing is known, and a rate to be told from each count."""
    async with trio.open_nursery() as nursery:
        nursery.start_soon(world.agents.lookout.history.run)
        await trio.sleep(5.5)
        await world.submit(priority=9)
        await world.submit()
        world.services.metrics.flow.started("any", {0.25: 1})
        world.services.metrics.flow.ended("any", Move.SUCCEED, 2.0)
        world.agents.lookout.history.lagged(0.125)
        world.agents.lookout.history.lagged(0.025)
        await trio.sleep(5.5)
        nursery.cancel_scope.cancel()
    told = (await world.client.get("/stats/history?window=300")).json()
    times, series = told["times"], told["series"]
    assert (told["api"], told["window_seconds"], told["step_seconds"]) == ("api-1", 300, 5)
    assert times == list(range(times[0], times[0] + 300, 5))
    assert {len(column) for column in series.values()} == {60}
    steps = [place for place, seconds in enumerate(series["seconds"]) if seconds is not None]
    busy = next(place for place in steps if series["submitted"][place])
    at = {name: column[busy] for name, column in series.items()}
    assert (at["submitted"], at["started"], at["succeeded"], at["failed"]) == (2, 1, 1, 0)
    assert (at["waiting"], at["waiting_high"], at["waiting_normal"]) == (2, 1, 1)
    assert (at["waiting_critical"], at["waiting_background"]) == (0, 0)
    assert at["wait_p50"] == at["wait_p99"] == pytest.approx(0.25, rel=0.03)
    assert at["run_p95"] == pytest.approx(2.0, rel=0.03)
    assert (at["rung"], at["lag_seconds"], at["workers"]) == ("store", 0.125, 0)
    assert (at["slots"], at["free"], at["running"], at["scheduled"]) == (0, 0, 0, 0)
    unknown = {name: column[0] for name, column in series.items()}
    assert set(unknown.values()) == {None}
    quiet = next(place for place in steps if not series["submitted"][place])
    assert {series[name][quiet] for name in PERCENTILES} == {None}


@pytest.mark.parametrize(
    ("query", "step", "steps"), [("", 60, 60), ("?window=60", 5, 12), ("?window=86400", 300, 288)]
)
async def test_the_steps_are_by_the_window(world: Any, query: str, step: int, steps: int) -> None:
    """An hour unless it is said otherwise."""
    told = (await world.client.get(f"/stats/history{query}")).json()
    assert (told["step_seconds"], len(told["times"])) == (step, steps)


@pytest.mark.parametrize("window", ["59", "86401", "x", "-1", "1.5"])
async def test_a_window_out_of_range_is_refused(world: Any, window: str) -> None:
    """422 that names the parameter."""
    answer = await world.client.get(f"/stats/history?window={window}")
    assert answer.status_code == 422
    assert "'window'" in answer.json()["detail"]


async def test_types_tell_how_their_jobs_fare(world: Any) -> None:
    """How many wait, and what came of the last ones; null for a type without any."""
    await world.submit()
    job = await world.submit()
    await world.client.delete(f"/jobs/{job['id']}")
    told = (await world.client.get("/types")).json()
    found = {each["name"]: each for each in told["types"]}
    assert found["email.send"]["recent"] is None
    assert (found["any"]["waiting"], found["email.send"]["waiting"]) == (1, 0)
    recent = found["any"]["recent"]
    assert (recent["submitted"], recent["cancelled"], recent["failed"]) == (2, 1, 0)
    assert (recent["wait"], recent["run"]) == (None, None)
    assert 0 <= told["window_seconds"] < 300
