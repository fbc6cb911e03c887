"""More than the daemon can take at once, and what nobody should send (faults 20, 21, 22, 25)."""

from __future__ import annotations

import os
import random
from collections.abc import AsyncIterator

import httpx
import pytest
import trio
from processes.daemon import DaemonProcess
from processes.deployment import Deployment
from processes.submitter import bodies, submit_all

MIB = 1024 * 1024


@pytest.mark.faults
async def test_ten_thousand_concurrent_submits_are_answered_and_none_is_lost(
    deployment: Deployment,
) -> None:
    """2,000 connections with five submits each: 2xx, or 429 or 503, and the memory is bounded."""
    api = await deployment.api()
    for name in ("w1", "w2"):
        await deployment.worker(name)
    await deployment.client.routable("w1", "w2")
    submits = bodies("note", [{"n": n} for n in range(10_000)])
    answers = await submit_all(deployment.client.port, submits, connections=2000)
    assert answers.total == 10_000
    assert answers.unanswered == 0
    assert answers.refused.keys() <= {429, 503}
    await deployment.client.all_ended()
    jobs = deployment.history.check(answers.accepted)
    assert len(jobs) == len(answers.accepted)
    assert len(deployment.history.starts()) == len(jobs)
    assert api.rss_bytes < 400 * MIB
    assert await deployment.client.metric("hermesd_invariant_breaches_total") == 0


async def throw_garbage(port: int, chance: random.Random, stop: trio.Event) -> None:
    """Random bytes, on one connection after the other, until told to stop."""
    heads = [
        b"",
        b"POST /dispatch HTTP/1.1\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"\x16\x03\x01",
    ]
    while not stop.is_set():
        stream = await trio.open_tcp_stream("127.0.0.1", port)
        async with stream:
            try:
                await stream.send_all(chance.choice(heads) + chance.randbytes(4096))
                with trio.move_on_after(0.2):
                    while await stream.receive_some():
                        pass
            except (OSError, trio.BrokenResourceError):
                pass


@pytest.mark.faults
async def test_garbage_on_all_ports_disturbs_no_job(deployment: Deployment) -> None:
    """HTTP, gRPC and dispatch port drop it; submits and jobs go on."""
    api = await deployment.api()
    worker = await deployment.worker("w1")
    ready = await worker.ready()
    await deployment.client.routable("w1")
    dispatch_port = int(ready["dispatch"].rpartition(":")[2])
    ports = (deployment.client.port, deployment.control_port, dispatch_port)
    stop = trio.Event()
    async with trio.open_nursery() as nursery:
        for seed, port in enumerate(ports * 2):
            nursery.start_soon(throw_garbage, port, random.Random(seed), stop)
        submits = bodies("note", [{"seconds": 0.01}] * 2000)
        answers = await submit_all(deployment.client.port, submits, connections=8)
        await deployment.client.all_ended()
        stop.set()
    jobs = deployment.history.check(answers.accepted)
    assert len(answers.accepted) == 2000
    assert {row.state for row in jobs.values()} == {"succeeded"}
    assert len(deployment.history.starts()) == 2000
    assert not api.events("worker evicted")
    assert not any("exception" in line for line in [*api.log, *worker.log])


REFUSED = [
    (b'{"type":"note","payload":{"seconds":"soon"}}', 422),
    (b'{"type":"note","payload":[]}', 422),
    (b'{"type":"note","payload":{"seconds":NaN}}', 400),
    (b'{"type":"note","payload":{"x":"\xff"}}', 400),
    (b'{"type":"note","payload":' + b"[" * 100_000 + b"]" * 100_000 + b"}", 400),
    (b'{"type":"note","priority":true}', 422),
    (b'{"type":"note","priority":11}', 422),
    (b'{"type":"note","timeout":-1}', 422),
    (b'{"type":"note","wish":1}', 422),
    (b'{"type":"nothing of the sort"}', 422),
    (b'{"type":"note","queue":"nowhere"}', 422),
    (b'{"type":"bulky","payload":{"x":"' + b"y" * (2 * MIB) + b'"}}', 413),
    (b"[]", 400),
    (b"", 400),
    (b'{"type":"note"', 400),
]


async def test_bad_payloads_get_a_reason_and_leave_no_job(deployment: Deployment) -> None:
    """400, 413 or 422 as a problem document, each."""
    await deployment.both()
    await deployment.client.routable("both")
    headers = {"Content-Type": "application/json"}
    for body, status in REFUSED:
        answer = await deployment.client.http.post("/jobs", content=body, headers=headers)
        assert answer.status_code == status, (body[:80], answer.text)
        problem = answer.json()
        assert problem["status"] == status
        assert problem["detail"]
    assert deployment.history.jobs() == {}


async def send_much(api: DaemonProcess, port: int, size: int) -> int:
    """The most memory that the api had while it was sent `size` bytes; its answer must be 413."""
    most = 0
    chunk = os.urandom(64 * 1024).hex().encode()

    async def content() -> AsyncIterator[bytes]:
        nonlocal most
        for _ in range(size // len(chunk)):
            yield chunk
            most = max(most, api.rss_bytes)

    async with httpx.AsyncClient(timeout=60) as client:
        try:
            answer = await client.post(f"http://127.0.0.1:{port}/jobs", content=content())
            assert answer.status_code == 413
        except (httpx.WriteError, httpx.ReadError):
            pass  # refused before all of it was sent, and the connection closed
    return max(most, api.rss_bytes)


@pytest.mark.faults
async def test_a_body_of_100_mb_is_refused_without_being_kept(deployment: Deployment) -> None:
    """The memory stays flat, also under several at a time."""
    api = await deployment.api()
    before = api.rss_bytes
    found: list[int] = []

    async def send() -> None:
        found.append(await send_much(api, deployment.client.port, 100 * MIB))

    async with trio.open_nursery() as nursery:
        for _ in range(4):
            nursery.start_soon(send)
    assert max(found) - before < 64 * MIB
    assert (await deployment.client.stats())["jobs"].get("queued", 0) == 0
