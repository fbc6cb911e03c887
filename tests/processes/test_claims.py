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


def claims(
    store_id: str, name: str, *tokens: tuple[str, int], heartbeat: int = 0
) -> pb.ClaimRequest:
    """The claims of jobs, by id and lease, as a worker that pulled them makes them."""
    return pb.ClaimRequest(
        heartbeat=heartbeat,
        store_id=store_id,
        tokens=[pb.Token(job_id=job_id, lease=lease) for job_id, lease in tokens],
        worker_id=name,
        incarnation=f"{name}-life-1",
    )


async def race(
    store_id: str, job_id: str, lease: int, stub: control_grpc.ControlStub
) -> list[tuple[str, pb.ClaimAnswer]]:
    """Fifty claims at once, ten by each incarnation, with who asked."""
    names = [f"w{number % INCARNATIONS}" for number in range(CLAIMS)]
    calls = (ask(claims(store_id, name, (job_id, lease)), stub) for name in names)
    answers = await asyncio.gather(*calls)
    return [(name, answer) for name, (answer,) in zip(names, answers, strict=True)]


async def ask(request: pb.ClaimRequest, stub: control_grpc.ControlStub) -> list[pb.ClaimAnswer]:
    """The answers to the claims of one call."""
    return list((await stub.Claim(request)).answers)


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


async def claim_before_an_older_heartbeat(
    store_id: str, token: tuple[str, int], boot: str, stub: control_grpc.ControlStub
) -> list[str]:
    """What another worker is told of the job after each of two heartbeats that do not list it.

    The first one was made before the claim, and the second after.
    """
    told = []
    (granted,) = await ask(claims(store_id, "w0", token, heartbeat=7), stub)
    assert granted.verdict == "granted"
    for number in (7, 8):
        beat = pb.HeartbeatRequest(
            incarnation="w0-life-1", api_boot=boot, number=number, view=pb.SlotView(version=number)
        )
        answer = await stub.Heartbeat(beat)
        assert not answer.register_again
        (again,) = await ask(claims(store_id, "w1", token), stub)
        told.append(again.verdict)
    return told


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
        (granted,) = await talk(port, partial(ask, claims(store_id, "w0", (done, lease))))
        assert granted.verdict == "granted"
        item = json.loads(granted.job_json)
        assert (item["id"], item["payload"], item["lease"]) == (done, {"a": 1}, lease + 1)
        verdicts = await talk(port, partial(report, "w0", done, granted.lease))
        assert verdicts == [pb.VERDICT_RECORDED]
        assert await talk(port, partial(report, "w0", done, granted.lease)) == [pb.VERDICT_DROPPED]
        cancelled, cancelled_lease = await waiting_job(deployment)
        await deployment.client.http.delete(f"/jobs/{cancelled}")
        waiting, waiting_lease = await waiting_job(deployment)
        unknown = "01a20029-0000-7000-8000-000000000000"
        tokens = (
            (done, lease),
            (cancelled, cancelled_lease),
            (unknown, 1),
            (waiting, waiting_lease + 7),
        )
        together = await talk(port, partial(ask, claims(store_id, "w1", *tokens)))
        fenced = await talk(port, partial(ask, claims(store_id, "w9", (waiting, waiting_lease))))
        foreign = await talk(port, partial(ask, claims("another", "w1", (waiting, waiting_lease))))
    assert [answer.verdict for answer in (*together, *fenced, *foreign)] == [
        "finished",
        "cancelled",
        "unknown",
        "stale",
        "fenced",
        "foreign-store",
    ]
    job = await deployment.client.job(done)
    assert (job["state"], job["result"], job["worker_id"]) == ("succeeded", "done", "w0")


async def test_a_batch_of_claims_is_answered_one_by_one_in_order(deployment: Deployment) -> None:
    """Each by itself: what another worker has does not keep from this one what it has not."""
    await deployment.api()
    port = deployment.control_port
    with deaf_address() as address:
        store_id = await talk(port, partial(register, address))
        tokens = [await waiting_job(deployment) for _ in range(CLAIMS)]
        others = await talk(port, partial(ask, claims(store_id, "w1", *tokens[::5])))
        mine = await talk(port, partial(ask, claims(store_id, "w0", *tokens)))
        again = await talk(port, partial(ask, claims(store_id, "w0", *tokens, tokens[1])))
    assert {answer.verdict for answer in others} == {"granted"}
    expected = ["granted" if number % 5 else "running-elsewhere" for number in range(CLAIMS)]
    assert [answer.verdict for answer in mine] == expected
    assert [answer.lease for answer in mine if answer.lease] == [
        lease + 1 for number, (_, lease) in enumerate(tokens) if number % 5
    ]
    assert again == [*mine, mine[1]]
    left = deployment.history.jobs()
    assert {left[job_id].lease - lease for job_id, lease in tokens} == {1}


async def test_a_heartbeat_that_was_made_before_a_claim_does_not_release_its_grant(
    deployment: Deployment,
) -> None:
    """However late it comes. One that was made afterwards and does not list the job does."""
    await deployment.api()
    port = deployment.control_port
    with deaf_address() as address:
        store_id = await talk(port, partial(register, address))
        again = registration("w0", address)

        async def boot_of(stub: control_grpc.ControlStub) -> str:
            return str((await stub.Register(again)).api_boot)

        boot = await talk(port, boot_of)
        token = await waiting_job(deployment)
        talk_ = partial(claim_before_an_older_heartbeat, store_id, token, boot)
        assert await talk(port, talk_) == ["running-elsewhere", "stale"]
