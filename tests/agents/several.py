"""Several apis over one store, and a worker with a way to each."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import AbstractAsyncContextManager, asynccontextmanager

import trio

from agents.world import Api, open_api
from hermesd.core.errors import Unavailable
from hermesd.testing.links import DirectLink
from hermesd.testing.memory import MemoryStore


class Roads:
    """Links by address; one that leads nowhere raises Unavailable on every call."""

    def __init__(self, links: dict[str, DirectLink]) -> None:
        self.links = links
        self.opened: list[str] = []

    def open(self, endpoint: str) -> AbstractAsyncContextManager[DirectLink]:
        """What a worker opens its links with."""
        self.opened.append(endpoint)
        if endpoint not in self.links:
            raise Unavailable(f"nothing at {endpoint}")
        return self.links[endpoint].open(endpoint)

    def hang_up(self) -> None:
        """Cut every line."""
        for link in self.links.values():
            link.hang_up()


def road_to(api: Api, address: str) -> DirectLink:
    """A line to the api, whose agents run."""
    return DirectLink(api.agents.control, address)


class Apis:
    """The apis of a test over one store, each in a life of its own that a test can end."""

    def __init__(self, nursery: trio.Nursery) -> None:
        self._nursery = nursery
        self._store: MemoryStore | None = None

    async def start(self, name: str, boot: str = "1", *, running: bool = True) -> Api:
        """An api, whose agents run unless a test drives them; its boot is `name-boot`."""
        api: Api = await self._nursery.start(self._live, name, f"{name}-{boot}", running)
        return api

    async def _live(
        self,
        name: str,
        boot: str,
        running: bool,
        task_status: trio.TaskStatus[Api] = trio.TASK_STATUS_IGNORED,
    ) -> None:
        async with open_api(store=self._store, name=name, boot=boot) as api:
            self._store = api.store
            if running:
                api.start()
            task_status.started(api)
            await trio.sleep_forever()


def kill(api: Api) -> None:
    """End it as SIGKILL would: its agents do nothing more."""
    api.nursery.cancel_scope.cancel()


@asynccontextmanager
async def open_apis() -> AsyncIterator[Apis]:
    """Apis over one store; none is started."""
    async with trio.open_nursery() as nursery:
        yield Apis(nursery)
        nursery.cancel_scope.cancel()
