"""A deployment that lives in a thread of its own, for tests that drive a browser in theirs."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Event, Thread
from typing import Any, Final, TypeVar

import trio
from playwright.sync_api import Page
from processes.client import ApiClient
from processes.daemon import PATIENCE_SECONDS, DaemonProcess
from processes.deployment import QUICK, Deployment, open_deployment

FoundT = TypeVar("FoundT")
Open = Callable[..., Page]
# A worker that a busy machine holds up for a while is not to be missed.
_SETTINGS: Final = QUICK | {
    "HERMES_LIVENESS__TTL_SECONDS": "5",
    "HERMES_QUEUES__NIGHTLY__MAX_WAITING": "0",
    "PATIENT_NOTES": str(PATIENCE_SECONDS),
}


class Stage:
    """One api and the worker `ann`; everything is called from the thread of the test."""

    def __init__(self, deployment: Deployment, token: trio.lowlevel.TrioToken) -> None:
        self.deployment = deployment
        self._token = token
        self.api: DaemonProcess = self.run(deployment.api)
        self.worker: DaemonProcess = self.run(deployment.worker, "ann")
        self.run(self.client.routable, "ann")

    @property
    def client(self) -> ApiClient:
        """What asks the api, by `run`."""
        return self.deployment.client

    @property
    def url(self) -> str:
        """Where the dashboard is."""
        return f"http://127.0.0.1:{self.client.port}/"

    def run(self, function: Callable[..., Awaitable[FoundT]], *args: Any, **named: Any) -> FoundT:
        """What an async function of the deployment gives."""
        call = partial(function, *args, **named)
        return trio.from_thread.run(call, trio_token=self._token)

    def submit(self, job_type: str, payload: Any = None, **members: Any) -> str:
        """The id of a job that was accepted."""
        answer = self.run(self.client.submit, job_type, payload, **members)
        job_id: str = answer["job"]["id"]
        return job_id

    def ended(self, job_type: str, payload: Any = None, **members: Any) -> dict[str, Any]:
        """A job that was submitted and has ended."""
        return self.run(self.client.ended, self.submit(job_type, payload, **members))

    def let_go(self) -> None:
        """Let the jobs end that were submitted to wait."""
        self.deployment.let_go()

    def wait(self, seconds: float) -> None:
        """Let time pass, which only a picture of a load over time needs."""
        self.run(trio.sleep, seconds)

    def restart_api(self, while_away: Callable[[], None]) -> None:
        """Kill the api, and start it again at the same address when `while_away` returns."""
        self.api.kill9()
        self.run(self.api.wait)
        while_away()
        self.api = self.run(self.deployment.api)
        self.run(self.client.routable, "ann")

    def post(self, path: str, body: Any = None) -> dict[str, Any]:
        """The answer to a POST that must succeed."""
        answer = self.run(self.client.http.post, path, json=body)
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found


@contextmanager
def open_stage(folder: Path) -> Iterator[Stage]:
    """A stage whose daemons end with it."""
    begun, opened, over = Event(), list[tuple[Deployment, trio.lowlevel.TrioToken]](), trio.Event()

    async def live() -> None:
        async with open_deployment(folder) as deployment:
            deployment.settings = dict(_SETTINGS)
            opened.append((deployment, trio.lowlevel.current_trio_token()))
            begun.set()
            await over.wait()

    thread = Thread(target=trio.run, args=(live,))
    thread.start()
    try:
        assert begun.wait(PATIENCE_SECONDS)
        yield Stage(*opened[0])
    finally:
        opened[0][1].run_sync_soon(over.set)
        thread.join(PATIENCE_SECONDS)
