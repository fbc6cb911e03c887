"""What every story of the demo needs: daemons that start, are found and stop, and the command."""

from __future__ import annotations

import time
from typing import Final

from hermesd.client import Client
from tests.demo.command import Command, installed_command
from tests.demo.daemons import Daemon
from tests.demo.screen import Screen, must
from tests.demo.world import World

FLEET_SECONDS: Final = 30.0


class Stage:
    """Runs daemons in the world; those that were started are kept for their logs."""

    def __init__(self, screen: Screen, world: World):
        self.screen = screen
        self.world = world
        self.daemons: list[Daemon] = []

    def daemon(self, role: str, more: dict[str, str] | None = None) -> Daemon:
        """A daemon that is not started yet, with `more` in its environment."""
        environ = {**self.world.environ, **(more or {})}
        daemon = Daemon(role, [str(installed_command())], environ, self.world.folder)
        self.daemons.append(daemon)
        return daemon

    def serve(self, daemon: Daemon) -> dict[str, str]:
        """Wait until it serves; the environment by which the command finds its api."""
        self.screen.command(["hermesd", "serve", "--role", daemon.role, "&"])
        daemon.until_ready()
        places = {
            name: place
            for name, place in daemon.places.items()
            if name in ("api", "control", "dispatch")
        }
        told = ", ".join(f"{name} {place}" for name, place in places.items())
        self.screen.holds(f"it serves, process {daemon.pid}: {told}")
        return {"HERMES_URL": f"http://{places['api']}"} if "api" in places else {}

    def worker_shows(self, client: Client, command: Command) -> None:
        """Wait until the worker has registered and its dispatch address was proven."""
        deadline = time.monotonic() + FLEET_SECONDS
        while not any(each.breaker == "closed" for each in client.workers().workers):
            must(time.monotonic() < deadline, f"no worker came within {FLEET_SECONDS:.0f} s.")
            time.sleep(0.05)
        (worker,) = command.json("workers")["workers"]
        types = ", ".join(worker["types"])
        must(len(worker["types"]) == 3, f"the worker speaks {types}, not three types.")
        self.screen.holds(f"{worker['worker_id']} is {worker['status']} and speaks {types}")

    def stop(self, daemon: Daemon) -> None:
        """End it as systemd would."""
        self.screen.command(["kill", "-TERM", str(daemon.pid)])
        daemon.stop()
        self.screen.holds(f"the daemon (role {daemon.role}) has ended, exit code 0")

    def command(self, more: dict[str, str], screen: Screen | None = None) -> Command:
        """The command with `more` in its environment."""
        return Command(screen or self.screen, {**self.world.environ, **more}, self.world.folder)
