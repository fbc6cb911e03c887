"""graphile-worker with PostgreSQL: a row a job; its program is JavaScript."""

from __future__ import annotations

from tests.bench.peers.peer import Peer

PEER = Peer(
    name="graphile-worker",
    module="graphile_worker_peer.cjs",
    packages=("graphile-worker",),
    server="postgresql",
    durable="row in PostgreSQL, committed and synced; it is deleted when the job has succeeded",
    bulk="add_jobs(): one statement for 500 jobs",
)
