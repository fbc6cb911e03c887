"""One deployment: a store, an api, workers, and where to reach them."""

from __future__ import annotations

import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import trio

from processes.client import ApiClient
from processes.daemon import DaemonProcess
from processes.history import History
from processes.ports import free_port

QUICK = {"HERMES_LIVENESS__HEARTBEAT_SECONDS": "0.5", "HERMES_LIVENESS__TTL_SECONDS": "2"}


class Deployment:
    """Starts daemons over one store; an api comes back at the same ports."""

    def __init__(self, folder: Path, nursery: trio.Nursery, client: ApiClient) -> None:
        self.folder = folder
        self.client = client
        self.store = folder / "hermes.db"
        self.record_file = folder / "records"
        self.control_port = free_port()
        self.settings: dict[str, str] = {}
        self.prefix: tuple[str, ...] = ()  # a command that later daemons are started through
        self.daemons: list[DaemonProcess] = []
        self._nursery = nursery

    @property
    def history(self) -> History:
        """The store and the records, as they are when asked."""
        return History(self.store, self.record_file)

    async def api(self, **settings: str) -> DaemonProcess:
        """Start the api role; returns when it serves."""
        return await self._ready("api", "api", settings)

    async def worker(self, name: str, **settings: str) -> DaemonProcess:
        """Start a worker; returns when its dispatch port serves."""
        return await self._ready(name, "worker", settings)

    async def both(self, **settings: str) -> DaemonProcess:
        """Start a daemon in both roles; returns when it serves."""
        return await self._ready("both", "both", settings)

    async def start(self, name: str, role: str, **settings: str) -> DaemonProcess:
        """Start a daemon without waiting for it."""
        return await self.start_on((), name, role, **settings)

    async def start_on(
        self, sockets: Sequence[tuple[str, socket.socket]], name: str, role: str, **settings: str
    ) -> DaemonProcess:
        """Start a daemon that is passed these sockets, as systemd does it."""
        env = {**self._environ(name), **self.settings, **settings}
        daemon = await DaemonProcess.start(self._nursery, name, [role], env, sockets, self.prefix)
        self.daemons.append(daemon)
        return daemon

    def let_go(self) -> None:
        """Let the jobs end that were submitted with `waits` in their payload, now and later."""
        self.record_file.with_name(f"{self.record_file.name}.go").touch()

    def environ(self) -> dict[str, str]:
        """The environment of this process without settings of whoever runs the tests."""
        return {name: value for name, value in os.environ.items() if "HERMES_" not in name}

    async def _ready(self, name: str, role: str, settings: dict[str, str]) -> DaemonProcess:
        daemon = await self.start(name, role, **settings)
        await daemon.ready()
        return daemon

    def _environ(self, name: str) -> dict[str, str]:
        own = {
            "RECORD_FILE": str(self.record_file),
            "HERMES_LOG__FORMAT": "json",
            "HERMES_STORE__URL": f"sqlite:///{self.store}",
            "HERMES_API__NAME": "api-1",
            "HERMES_API__PORT": str(self.client.port),
            "HERMES_CONTROL__PORT": str(self.control_port),
            "HERMES_CONTROL__ENDPOINTS": json.dumps([f"127.0.0.1:{self.control_port}"]),
            "HERMES_WORKER__PORT": "0",
            "HERMES_WORKER__ID": name,
        }
        return self.environ() | own


@asynccontextmanager
async def open_deployment(folder: Path) -> AsyncIterator[Deployment]:
    """A deployment whose processes are all killed in the end; then their logs are printed."""
    async with trio.open_nursery() as nursery, ApiClient.open(free_port()) as client:
        opened = Deployment(folder, nursery, client)
        try:
            yield opened
        finally:
            with trio.CancelScope(shield=True):
                for daemon in opened.daemons:
                    if daemon.alive:
                        daemon.kill9()
                    await daemon.wait()
            for daemon in opened.daemons:
                sys.stdout.write(daemon.told() + "\n")
            nursery.cancel_scope.cancel()
