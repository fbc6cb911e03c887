"""Clients that are not ours, and what they can do to the server."""

from __future__ import annotations

import functools
import os
import signal
import subprocess
import sys

import grpc
import pytest
import trio
from grpclib.health.v1 import health_pb2
from grpclib.reflection.v1 import reflection_pb2

from hermesd.wire.gen.hermes.v1 import control_pb2 as pb

PLAIN_ASYNCIO_CLIENT = """
import asyncio, sys
from grpclib.client import Channel
from hermesd.wire.gen.hermes.v1 import control_pb2 as pb
from hermesd.wire.gen.hermes.v1.control_grpc import ControlStub

async def main():
    async with Channel("127.0.0.1", int(sys.argv[1])) as channel:
        stub = ControlStub(channel)
        view = pb.SlotView(version=1, free=pb.Slots(thread=2))
        await stub.Register(pb.RegisterRequest(
            worker_id="w1", incarnation="i1", address="host:8082", slots=pb.Slots(thread=2)))
        await stub.Heartbeat(pb.HeartbeatRequest(incarnation="i1", number=1, view=view))
        workers = await stub.ListWorkers(pb.ListWorkersRequest())
        print(workers.workers[0].worker_id, workers.workers[0].status)

asyncio.run(main())
"""

POKED_WORKER = """
import sys, trio
from hermesd.bridge.grpc_link import open_control_link
from hermesd.bridge.loop import open_bridge

async def main():
    endpoint = f"127.0.0.1:{sys.argv[1]}"
    async with open_bridge(), open_control_link(endpoint, call_timeout_seconds=20) as link:
        async with link.pokes("i1") as pokes:
            print("listening", flush=True)
            async for _ in pokes:
                pass

trio.run(main)
"""


@pytest.fixture
def channel(server):
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as opened:
        yield opened


def unary(channel, path, request, reply_type):
    """Call with the C implementation of gRPC, off the trio thread."""
    call = channel.unary_unary(
        path, request_serializer=bytes, response_deserializer=reply_type.FromString
    )
    return trio.to_thread.run_sync(
        lambda: call.with_call(request.SerializeToString(), timeout=30)[0]
    )


async def test_a_plain_asyncio_client_can_be_a_worker(server, service):
    """Another process with nothing of ours but the generated stubs is served."""
    with trio.fail_after(60):
        done = await trio.run_process(
            [sys.executable, "-c", PLAIN_ASYNCIO_CLIENT, str(server.port)], capture_stdout=True
        )
    assert done.stdout.decode().split() == ["w1", "busy"]
    assert service.asked[0].slots == {"async": 0, "thread": 2, "process": 0}


async def test_the_c_implementation_of_grpc_is_served(channel, service):
    """Calls and statuses are those of the protocol, not of one library."""
    request = pb.ClaimRequest(
        store_id="s", tokens=[pb.Token(job_id="j", lease=1)], worker_id="w", incarnation="i"
    )
    reply = await unary(channel, "/hermes.v1.Control/Claim", request, pb.ClaimResponse)
    assert [(answer.verdict, answer.lease) for answer in reply.answers] == [("granted", 2)]
    with pytest.raises(grpc.RpcError) as caught:
        await unary(channel, "/hermes.v1.Control/Claim", pb.ClaimRequest(), pb.ClaimResponse)
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "store_id" in caught.value.details()
    assert ("hermes-error", "invalid-value") in caught.value.trailing_metadata()


@pytest.mark.parametrize("name", ["", "hermes.v1.Control"])
async def test_the_standard_health_service_says_serving(channel, name):
    """For the server and for Control."""
    request = health_pb2.HealthCheckRequest(service=name)
    reply = await unary(
        channel, "/grpc.health.v1.Health/Check", request, health_pb2.HealthCheckResponse
    )
    assert reply.status == health_pb2.HealthCheckResponse.SERVING


async def test_reflection_lists_and_describes_the_service(channel):
    """A generic client learns Control from the server itself."""
    call = channel.stream_stream(
        "/grpc.reflection.v1.ServerReflection/ServerReflectionInfo",
        request_serializer=reflection_pb2.ServerReflectionRequest.SerializeToString,
        response_deserializer=reflection_pb2.ServerReflectionResponse.FromString,
    )
    requests = [
        reflection_pb2.ServerReflectionRequest(list_services=""),
        reflection_pb2.ServerReflectionRequest(file_containing_symbol="hermes.v1.Control"),
    ]
    listed, described = await trio.to_thread.run_sync(
        lambda: list(call(iter(requests), timeout=30))
    )
    names = {service.name for service in listed.list_services_response.service}
    assert names == {"hermes.v1.Control", "grpc.health.v1.Health"}
    assert b"RegisterRequest" in described.file_descriptor_response.file_descriptor_proto[0]


async def test_a_body_that_is_no_message_is_an_invalid_argument(server, service):
    """Bytes that do not parse never reach the service."""
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        call = channel.unary_unary("/hermes.v1.Control/Report")
        with pytest.raises(grpc.RpcError) as caught:
            await trio.to_thread.run_sync(lambda: call(b"\xff\xff\xff", timeout=30))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert service.asked == []


async def test_compressed_messages_are_unimplemented(server):
    """The status is the one that the protocol has for it."""
    options = [("grpc.default_compression_algorithm", 2)]
    with grpc.insecure_channel(f"127.0.0.1:{server.port}", options) as channel:
        call = channel.unary_unary("/hermes.v1.Control/Deregister")
        with pytest.raises(grpc.RpcError) as caught:
            await trio.to_thread.run_sync(lambda: call(b"\x0a\x90\x03" + b"i" * 400, timeout=30))
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


@pytest.mark.parametrize(
    "garbage",
    [
        b"GET / HTTP/1.1\r\nhost: x\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(range(256)) * 40,
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
        + b"\x00\x00\x04\x01\x05\x00\x00\x00\x01\x10\x01\xff\xff",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x7f\x00"
        b"\x00\x00\x00\x00",
        b"\x00" * 100_000,
    ],
)
async def test_garbage_costs_its_own_connection_only(link, server, claim, garbage):
    """The server goes on for everyone else."""
    stream = await trio.open_tcp_stream("127.0.0.1", server.port)
    async with stream:
        try:
            await stream.send_all(garbage)
            await stream.send_eof()
            with trio.fail_after(60):
                async for _ in stream:
                    pass
        except trio.BrokenResourceError:
            pass
    assert (await link.claim([claim]))[0].job is not None


async def test_a_worker_killed_with_9_leaves_its_pokes_at_once(server, service):
    """The close of its connection is noticed; its silence would be much later."""
    command = [sys.executable, "-c", POKED_WORKER, str(server.port)]
    async with trio.open_nursery() as nursery:
        start = functools.partial(trio.run_process, command, stdout=subprocess.DEVNULL, check=False)
        process = await nursery.start(start)
        with trio.fail_after(60):
            await service.listening.wait()
        os.kill(process.pid, signal.SIGKILL)
        with trio.fail_after(10):
            await service.left.wait()
