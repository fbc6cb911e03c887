"""The demo's story: one daemon in both roles, then an api and a worker apart on its store."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

from hermesd.client import Client, ClientError
from tests.demo import acts
from tests.demo.amqp import AmqpDemo, open_rabbitmq
from tests.demo.command import Command
from tests.demo.daemons import Daemon
from tests.demo.screen import DemoFailed, Screen, must
from tests.demo.stage import Stage
from tests.demo.world import CONFIG, World, open_world


class Demo(Stage):
    """Plays the acts on the store alone."""

    def __init__(self, screen: Screen, world: World):
        super().__init__(screen, world)
        self._told: list[acts.Told] = []

    def play(self) -> None:
        """The whole story; raises DemoFailed or ClientError at the first thing that is amiss."""
        self._check_configuration()
        self._both_roles()
        self._roles_apart()
        self.screen.line(f"\nall {self.screen.held} steps held")

    def _check_configuration(self) -> None:
        self.screen.act(f"A configuration, {CONFIG} in a folder of its own")
        said = self.command({}).text("config", "check").strip()
        must(said == "ok", f"hermesd config check says {said!r}.")
        self.screen.holds("it is in order")

    def _both_roles(self) -> None:
        self.screen.act("One daemon in both roles")
        with self.daemon("both") as daemon:
            api = self.serve(daemon)
            command = self.command(api)
            with Client(api["HERMES_URL"]) as client:
                self.worker_shows(client, command)
                self.screen.act("A mail, over SMTP with STARTTLS and a password")
                self._told.append(acts.send_mail(self.screen, client, self.world.mailbox))
                self.screen.act("An image")
                self._told.append(acts.resize_image(self.screen, command, self.world.images))
                self.screen.act("A webhook whose receiver is overloaded")
                receiver = self.world.receiver
                self._told.append(acts.call_webhook(self.screen, command, client, receiver))
            self.screen.act("The daemon is told to stop")
            self.stop(daemon)

    def _roles_apart(self) -> None:
        self.screen.act("An api alone, on the same store")
        with self.daemon("api") as api_daemon:
            api = self.serve(api_daemon)
            command = self.command(api)
            fleet = command.json("workers")
            must(fleet["count"] == 0, f"there are {fleet['count']} workers, and none was started.")
            self.screen.holds("no worker is there")
            late = acts.submit_without_worker(self.screen, command)
            self._told.append(late)
            self.screen.act("A worker joins")
            link = {"HERMES_CONTROL__ENDPOINTS": f'["{api_daemon.places["control"]}"]'}
            with self.daemon("worker", link) as worker, Client(api["HERMES_URL"]) as client:
                self.serve(worker)
                acts.late_mail_runs(self.screen, client, self.world.mailbox, late)
                self.worker_shows(client, command)
                self._results(client, command)
                self.screen.act("Both are told to stop")
                self.stop(worker)
                self.stop(api_daemon)

    def _results(self, client: Client, command: Command) -> None:
        """The final table, from what the api says now."""
        self.screen.act("What the store has recorded")
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
        self.screen.table(rows)
        succeeded = client.stats().jobs.get("succeeded")
        must(succeeded == len(rows) - 1, f"the api counts {succeeded} jobs that succeeded.")
        self.screen.holds(f"{len(rows) - 1} jobs, each with one recorded outcome, across a restart")


def main() -> int:
    """0 where everything held; else 1, what does not, and the ends of the daemons' logs."""
    parser = argparse.ArgumentParser(prog="python -m tests.demo", description=__doc__)
    parser.add_argument("--amqp", action="store_true", help="jobs that wait in a RabbitMQ")
    with_amqp = parser.parse_args().amqp
    signal.signal(signal.SIGTERM, _interrupt)
    screen = Screen()
    daemons: list[Daemon] = []
    try:
        with ExitStack() as stack:
            world = stack.enter_context(open_world())
            demo: Demo | AmqpDemo = Demo(screen, world)
            if with_amqp:
                demo = AmqpDemo(screen, world, stack.enter_context(open_rabbitmq(screen)))
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
