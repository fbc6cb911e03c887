"""Unary calls that do not fit into one packet, or end before their time."""

from __future__ import annotations

import functools

import grpc
import msgspec
import pytest
import trio
from h2.config import H2Configuration
from h2.connection import H2Connection

from hermesd.bridge.grpc_link import open_control_link
from hermesd.bridge.header_memory import remember_headers
from hermesd.core.errors import Unavailable
from hermesd.core.fleet import SlotView
from hermesd.core.job import Job, Token
from hermesd.core.outcome import Outcome, OutcomeKind
from hermesd.core.records import Claim, ClaimAnswer, ClaimVerdict, Report
from hermesd.core.states import State
from hermesd.wire.gen.hermes.v1 import control_pb2 as pb

VIEW = SlotView(version=9, free={"async": 2, "thread": 1, "process": 0}, last_batch=3)
HEADERS = [(":method", "POST"), (":path", "/a"), ("te", "trailers")]


def report_of(size: int) -> Report:
    """A report whose results have so many bytes together."""
    outcome = Outcome(token=Token("job-1", 1), kind=OutcomeKind.SUCCEEDED, result=b"1" * size)
    return Report(incarnation="i1", api_boot="b", view=VIEW, outcomes=(outcome,))


async def test_reports_of_many_frames_arrive_whole_side_by_side(link, service, max_message_bytes):
    """More than the windows of a connection hold at once."""
    report = report_of(max_message_bytes - 1_000)
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for _ in range(40):
                nursery.start_soon(link.report, report)
    assert service.asked == [report] * 40


async def test_answers_of_many_frames_arrive_whole_side_by_side(link, service, claim):
    """More than a socket's buffer and the windows hold: they go on when the peer has read."""
    payload = msgspec.Raw(b'"' + b"p" * 3_000_000 + b'"')

    def grant(claim: Claim) -> ClaimAnswer:
        job = Job(
            id=claim.token.job_id, type="demo.echo", payload=payload, state=State.RUNNING, lease=5
        )
        return ClaimAnswer(verdict=ClaimVerdict.GRANTED, job=job)

    service.answer_claim = grant
    sizes = []

    async def ask() -> None:
        (answer,) = await link.claim([claim])
        sizes.append(len(answer.job.payload))

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for _ in range(8):
                nursery.start_soon(ask)
    assert sizes == [3_000_002] * 8


async def test_a_deadline_that_the_caller_sets_ends_its_wait_and_not_the_call(server, service):
    """The status is the protocol's, and the service finishes what it began."""
    may_go, done = trio.Event(), trio.Event()

    async def work() -> None:
        await may_go.wait()
        done.set()

    service.before = work
    request = pb.DeregisterRequest(incarnation="i1").SerializeToString()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        call = functools.partial(channel.unary_unary("/hermes.v1.Control/Deregister"), request)
        with pytest.raises(grpc.RpcError) as caught:
            await trio.to_thread.run_sync(lambda: call(timeout=0.3))
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    may_go.set()
    with trio.fail_after(60):
        await done.wait()
    assert service.cancelled == 0


@pytest.mark.parametrize("body", [b"", b"\0\0\0", b"\0\0\0\0\x09short"])
async def test_a_call_without_a_whole_message_is_refused(server, service, body):
    """Whatever part of one there is."""
    ended, answer = await exchange(server.port, body)
    assert ended
    assert ("grpc-status", "3") in answer
    assert service.asked == []


async def test_a_message_in_many_small_frames_is_put_together(server, service):
    """Even one that is cut inside its prefix."""
    message = pb.DeregisterRequest(incarnation="i1").SerializeToString()
    body = b"\0" + len(message).to_bytes(4, "big") + message
    ended, answer = await exchange(server.port, *(body[n : n + 1] for n in range(len(body))))
    assert ended
    assert ("grpc-status", "0") in answer
    assert [each.incarnation for each in service.asked] == ["i1"]


