"""What a test asks of an api over HTTP; waits are polls with a bounded back-off, never sleeps."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

import httpx
import trio
from prometheus_client.parser import text_string_to_metric_families

from processes.daemon import PATIENCE_SECONDS

LIVE = ("scheduled", "queued", "running")
POLL_MIN_SECONDS = 0.02
POLL_MAX_SECONDS = 0.5

Json = dict[str, Any]
FoundT = TypeVar("FoundT")


class ApiClient:
    """A client of the api at one port of this machine, whatever process serves it."""

    def __init__(self, port: int, http: httpx.AsyncClient) -> None:
        self.port = port
        self.http = http

    @classmethod
    @asynccontextmanager
    async def open(cls, port: int) -> AsyncIterator[ApiClient]:
        """A client without connections yet."""
        base = f"http://127.0.0.1:{port}"
        async with httpx.AsyncClient(base_url=base, timeout=PATIENCE_SECONDS + 10) as http:
            yield cls(port, http)

    async def submit(self, job_type: str, payload: Any = None, **members: Any) -> Json:
        """The answer to a submit that must be accepted."""
        body = {"type": job_type, "payload": {} if payload is None else payload, **members}
        answer = await self.http.post("/jobs", json=body)
        assert answer.status_code in (200, 202), answer.text
        found: Json = answer.json()
        return found

    async def submit_many(self, job_type: str, payload: Any, count: int) -> list[str]:
        """The ids of `count` jobs of one batch that must be accepted."""
        items = [{"type": job_type, "payload": payload}] * count
        answer = await self.http.post("/jobs/batch", json={"jobs": items})
        assert answer.status_code == 202, answer.text
        return [job["id"] for job in answer.json()["jobs"]]

    async def job(self, job_id: str, wait: float = 0) -> Json:
        """A job, when its run has ended or after `wait` seconds."""
        answer = await self.http.get(f"/jobs/{job_id}", params={"wait": wait})
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()["job"]
        return found

    async def ended(self, job_id: str) -> Json:
        """A job when its run has ended."""
        job = await self.job(job_id, wait=60)
        assert job["state"] not in LIVE, job
        return job

    async def stats(self) -> Json:
        """GET /stats."""
        answer = await self.http.get("/stats")
        assert answer.status_code == 200, answer.text
        found: Json = answer.json()
        return found

    async def workers(self) -> list[Json]:
        """The workers that the api knows."""
        answer = await self.http.get("/workers")
        assert answer.status_code == 200, answer.text
        found: list[Json] = answer.json()["workers"]
        return found

    async def routable(self, *names: str) -> None:
        """Return when just these workers, or these among others, can be sent jobs."""

        async def look() -> bool:
            found = {w["worker_id"] for w in await self.workers() if w["status"] in _ROUTABLE}
            return found.issuperset(names)

        await until(look, f"routable workers {names}")

    async def running(self, count: int) -> None:
        """Return when at least so many jobs run."""

        async def look() -> bool:
            jobs = (await self.stats())["jobs"]
            return bool(jobs.get("running", 0) >= count)

        await until(look, f"{count} running jobs")

    async def all_ended(self, seconds: float = PATIENCE_SECONDS) -> None:
        """Return when no job waits or runs."""
        last: Json = {}

        async def look() -> bool:
            last.update(await self.stats())
            return not any(last["jobs"].get(state, 0) for state in LIVE)

        try:
            await until(look, "all jobs to end", seconds)
        except AssertionError as error:
            raise AssertionError(f"{error}: {last}") from error

    async def metric(self, name: str, **labels: str) -> float:
        """The sum of a metric's samples that carry these labels."""
        answer = await self.http.get("/metrics")
        assert answer.status_code == 200, answer.text
        return sum(
            sample.value
            for family in text_string_to_metric_families(answer.text)
            for sample in family.samples
            if sample.name == name and labels.items() <= sample.labels.items()
        )


_ROUTABLE = ("idle", "busy")


async def until(
    look: Callable[[], Awaitable[FoundT]], what: str, seconds: float = PATIENCE_SECONDS
) -> FoundT:
    """What `look` finds as soon as that is true; an api that does not answer is asked again."""
    pause = POLL_MIN_SECONDS
    with trio.move_on_after(seconds):
        while True:
            try:
                if found := await look():
                    return found
            except httpx.TransportError:
                pass
            await trio.sleep(pause)
            pause = min(pause * 1.5, POLL_MAX_SECONDS)
    raise AssertionError(f"waited {seconds:g} s in vain for {what}")
