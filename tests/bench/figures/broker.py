"""Figure 9: every job through RabbitMQ, in persistent messages that it confirms.

Jobs of all priorities are submitted while no worker is there, published, and then run by two worker
processes that start. So that it is the same for them, peers get their jobs before their worker.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench.deployment import APP, Deployment, deployed
from tests.bench.figures.floors import STORE_BATCHES
from tests.bench.load import generate
from tests.bench.peers import aio_pika_peer, celery_peer
from tests.bench.peers.measure import drained, installed
from tests.bench.peers.peer import BATCH, Peer
from tests.bench.peers.servers import server
from tests.bench.process import Process
from tests.bench.setting import Setting
from tests.bench.venvs import NotInstallable

JOBS: Final = 10_000
WORKERS: Final = 2
LAST_SECONDS: Final = 300.0
PUBLISHED: Final = "hermesd_jobs_with_broker"
POLL_SECONDS: Final = 0.05
PEERS: Final = (celery_peer.PEER, aio_pika_peer.PEER)


def measure(setting: Setting, *, peers: bool) -> None:
    """hermesd, and then Celery and a bare aio-pika consumer if wanted."""
    jobs = max(setting.jobs(JOBS), BATCH) // BATCH * BATCH
    setting.board.head("9", f"{jobs:,} jobs of all priorities through RabbitMQ, {WORKERS} workers")
    place = setting.place("broker")
    for folder in (setting.folder, place):
        folder.chmod(0o755)  # RabbitMQ runs as a user of its own
    try:
        _hermesd(setting, place, jobs)
    except NotInstallable as reason:
        setting.board.note(f"left out: {reason}")
        return
    for peer in PEERS if peers else ():
        _peer(setting, peer, place / peer.name.lower(), jobs)


def _hermesd(setting: Setting, place: Path, jobs: int) -> None:
    node = place / "node"
    node.mkdir()
    with server("rabbitmq", node) as url:
        settings = {"HERMES_QUEUE__KIND": "amqp", "HERMES_QUEUE__URL": url}
        with deployed(place / "hermesd", settings, worker=False) as running:
            _round(running, BATCH)
            rounds = [_round(running, jobs) for _ in range(setting.rounds)]
    put = setting.board.put
    put("submitted, published, confirmed", [r.published for r in rounds], "jobs/s", STORE_BATCHES)
    put("pulled to recorded", [r.recorded for r in rounds], "jobs/s", STORE_BATCHES)
    put("submit to recorded", [r.overall for r in rounds], "jobs/s", STORE_BATCHES)
    put("the workers' CPU", [r.worker_cpu_seconds for r in rounds], "s per 1,000 jobs")
    put("the api's CPU meanwhile", [r.api_cpu_seconds for r in rounds], "s per 1,000 jobs")


@dataclass(frozen=True)
class Round:
    """Jobs a second: to the last confirm, from the workers' ready to the last record, in all.

    `overall` leaves out the time in which the workers start. The CPU is that of pulling to
    recording, user and system, for a thousand jobs.
    """

    published: float
    recorded: float
    overall: float
    worker_cpu_seconds: float
    api_cpu_seconds: float


def _round(running: Deployment, jobs: int) -> Round:
    before = running.succeeded()
    shape = ("--batch", str(BATCH), "--connections", "4", "--mixed")
    began = generate(running.port, jobs // BATCH, *shape)["began"]
    published = _until_published(running, jobs) - began
    with _workers(running) as workers:
        ready, busy, api_busy = time.monotonic(), _cpu(workers), running.api.cpu_seconds
        recorded = running.until_succeeded(before + jobs, LAST_SECONDS) - ready
        busy, api_busy = _cpu(workers) - busy, running.api.cpu_seconds - api_busy
    running.wait(lambda stats: stats["workers"].get("workers", 0) == 0)
    return Round(
        published=jobs / published,
        recorded=jobs / recorded,
        overall=jobs / (published + recorded),
        worker_cpu_seconds=busy * 1000 / jobs,
        api_cpu_seconds=api_busy * 1000 / jobs,
    )


def _cpu(processes: Iterable[Process]) -> float:
    return sum(each.cpu_seconds for each in processes)


def _until_published(running: Deployment, jobs: int) -> float:
    """The monotonic time at which RabbitMQ had all of them."""
    deadline = time.monotonic() + LAST_SECONDS
    while (count := running.metric(PUBLISHED)) < jobs:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{count:g} of {jobs} jobs were published in {LAST_SECONDS:g} s")
        time.sleep(POLL_SECONDS)
    return time.monotonic()


@contextmanager
def _workers(running: Deployment) -> Iterator[Sequence[Process]]:
    """Worker processes that are started together, once all of them are ready."""
    with ExitStack() as stack:
        workers = []
        for number in range(WORKERS):
            environ = running.environ | {"HERMES_WORKER__ID": f"worker-{number}"}
            log = running.folder / f"worker-{number}.log"
            workers.append(Process((APP, "worker"), environ, log))
            stack.callback(workers[-1].stop)
        for worker in workers:
            worker.until_ready()
        yield workers


def _peer(setting: Setting, peer: Peer, folder: Path, jobs: int) -> None:
    folder.mkdir()
    try:
        how = installed(peer, folder)
        accepted, run = drained(peer, how, folder, jobs=jobs, rounds=setting.rounds)
    except (NotInstallable, RuntimeError, TimeoutError, OSError) as reason:
        setting.board.note(f"{peer.name} left out: {reason}")
        return
    setting.board.put(f"{peer.name}: published, confirmed", accepted, "jobs/s")
    setting.board.put(f"{peer.name}: run, from its worker's start", run, "jobs/s")