async def test_a_connection_that_is_out_of_stream_numbers_is_made_again(link, service, claim):
    """One call is told, the next one works."""
    await link.claim([claim])
    streams = link._channel.connected()
    streams.http2.highest_outbound_stream_id = streams.http2.HIGHEST_ALLOWED_STREAM_ID
    with pytest.raises(Unavailable):
        await link.claim([claim])
    assert (await link.claim([claim]))[0].job is not None


async def test_calls_beyond_what_a_peer_takes_at_once_wait_for_their_turn(link, service, claim):
    """Here the peer has said that it takes two."""
    await link.claim([claim])
    streams = link._channel.connected()
    streams.http2.remote_settings.max_concurrent_streams = 2
    streams.http2.remote_settings.acknowledge()
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            for _ in range(10):
                nursery.start_soon(link.claim, [claim])
    assert len(service.asked) == 11


async def test_a_line_that_is_closed_under_a_call_is_unavailable(serve, service, claim):
    """The caller need not wait for its time limit."""
    entered = trio.Event()

    async def wait() -> None:
        entered.set()
        await trio.sleep_forever()

    service.before = wait
    refused = []

    async def ask(port: int) -> None:
        async with open_control_link(f"127.0.0.1:{port}", call_timeout_seconds=60) as link:
            with pytest.raises(Unavailable) as caught:
                await link.claim([claim])
        refused.append(caught.value)

    with trio.fail_after(60):
        async with trio.open_nursery() as nursery, serve(drain_seconds=0) as bound:
            nursery.start_soon(ask, bound.port)
            await entered.wait()
    assert len(refused) == 1


def test_remembered_headers_are_what_h2_would_say():
    """Repeats, new values and a table that overflows in between."""
    ends = [connected_pair(remember) for remember in (True, False)]
    for number in range(300):
        headers = [*HEADERS, ("x", str(number // 3 % 70)), ("user-agent", "a" * 60)]
        seen = [carried(client, server, headers) for client, server in ends]
        assert seen[0] == seen[1] == headers
    blocks = [client.encoder.encode(HEADERS) for client, _ in ends]
    assert blocks[0] == blocks[1]


def connected_pair(remember: bool) -> tuple[H2Connection, H2Connection]:
    client, server = (
        H2Connection(H2Configuration(client_side=side, header_encoding="ascii"))
        for side in (True, False)
    )
    for end in (client, server):
        end.initiate_connection()
        if remember:
            remember_headers(end)
    server.receive_data(client.data_to_send())
    client.receive_data(server.data_to_send())
    server.receive_data(client.data_to_send())
    return client, server


def carried(client: H2Connection, server: H2Connection, headers):
    client.config.validate_outbound_headers = server.config.validate_inbound_headers = False
    stream_id = client.get_next_available_stream_id()
    client.send_headers(stream_id, headers, end_stream=True)
    [request, *_] = server.receive_data(client.data_to_send())
    server.send_headers(stream_id, [(":status", "200")], end_stream=True)
    client.receive_data(server.data_to_send())
    return [tuple(each) for each in request.headers]


async def exchange(port: int, *frames: bytes) -> tuple[bool, list[tuple[str, str]]]:
    """Send a Deregister in these frames; whether the answer ended, and all of its headers."""
    http2 = H2Connection(H2Configuration(client_side=True, header_encoding="ascii"))
    http2.initiate_connection()
    http2.send_headers(
        1,
        [
            (":method", "POST"),
            (":scheme", "http"),
            (":path", "/hermes.v1.Control/Deregister"),
            (":authority", "x"),
            ("te", "trailers"),
            ("content-type", "application/grpc"),
        ],
    )
    for frame in frames:
        http2.send_data(1, frame)
    http2.end_stream(1)
    headers: list[tuple[str, str]] = []
    async with await trio.open_tcp_stream("127.0.0.1", port) as stream:
        await stream.send_all(http2.data_to_send())
        with trio.fail_after(60):
            async for data in stream:
                for event in http2.receive_data(data):
                    headers += getattr(event, "headers", None) or []
                    if type(event).__name__ == "StreamEnded":
                        return True, headers
    return False, headers
