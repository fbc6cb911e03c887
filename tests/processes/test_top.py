"""`hermesd top` in a real terminal, before a real deployment."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import trio

from hermesd.cli.top_known import BANDS, RATES
from hermesd.cli.top_summary import summaries
from processes.client import until
from processes.daemon import PATIENCE_SECONDS
from processes.deployment import QUICK, Deployment
from processes.terminal import Running, open_terminal

# A busy machine may hold a worker up for longer than QUICK forgives.
LIVELY = QUICK | {"HERMES_LIVENESS__TTL_SECONDS": "10"}


def top(deployment: Deployment, **size: int) -> AbstractAsyncContextManager[Running]:
    """The command in a terminal of its own."""
    env = {name: text for name, text in deployment.environ().items() if name != "COLUMNS"}
    return open_terminal(["--url", url(deployment), "top"], env, **size)


def url(deployment: Deployment) -> str:
    """Where the api is."""
    return f"http://127.0.0.1:{deployment.client.port}"


async def test_it_shows_the_fleet_and_orders_what_keys_say(deployment: Deployment) -> None:
    """Counts move as jobs come, a failure is opened, a worker drains, and q leaves no trace."""
    await deployment.api(**LIVELY)
    worker = await deployment.worker("w1", **LIVELY)
    await deployment.client.routable("w1")
    async with top(deployment) as running:
        terminal = running.terminal
        before = terminal.modes
        await terminal.shows("hermesd top", "api api-1", "w1", "idle", "default", "q quit")
        await deployment.client.submit("note")
        failing = (await deployment.client.submit("hopeless", {"for": 7}))["job"]["id"]
        await terminal.shows("succeeded 1", "failed 1", "permanent: no use")
        terminal.press("\x1b[Z\n")  # back to the failures, and in
        await terminal.shows(f"job       {failing}", 'payload   {"for":7}', "no use", "history")
        terminal.press("\x1b")
        await terminal.shows("FAILURES 1")
        terminal.press("\td")
        await terminal.shows("drain worker w1? y/n")
        terminal.press("n")
        await terminal.shows("nothing was done")
        assert worker.alive
        terminal.press("dy")
        assert await worker.wait() == 0
        await terminal.shows("WORKERS 0")
        terminal.press("q")
        assert await running.ended() == 0
        assert terminal.modes == before


async def test_it_orders_workers_queues_and_jobs_by_keys(deployment: Deployment) -> None:
    """Each is paused and goes on; what runs is cancelled, and what has failed is tried anew."""
    await deployment.both(**LIVELY)
    failed = (await deployment.client.submit("hopeless"))["job"]["id"]
    await deployment.client.ended(failed)
    runs = (await deployment.client.submit("note", {"seconds": 600}, timeout=900))["job"]["id"]
    async with top(deployment, columns=200, lines=50) as running:
        terminal = running.terminal
        await terminal.shows(runs, failed, "JOBS 1", "FAILURES 1")
        for pane, thing in (("", "worker both"), ("\t", "queue default")):
            terminal.press(f"{pane}py")
            await terminal.shows(f"pause {thing}: done", " paused ")
            terminal.press("ry")
            await terminal.shows(f"resume {thing}: done")
        terminal.press("\tc")
        await terminal.shows(f"cancel job {runs}? y/n")
        terminal.press("y")
        assert (await deployment.client.ended(runs))["state"] == "cancelled"
        terminal.press("\tR")
        await terminal.shows(f"retry job {failed}? y/n")
        terminal.press("y")

        async def again() -> bool:
            return bool((await deployment.client.job(failed))["run"] == 2)

        await until(again, "a second run")


async def test_it_outlives_an_api(deployment: Deployment) -> None:
    """It says since when nobody answers, and goes on with the api that comes back."""
    async with top(deployment) as running:
        terminal = running.terminal
        before = terminal.modes
        await terminal.shows("no answer since", "trying again")
        api = await deployment.api(**LIVELY)
        await terminal.shows("api api-1", "q quit")
        api.kill9()
        await api.wait()
        await terminal.shows("no answer since", "api api-1")
        terminal.resize(120, 30)
        running.process.send_signal(signal.SIGWINCH)
        await deployment.api(**LIVELY)

        async def whole() -> bool:
            return "no answer" not in terminal.screen

        await until(whole, "an answer")
        await suspended_and_continued(running, before)
        running.process.send_signal(signal.SIGINT)
        assert await running.ended() == 130
        assert terminal.modes == before


async def suspended_and_continued(running: Running, before: list[Any]) -> None:
    """Ctrl-Z gives the terminal back, and `fg` takes it again."""
    running.process.send_signal(signal.SIGTSTP)

    async def stopped() -> bool:
        told = Path(f"/proc/{running.process.pid}/stat").read_text()
        return told.rpartition(")")[2].split()[0] == "T"

    await until(stopped, "it to stop")
    assert running.terminal.modes == before
    running.process.send_signal(signal.SIGCONT)

    async def taken() -> bool:
        return running.terminal.modes != before

    await until(taken, "it to go on")


async def test_summaries_are_those_that_the_api_streams(deployment: Deployment) -> None:
    """An api that has none is told apart by its 404, so this must not be one."""
    await deployment.api(**LIVELY)
    await deployment.client.submit("note")
    async with summaries(url(deployment), PATIENCE_SECONDS) as stream:
        with trio.fail_after(PATIENCE_SECONDS):
            async for summary in stream:
                if summary.jobs.get("queued") == 1:
                    break
    assert (summary.api, summary.rung) == ("api-1", "store")
    assert summary.waiting.keys() >= {"total", "oldest_seconds", *BANDS}
    assert summary.rates.keys() >= set(RATES)


async def test_without_a_terminal_it_is_printed_once(deployment: Deployment) -> None:
    """As text, and as JSON."""
    await deployment.both(**LIVELY)
    await deployment.client.ended((await deployment.client.submit("hopeless"))["job"]["id"])

    async def printed(*arguments: str) -> str:
        argv = [sys.executable, "-m", "hermesd.cli", "--url", url(deployment), "top", *arguments]
        env = {**deployment.environ(), "COLUMNS": "100"}
        done = await trio.run_process(argv, env=env, stdin=subprocess.DEVNULL, capture_stdout=True)
        return done.stdout.decode()

    text = await printed()
    for part in ("WORKERS 1", "both", "QUEUES 1", "failed 1", "permanent: no use"):
        assert part in text
    assert "\x1b" not in text
    assert max(map(len, text.splitlines())) <= 100
    found: dict[str, Any] = json.loads(await printed("--json"))
    assert [each["worker_id"] for each in found["workers"]] == ["both"]
    assert [each["type"] for each in found["failures"]] == ["hopeless"]
    assert found["stats"]["jobs"]["failed"] == 1
