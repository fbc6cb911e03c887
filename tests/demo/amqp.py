"""The demo's story with a broker: jobs wait in RabbitMQ while no worker runs."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import aiormq
import msgspec

from hermesd.client import Client, JobView
from hermesd.core.amqp_names import Band, NamePatterns, Names, band_of
from hermesd.core.amqp_url import AmqpUrl
from hermesd.core.states import State
from hermesd.queues.topology import topology_of
from tests.demo.acts import WAIT_SECONDS, result_text
from tests.demo.command import Command
from tests.demo.screen import DemoFailed, Screen, must
from tests.demo.stage import Stage
from tests.demo.world import World

URL_KEY: Final = "HERMES_QUEUE__URL"
PRIORITIES: Final = ("background", "normal", "high", "critical")
EACH: Final = 3
PIXEL: Final = "R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw=="


class Rabbit(msgspec.Struct, frozen=True):
    """Where the RabbitMQ is, and the namespace that is the demo's own in it."""

    url: str
    names: Names
    namespace: str


@contextmanager
def open_rabbitmq(screen: Screen) -> Iterator[Rabbit]:
    """That of HERMES_QUEUE__URL, else one that lives as long as the demo."""
    namespace = f"hermesd-demo-{os.getpid()}"
    names = Names.of(namespace, NamePatterns())
    if url := os.environ.get(URL_KEY):
        screen.act(f"The RabbitMQ at {AmqpUrl.parse(url).where}, in a namespace of its own")
        try:
            yield Rabbit(url, names, namespace)
        finally:
            asyncio.run(_delete_all(url, names))
        return
    sys.path.insert(0, str(Path(__file__).parents[1]))  # as tests/conftest.py does
    from brokers.rabbitmq import LAUNCHERS, PACKAGE_FOLDER, RabbitNode
    from processes.run import one_run

    launchers = sorted(PACKAGE_FOLDER.glob(LAUNCHERS))
    if not launchers:
        raise DemoFailed(
            "RabbitMQ is not installed: run packaging/ensure-debian-packages rabbitmq-server as"
            f" root, or set {URL_KEY} to one that is there."
        )
    screen.act("A RabbitMQ of the demo's own (it takes some seconds to start)")
    with one_run():
        node = RabbitNode(launchers[-1])
        try:
            node.start()
            screen.holds(f"it serves on 127.0.0.1:{node.port}")
            yield Rabbit(node.url(), names, namespace)
        finally:
            node.remove()


