"""The demo's story: one daemon in both roles, then an api and a worker apart on its store."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Sequence
from typing import Any, Final

from hermesd.client import Client, ClientError
from tests.demo import acts
from tests.demo.command import Command, installed_command
from tests.demo.daemons import Daemon
from tests.demo.screen import DemoFailed, Screen, must
from tests.demo.world import CONFIG, World, open_world

FLEET_SECONDS: Final = 30.0


class Demo:
    """Plays the acts; the daemons that were started are kept for their logs."""

    def __init__(self, screen: Screen, world: World):
        self._screen = screen
        self._world = world
        self._told: list[acts.Told] = []
        self.daemons: list[Daemon] = []

    def play(self) -> None:
        """The whole story; raises DemoFailed or ClientError at the first thing that is amiss."""
        self._check_configuration()
        self._both_roles()
        self._roles_apart()
        self._screen.line(f"\nall {self._screen.held} steps held")

    def _check_configuration(self) -> None:
        self._screen.act(f"A configuration, {CONFIG} in a folder of its own")
        said = self._command({}).text("config", "check").strip()
        must(said == "ok", f"hermesd config check says {said!r}.")
        self._screen.holds("it is in order")

    def _both_roles(self) -> None:
        self._screen.act("One daemon in both roles")
        with self._daemon("both") as daemon:
            api = self._serve(daemon)
            command = self._command(api)
            with Client(api["HERMES_URL"]) as client:
                self._worker_shows(client, command)
                self._screen.act("A mail, over SMTP with STARTTLS and a password")
                self._told.append(acts.send_mail(self._screen, client, self._world.mailbox))
                self._screen.act("An image")
                self._told.append(acts.resize_image(self._screen, command, self._world.images))
                self._screen.act("A webhook whose receiver is overloaded")
                receiver = self._world.receiver
                self._told.append(acts.call_webhook(self._screen, command, client, receiver))
            self._screen.act("The daemon is told to stop")
            self._stop(daemon)

    def _roles_apart(self) -> None:
        self._screen.act("An api alone, on the same store")
        with self._daemon("api") as api_daemon:
            api = self._serve(api_daemon)
            command = self._command(api)
            fleet = command.json("workers")
            must(fleet["count"] == 0, f"there are {fleet['count']} workers, and none was started.")
            self._screen.holds("no worker is there")
            late = acts.submit_without_worker(self._screen, command)
            self._told.append(late)
            self._screen.act("A worker joins")
            link = {"HERMES_CONTROL__ENDPOINTS": f'["{api_daemon.places["control"]}"]'}
            with self._daemon("worker", link) as worker, Client(api["HERMES_URL"]) as client:
                self._serve(worker)
                acts.late_mail_runs(self._screen, client, self._world.mailbox, late)
                self._worker_shows(client, command)
                self._results(client, command)
                self._screen.act("Both are told to stop")
                self._stop(worker)
                self._stop(api_daemon)

    def _results(self, client: Client, command: Command) -> None:
        """The final table, from what the api says now."""
        self._screen.act("What the store has recorded")
        shown = command.json("jobs", "show", self._told[-1].job_id)["job"]
        must(shown["state"] == "succeeded", f"hermesd jobs show says {shown['state']}.")
        jobs = {job.id: job for job in client.iter_jobs()}
        expected = {told.job_id for told in self._told}
        must(jobs.keys() == expected, f"the store has the jobs {sorted(jobs)}.")
        rows: list[Sequence[str]] = [("id", "type", "routed", "state", "attempts", "result")]
        for told in self._told:
            job = jobs[told.job_id]
            tries = f"{job.attempts} of {job.max_attempts}"
            result = acts.result_text(job)
            rows.append((job.id, job.type, told.routed, job.state, tries, result))
        self._screen.table(rows)
        succeeded = client.stats().jobs.get("succeeded")
        must(succeeded == len(rows) - 1, f"the api counts {succeeded} jobs that succeeded.")
        self._screen.holds(
            f"{len(rows) - 1} jobs, each with one recorded outcome, across a restart"
        )

    def _daemon(self, role: str, more: dict[str, str] | None = None) -> Daemon:
        environ = {**self._world.environ, **(more or {})}
        daemon = Daemon(role, [str(installed_command())], environ, self._world.folder)
        self.daemons.append(daemon)
        return daemon

    def _serve(self, daemon: Daemon) -> dict[str, str]:
        """Wait until it serves; the environment by which the command finds its api."""
        self._screen.command(["hermesd", "serve", "--role", daemon.role, "&"])
        daemon.until_ready()
        places = {
            name: place
            for name, place in daemon.places.items()
            if name in ("api", "control", "dispatch")
        }
        told = ", ".join(f"{name} {place}" for name, place in places.items())
        self._screen.holds(f"it serves, process {daemon.pid}: {told}")
        return {"HERMES_URL": f"http://{places['api']}"} if "api" in places else {}

    def _worker_shows(self, client: Client, command: Command) -> None:
        """Wait until the worker has registered and its dispatch address was proven."""
        deadline = time.monotonic() + FLEET_SECONDS
        while not any(each.breaker == "closed" for each in client.workers().workers):
            must(time.monotonic() < deadline, f"no worker came within {FLEET_SECONDS:.0f} s.")
            time.sleep(0.05)
        (worker,) = command.json("workers")["workers"]
        types = ", ".join(worker["types"])
        must(len(worker["types"]) == 3, f"the worker speaks {types}, not three types.")
        self._screen.holds(f"{worker['worker_id']} is {worker['status']} and speaks {types}")

    def _stop(self, daemon: Daemon) -> None:
        self._screen.command(["kill", "-TERM", str(daemon.pid)])
        daemon.stop()
        self._screen.holds(f"the daemon (role {daemon.role}) has ended, exit code 0")

    def _command(self, more: dict[str, str]) -> Command:
        return Command(self._screen, {**self._world.environ, **more}, self._world.folder)


def main() -> int:
    """0 where everything held; else 1, what does not, and the ends of the daemons' logs."""
    signal.signal(signal.SIGTERM, _interrupt)
    screen = Screen()
    daemons: list[Daemon] = []
    try:
        with open_world() as world:
            demo = Demo(screen, world)
            daemons = demo.daemons
            demo.play()
    except (DemoFailed, ClientError) as failure:
        _show_logs(screen, daemons)
        screen.line(f"\nThe demo failed after {screen.held} steps: {failure}")
        return 1
    except Exception:
        _show_logs(screen, daemons)
        screen.line(f"\nThe demo failed after {screen.held} steps, by a defect:\n")
        raise
    except KeyboardInterrupt:
        screen.line("\ninterrupted")
        return 130
    return 0


def _show_logs(screen: Screen, daemons: Sequence[Daemon]) -> None:
    for daemon in daemons:
        screen.line(f"\nThe end of the log of the daemon in role {daemon.role}:")
        for line in daemon.log_tail():
            screen.line(f"  {line}")


def _interrupt(*_: Any) -> None:
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
