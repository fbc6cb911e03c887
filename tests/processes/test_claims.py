"""A worker in another language: a plain gRPC client against a real api."""

from __future__ import annotations

import asyncio
import json
import socket
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import TypeVar

import trio
from grpclib.client import Channel

from hermesd.wire.gen.hermes.v1 import control_grpc
from hermesd.wire.gen.hermes.v1 import control_pb2 as pb
from processes.deployment import Deployment

INCARNATIONS = 5
CLAIMS = 50

FoundT = TypeVar("FoundT")
Talk = Callable[[control_grpc.ControlStub], Awaitable[FoundT]]


async def talk(port: int, talk_: Talk[FoundT]) -> FoundT:
    """Run an asyncio conversation with the api's control port in a thread."""

    async def converse() -> FoundT:
        channel = Channel("127.0.0.1", port)
        try:
            return await talk_(control_grpc.ControlStub(channel))
        finally:
            channel.close()

    return await trio.to_thread.run_sync(lambda: asyncio.run(converse()))


@contextmanager
def deaf_address() -> Iterator[str]:
    """An address that accepts connections and never answers: alive, but not routable."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(64)
        yield f"127.0.0.1:{listener.getsockname()[1]}"


def registration(name: str, address: str) -> pb.RegisterRequest:
    """A worker that speaks one type of its own."""
    return pb.RegisterRequest(
        worker_id=name,
        incarnation=f"{name}-life-1",
        address=address,
        machine="elsewhere",
        version="0",
        slots=pb.Slots(**{"async": 10}),
        types=[pb.JobType(name="foreign", kind="async")],
        queues=["default"],
    )


async def register(address: str, stub: control_grpc.ControlStub) -> str:
    """Register all incarnations; the store's id."""
    store_id = ""
    for number in range(INCARNATIONS):
        answer = await stub.Register(registration(f"w{number}", address))
        assert not answer.fenced
        store_id = answer.store_id
    return store_id


def claim(store_id: str, job_id: str, lease: int, name: str) -> pb.ClaimRequest:
    """The claim of a job as a worker that pulled it makes it."""
    return pb.ClaimRequest(
        store_id=store_id,
        token=pb.Token(job_id=job_id, lease=lease),
        worker_id=name,
        incarnation=f"{name}-life-1",
    )


async def race(
    store_id: str, job_id: str, lease: int, stub: control_grpc.ControlStub
) -> list[tuple[str, pb.ClaimResponse]]:
    """Fifty claims at once, ten by each incarnation, with who asked."""
    names = [f"w{number % INCARNATIONS}" for number in range(CLAIMS)]
    answers = await asyncio.gather(
        *(stub.Claim(claim(store_id, job_id, lease, name)) for name in names)
    )
    return list(zip(names, answers, strict=True))


async def ask(request: pb.ClaimRequest, stub: control_grpc.ControlStub) -> pb.ClaimResponse:
    """One claim."""
    return await stub.Claim(request)


async def report(
    name: str, job_id: str, lease: int, stub: control_grpc.ControlStub
) -> list[pb.Verdict]:
    """Report a success."""
    token = pb.Token(job_id=job_id, lease=lease)
    outcome = pb.Outcome(token=token, kind=pb.OUTCOME_KIND_SUCCEEDED, result=b'"done"')
    request = pb.ReportRequest(
        incarnation=f"{name}-life-1", view=pb.SlotView(version=1), outcomes=[outcome]
    )
    return list((await stub.Report(request)).verdicts)


async def waiting_job(deployment: Deployment) -> tuple[str, int]:
    """A job that no worker can be sent, and its lease."""
    answer = await deployment.client.submit("foreign", {"a": 1})
    assert answer["routed"] == "queue"
    return answer["job"]["id"], deployment.history.jobs()[answer["job"]["id"]].lease


async def test_fifty_racing_claims_of_one_job_grant_one_lease(deployment: Deployment) -> None:
    """One incarnation gets it, each time under the same lease; the others are refused."""
    await deployment.api()
    with deaf_address() as address:
        store_id = await talk(deployment.control_port, partial(register, address))
        job_id, lease = await waiting_job(deployment)
        answers = await talk(deployment.control_port, partial(race, store_id, job_id, lease))
    granted = {(name, answer.lease) for name, answer in answers if answer.verdict == "granted"}
    refused = {answer.verdict for _, answer in answers if answer.verdict != "granted"}
    assert len(granted) == 1
    assert refused == {"running-elsewhere"}
    assert sum(answer.verdict == "granted" for _, answer in answers) == CLAIMS // INCARNATIONS
    assert deployment.history.jobs()[job_id].lease == lease + 1


async def test_claims_are_refused_for_good_with_the_reason(deployment: Deployment) -> None:
    """Finished, cancelled, unknown, stale, fenced, and of another store."""
    await deployment.api()
    port = deployment.control_port
    with deaf_address() as address:
        store_id = await talk(port, partial(register, address))
        done, lease = await waiting_job(deployment)
        granted = await talk(port, partial(ask, claim(store_id, done, lease, "w0")))
        assert granted.verdict == "granted"
        item = json.loads(granted.job_json)
        assert (item["id"], item["payload"], item["lease"]) == (done, {"a": 1}, lease + 1)
        verdicts = await talk(port, partial(report, "w0", done, granted.lease))
        assert verdicts == [pb.VERDICT_RECORDED]
        assert await talk(port, partial(report, "w0", done, granted.lease)) == [pb.VERDICT_DROPPED]
        cancelled, cancelled_lease = await waiting_job(deployment)
        await deployment.client.http.delete(f"/jobs/{cancelled}")
        waiting, waiting_lease = await waiting_job(deployment)
        asked = {
            "finished": claim(store_id, done, lease, "w1"),
            "cancelled": claim(store_id, cancelled, cancelled_lease, "w1"),
            "unknown": claim(store_id, "01a20029-0000-7000-8000-000000000000", 1, "w1"),
            "stale": claim(store_id, waiting, waiting_lease + 7, "w1"),
            "fenced": claim(store_id, waiting, waiting_lease, "w9"),
            "foreign-store": claim("another", waiting, waiting_lease, "w1"),
        }
        for verdict, request in asked.items():
            assert (await talk(port, partial(ask, request))).verdict == verdict
    job = await deployment.client.job(done)
    assert (job["state"], job["result"], job["worker_id"]) == ("succeeded", "done", "w0")
