"""BullMQ with Redis, which syncs every write before it answers; its program is JavaScript."""

from __future__ import annotations

from tests.bench.peers.peer import Peer

PEER = Peer(
    name="BullMQ",
    module="bullmq_peer.cjs",
    packages=("bullmq", "ioredis"),
    server="redis",
    durable="in Redis with appendonly and appendfsync always; outcomes are kept in it too",
    bulk="addBulk(): one round trip for 500 jobs",
)
