"""Several apis on one PostgreSQL, and workers that register with each of them."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import psycopg

from processes.client import ApiClient, until
from processes.daemon import DaemonProcess
from processes.deployment import Deployment, open_deployment
from processes.history import TERMINAL, History, Row
from processes.ports import free_port


class Place(NamedTuple):
    """Where one api is: it comes back there."""

    name: str
    client: ApiClient
    control_port: int


class SeenFrom(NamedTuple):
    """The deployment as one of its apis shows it; see rungs.Seen."""

    client: ApiClient
    history: History


class PostgresHistory(History):
    """The same, of a store in PostgreSQL."""

    def __init__(self, url: str, record_file: Path) -> None:
        super().__init__(Path("/nonexistent"), record_file)
        self._url = url

    def jobs(self) -> dict[str, Row]:
        """All jobs by id."""
        with psycopg.connect(self._url) as connection:
            rows = connection.execute(
                "SELECT id, state, lease, owner, attempts, crash_count, type FROM jobs"
            )
            return {job_id: Row(*rest) for job_id, *rest in rows}

    def live(self) -> int:
        """How many jobs have not ended."""
        with psycopg.connect(self._url) as connection:
            (found,) = connection.execute(
                "SELECT count(*) FROM jobs WHERE NOT state = ANY(%s)", (list(TERMINAL),)
            ).fetchone() or (0,)
            return int(found)


class SeveralApis:
    """Two apis by default, `api-1` and `api-2`; nothing is started."""

    def __init__(self, deployment: Deployment, url: str, places: list[Place]) -> None:
        self.url = url
        self._deployment = deployment
        self._places = {place.name: place for place in places}
        endpoints = [f"127.0.0.1:{place.control_port}" for place in places]
        deployment.settings |= {
            "HERMES_STORE__URL": url,
            "HERMES_CONTROL__ENDPOINTS": json.dumps(endpoints),
        }

    @property
    def history(self) -> PostgresHistory:
        """The store and the records, as they are when asked."""
        return PostgresHistory(self.url, self._deployment.record_file)

    @property
    def record_file(self) -> Path:
        """Where handlers write down that they were called."""
        return self._deployment.record_file

    def let_go(self) -> None:
        """See Deployment.let_go."""
        self._deployment.let_go()

    @property
    def ports(self) -> list[int]:
        """Where the apis listen for clients."""
        return [place.client.port for place in self._places.values()]

    def cpu_seconds(self) -> float:
        """The time of a processor that the apis that run have used so far."""
        daemons = self._deployment.daemons
        return sum(each.cpu_seconds for each in daemons if each.name in self._places)

    def client(self, name: str) -> ApiClient:
        """A client of one of the apis."""
        return self._places[name].client

    def seen_from(self, name: str) -> SeenFrom:
        """What this api shows, beside the store and the records."""
        return SeenFrom(self.client(name), self.history)

    def control_port(self, name: str) -> int:
        """Where workers reach it."""
        return self._places[name].control_port

    async def api(self, name: str, **settings: str) -> DaemonProcess:
        """Start one of them at its place; returns when it serves."""
        daemon = await self.start(name, **settings)
        await daemon.ready()
        return daemon

    async def start(self, name: str, **settings: str) -> DaemonProcess:
        """Start one of them without waiting for it."""
        place = self._places[name]
        own = {
            "HERMES_API__NAME": name,
            "HERMES_API__PORT": str(place.client.port),
            "HERMES_CONTROL__PORT": str(place.control_port),
        }
        return await self._deployment.start(name, "api", **(own | settings))

    async def worker(self, name: str, **settings: str) -> DaemonProcess:
        """Start a worker; returns when its dispatch port serves."""
        return await self._deployment.worker(name, **settings)

    async def start_worker(self, name: str, **settings: str) -> DaemonProcess:
        """Start a worker without waiting for it."""
        return await self._deployment.start(name, "worker", **settings)

    async def routable(self, *workers: str) -> None:
        """Return when each api that runs can send jobs to each of these workers."""
        for place in self._places.values():
            await place.client.routable(*workers)

    async def all_ended(self) -> None:
        """Return when no job waits or runs; by the store, since an api's counts may lag behind."""

        async def look() -> bool:
            return self.history.live() == 0

        await until(look, "all jobs to end")

    def start_through(self, prefix: tuple[str, ...]) -> None:
        """A command that all is started through from here on; see DaemonProcess.start."""
        self._deployment.prefix = prefix

    def settings(self, **settings: str) -> None:
        """For all that is started from here on."""
        self._deployment.settings |= settings


@asynccontextmanager
async def open_several(
    folder: Path, url: str, names: tuple[str, ...] = ("api-1", "api-2")
) -> AsyncIterator[SeveralApis]:
    """Apis over the database at `url`; their processes are all killed in the end."""
    async with open_deployment(folder) as deployment, AsyncExitStack() as stack:
        places = [
            Place(name, await stack.enter_async_context(ApiClient.open(free_port())), free_port())
            for name in names
        ]
        yield SeveralApis(deployment, url, places)
