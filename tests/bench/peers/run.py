"""Peers beside hermesd: `make bench-peers`, or `python -m tests.bench.peers.run --help`.

Every system runs its load generator, its worker and its server on this machine, one system at a
time. A peer's job counts when its handler has run; hermesd's when its outcome is committed, which
is later. Submitters of a peer are threads or tasks of one process: the best number of 1, 32, 128.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from tests.bench.databases import databases
from tests.bench.deployment import deployed
from tests.bench.load import submitted
from tests.bench.peers import (
    aio_pika_peer,
    bullmq_peer,
    celery_peer,
    dramatiq_peer,
    graphile_worker_peer,
    huey_peer,
    procrastinate_peer,
    taskiq_peer,
)
from tests.bench.peers.measure import installed, measured
from tests.bench.peers.peer import BATCH, Peer
from tests.bench.venvs import NotInstallable

PEERS = tuple(
    module.PEER
    for module in (
        celery_peer,
        dramatiq_peer,
        huey_peer,
        bullmq_peer,
        procrastinate_peer,
        graphile_worker_peer,
        taskiq_peer,
        aio_pika_peer,
    )
)
POSTGRESQL = "postgresql"
WIDTH = 22
HERMESD_CONNECTIONS = (1, 32, 128)
HERMESD_DURABLE = "row in SQLite behind the api, committed and synced; outcomes are recorded too"
ON_POSTGRESQL = "row in PostgreSQL, committed and synced; outcomes are recorded too"
HERMESD_BULK = "POST /jobs/batch: 500 jobs a request, 4 connections"


@dataclass(frozen=True)
class Row:
    """One system: medians of its rounds in jobs a second; why it was left out, if it was."""

    name: str
    submitters: int = 0
    single: float = 0.0
    bulk_accepted: float = 0.0
    bulk_run: float = 0.0
    durable: str = ""
    bulk: str = ""
    left_out: str = ""
    server: str = ""


def arguments() -> argparse.ArgumentParser:
    """What it can be told."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.peers.run", description=__doc__)
    names = [peer.name.lower() for peer in PEERS]
    parser.add_argument("peers", nargs="*", metavar="PEER", help=f"some of {', '.join(names)}")
    parser.add_argument("--jobs", type=int, default=10_000, help="of each round")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", type=Path, metavar="FILE")
    return parser


def main(given: Sequence[str]) -> int:
    """hermesd first, then each peer; what fails is told and left out."""
    parser = arguments()
    told = parser.parse_args(given)
    wanted = {name.lower() for name in told.peers}
    if unknown := wanted - {peer.name.lower() for peer in PEERS}:
        parser.error(f"no such peer: {', '.join(sorted(unknown))}")
    rows = []
    with tempfile.TemporaryDirectory(prefix="hermesd-peers-") as folder:
        Path(folder).chmod(0o755)  # RabbitMQ and PostgreSQL run as users of their own
        rows.append(_hermesd(Path(folder) / "hermesd", told.jobs, told.rounds))
        _show(rows[-1])
        chosen = [peer for peer in PEERS if not wanted or peer.name.lower() in wanted]
        if any(peer.server == POSTGRESQL for peer in chosen):
            rows.append(_on_postgresql(Path(folder), told.jobs, told.rounds))
            _show(rows[-1])
        for peer in chosen:
            rows.append(_peer(peer, Path(folder) / peer.name.lower(), told.jobs, told.rounds))
            _show(rows[-1])
    _table(rows)
    if told.json is not None:
        told.json.write_text(json.dumps([vars(row) for row in rows], indent=2) + "\n")
    return 0


def _on_postgresql(folder: Path, jobs: int, rounds: int) -> Row:
    """The same beside peers that keep their jobs there, on the same kind of server."""
    try:
        with databases(folder / "hermesd-postgresql-server") as found:
            place = folder / "hermesd-postgresql"
            row = _hermesd(place, jobs, rounds, found.settings())
    except NotInstallable as reason:
        return Row("hermesd on PostgreSQL", left_out=str(reason))
    return replace(row, name="hermesd on PostgreSQL", durable=ON_POSTGRESQL, server=POSTGRESQL)


def _hermesd(folder: Path, jobs: int, rounds: int, store: Mapping[str, str] | None = None) -> Row:
    """Submit to recorded, with as many connections as do best."""
    with deployed(folder, store) as running:
        submitted(running, jobs // 10, connections=32)
        singles = {
            connections: [
                submitted(running, jobs, connections=connections).recorded for _ in range(rounds)
            ]
            for connections in HERMESD_CONNECTIONS
        }
        many = max(jobs, BATCH)
        batches = [submitted(running, many, connections=4, batch=BATCH) for _ in range(rounds)]
    best, single = _best(singles)
    return Row(
        name="hermesd",
        submitters=best,
        single=single,
        bulk_accepted=statistics.median(each.accepted for each in batches),
        bulk_run=statistics.median(each.recorded for each in batches),
        durable=HERMESD_DURABLE,
        bulk=HERMESD_BULK,
    )


def _peer(peer: Peer, folder: Path, jobs: int, rounds: int) -> Row:
    folder.mkdir()
    try:
        result = measured(peer, installed(peer, folder), folder, jobs=jobs, rounds=rounds)
    except NotInstallable as reason:
        return Row(peer.name, left_out=f"cannot be installed: {reason}")
    except (RuntimeError, TimeoutError, OSError) as error:
        log = folder / "worker.log"
        last = log.read_text(errors="replace").strip()[-300:] if log.exists() else ""
        return Row(peer.name, left_out=f"did not run: {error} {last}".strip())
    best, single = _best(result.singles)
    return Row(
        name=peer.name,
        submitters=best,
        single=single,
        bulk_accepted=statistics.median(result.bulk_accepted),
        bulk_run=statistics.median(result.bulk_run),
        durable=peer.durable,
        bulk=peer.bulk,
        server=peer.server,
    )


def _best(singles: dict[int, list[float]]) -> tuple[int, float]:
    """The number of submitters that does best, and its median."""
    medians = {number: statistics.median(rates) for number, rates in singles.items()}
    best = max(medians, key=lambda number: medians[number])
    return best, medians[best]


def _show(row: Row) -> None:
    print(f"{row.name}: {row.left_out or f'{row.single:,.0f} jobs/s one by one'}", flush=True)


def _table(rows: Sequence[Row]) -> None:
    beside = {row.server: row for row in rows if row.name.startswith("hermesd")}
    print("\njobs/s, submitted while being processed, to the last job's end")
    print(f"\n{'':<{WIDTH}} {'one by one':>11} {'by':>4} {'hermesd is':>11}", end="")
    print(f" {'bulk in':>9} {'bulk done':>10}")
    for row in rows:
        if row.left_out:
            print(f"{row.name:<{WIDTH}} left out")
            continue
        ours = beside.get(row.server, rows[0])
        if ours.left_out:
            ours = rows[0]
        ratio = f"{ours.single / row.single:.1f} times"
        print(f"{row.name:<{WIDTH}} {row.single:>11,.0f} {row.submitters:>4} {ratio:>11}", end="")
        print(f" {row.bulk_accepted:>9,.0f} {row.bulk_run:>10,.0f}")
    print("\nhermesd is so much faster: on PostgreSQL where the peer is on it, else on SQLite")
    print("\nwhat is durable when submit returns, and how many are submitted at once")
    for row in rows:
        text = row.left_out and f"left out: {row.left_out}"
        print(f"{row.name:<{WIDTH}} {text or f'{row.durable}. {row.bulk}.'}")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