class AmqpDemo(Stage):
    """An api and a worker, the worker away, jobs in RabbitMQ, the worker back."""

    def __init__(self, screen: Screen, world: World, rabbit: Rabbit):
        queue = {"KIND": "amqp", "URL": rabbit.url, "NAMESPACE": rabbit.namespace}
        more = {f"HERMES_QUEUE__{key}": value for key, value in queue.items()}
        more["HERMES_BROKER_URL"] = rabbit.url
        super().__init__(screen, replace(world, environ={**world.environ, **more}))
        self._rabbit = rabbit

    def play(self) -> None:
        """The whole story; raises DemoFailed or ClientError at the first thing that is amiss."""
        self._topology()
        self.screen.act("An api and a worker")
        with self.daemon("api") as api_daemon:
            api = self.serve(api_daemon)
            link = {"HERMES_CONTROL__ENDPOINTS": f'["{api_daemon.places["control"]}"]'}
            command = self.command(api)
            with Client(api["HERMES_URL"]) as client:
                with self.daemon("worker", link) as worker:
                    self.serve(worker)
                    self.worker_shows(client, command)
                    self._rung_serves(client)
                    self._pushed(client)
                    self.screen.act("The worker is told to stop")
                    self.stop(worker)
                self.screen.act("Jobs of four priorities, and no worker")
                job_ids = [
                    self._submit(client, priority) for priority in PRIORITIES for _ in range(EACH)
                ]
                self.screen.holds(f"{len(job_ids)} times 202, routed: queue")
                self._wait_in_rabbitmq(command, api)
                self.screen.act("A worker joins, and pulls")
                with self.daemon("worker", link) as worker:
                    self.serve(worker)
                    self._results(client, job_ids)
                    self._nothing_left(command, api)
                    self.screen.act("Both are told to stop")
                    self.stop(worker)
                    self.stop(api_daemon)
        self.screen.line(f"\nall {self.screen.held} steps held")

    def _topology(self) -> None:
        self.screen.act("Its exchanges and queues")
        told = self.command({}).json("topology", "apply")
        must(told["complete"], f"hermesd topology apply says {told}.")
        self.screen.holds(f"{len(told['found'])} exchanges and queues are there")

    def _rung_serves(self, client: Client) -> None:
        """Until the api is connected to the broker, too."""
        checks: Mapping[str, Any] = {}

        def serves() -> bool:
            nonlocal checks
            checks = msgspec.to_builtins(client.ready()).get("checks", {})
            return bool(checks.get("broker", {}).get("ok"))

        _until(serves, lambda: f"the api's /ready says of the broker: {checks}.")
        self.screen.holds("/ready: the broker serves")

    def _pushed(self, client: Client) -> None:
        submission = client.submit("resize-image", _payload())
        must(submission.routed == "direct", f"it was not routed directly: {submission.note}.")
        _succeeded(client.wait(submission.job.id, WAIT_SECONDS), "push")
        self.screen.holds("while a worker has a free slot, a job is pushed to it: routed: direct")

    def _submit(self, client: Client, priority: str) -> str:
        submission = client.submit("resize-image", _payload(), priority=priority)
        must(submission.routed == "queue", f"without a worker it was {submission.routed}.")
        return submission.job.id

    def _wait_in_rabbitmq(self, command: Command, api: dict[str, str]) -> None:
        """Until all are there."""
        expected = dict.fromkeys(Band, EACH)
        quiet = self.command(api, Quiet())
        _until(
            lambda: self._depths(quiet) == expected,
            lambda: f"RabbitMQ has {self._depths(quiet)}, not {EACH} messages of each band.",
        )
        must(self._depths(command) == expected, "a message has left its queue.")
        self.screen.holds(f"RabbitMQ has {EACH} messages in each of the queues by priority")

    def _nothing_left(self, command: Command, api: dict[str, str]) -> None:
        quiet = self.command(api, Quiet())
        _until(
            lambda: not any(self._depths(quiet).values()),
            lambda: f"RabbitMQ still has {self._depths(quiet)}.",
        )
        dead = command.json("dlq", "list")
        must(not dead["jobs"] and not dead["messages"], f"something is dead: {dead}.")
        self.screen.holds("RabbitMQ has no message left, and nothing is in the dead-letter queue")

    def _depths(self, command: Command) -> dict[Band, int]:
        """Ready messages by band."""
        queues = {band: self._rabbit.names.queue_of("default", band) for band in Band}
        options = [word for name in queues.values() for word in ("--queue", name)]
        told = command.json("broker", "check", *options)["queues"]
        return {band: told[name]["messages"] if told[name] else -1 for band, name in queues.items()}

    def _results(self, client: Client, job_ids: Sequence[str]) -> None:
        jobs = [client.wait(job_id, WAIT_SECONDS) for job_id in job_ids]
        for job in jobs:
            _succeeded(job, "amqp")
        jobs.sort(key=lambda job: (job.started_at is None, job.started_at))
        rows: list[Sequence[str]] = [("id", "priority", "rung", "state", "attempts", "result")]
        for job in jobs:
            priority = f"{job.priority} ({band_of(job.priority)})"
            tries = f"{job.attempts} of {job.max_attempts}"
            rows.append((job.id, priority, job.rung or "", job.state, tries, result_text(job)))
        self.screen.table(rows)
        self.screen.holds(f"{len(jobs)} jobs came by RabbitMQ, each with one recorded outcome")


class Quiet(Screen):
    """For what is asked again and again."""

    def line(self, text: str = "") -> None:
        """Nothing."""


def _payload() -> dict[str, Any]:
    return {"source_base64": PIXEL, "width": 8, "height": 8, "mode": "exact"}


def _succeeded(job: JobView, rung: str) -> None:
    must(job.state is State.SUCCEEDED, f"job {job.id} has {job.state}: {job.error}.")
    must(job.rung == rung, f"job {job.id} came to the worker by {job.rung}, not by {rung}.")


def _until(holds: Any, sentence: Any) -> None:
    deadline = time.monotonic() + WAIT_SECONDS
    while not holds():
        if time.monotonic() > deadline:
            raise DemoFailed(sentence())
        time.sleep(0.05)  # there is nothing to be woken by


async def _delete_all(url: str, names: Names) -> None:
    """Leave somebody else's broker as it was."""
    topology = topology_of(names, ["default"])
    connection = await aiormq.connect(url)
    channel = await connection.channel()
    for queue in topology.queues:
        await channel.queue_delete(queue.name)
    for exchange in topology.exchanges:
        await channel.exchange_delete(exchange.name)
    await connection.close()
