"""Servers that are not there, go, and come back."""

from __future__ import annotations

import socket
import ssl

import pytest
import trio
import trustme

from hermesd.bridge.grpc_link import open_control_link
from hermesd.core.errors import ConfigError, InvalidValue, Unavailable


async def open_and_claim(endpoint, claim, **options):
    async with open_control_link(endpoint, call_timeout_seconds=20, **options) as link:
        (answer,) = await link.claim([claim])
        return answer


async def test_a_refused_connection_is_unavailable(bridge, claim):
    """The error names the endpoint and the reason."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        endpoint = f"127.0.0.1:{unused.getsockname()[1]}"
        with pytest.raises(Unavailable, match=rf"{endpoint}: .*[Rr]efused|Connect call failed"):
            await open_and_claim(endpoint, claim)


async def test_a_peer_that_speaks_no_grpc_is_unavailable(bridge, claim):
    """Whatever answers there, it is not an api."""

    async def answer(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n")

    async with trio.open_nursery() as nursery:
        [listener] = await trio.open_tcp_listeners(0, host="127.0.0.1")
        port = listener.socket.getsockname()[1]
        nursery.start_soon(trio.serve_listeners, answer, [listener])
        with pytest.raises(Unavailable, match=f"127.0.0.1:{port}"):
            await open_and_claim(f"127.0.0.1:{port}", claim)
        nursery.cancel_scope.cancel()


@pytest.mark.parametrize("endpoint", ["", "host", "host:", ":1", "host:0", "host:65536", "::1:50"])
async def test_an_endpoint_must_be_host_and_port(bridge, endpoint):
    """Said before anything is opened."""
    with pytest.raises(InvalidValue, match="endpoint"):
        async with open_control_link(endpoint, call_timeout_seconds=1):
            pass


async def test_a_port_that_is_taken_is_named(serve, server):
    """So is the host."""
    with pytest.raises(ConfigError, match=rf"127\.0\.0\.1:{server.port}.*in use"):
        async with serve(server.port):
            pass


async def test_the_link_recovers_when_the_server_is_back(serve, claim):
    """A lost api is Unavailable; the first call after its return finds it."""
    async with serve() as bound:
        port = bound.port
    async with open_control_link(f"127.0.0.1:{port}", call_timeout_seconds=20) as link:
        with pytest.raises(Unavailable):
            await link.claim([claim])
        async with serve(port):
            assert (await link.claim([claim]))[0].job is not None
        with pytest.raises(Unavailable):
            await link.claim([claim])
        async with serve(port):
            assert (await link.claim([claim]))[0].job is not None


async def test_pokes_raise_unavailable_when_the_server_goes(serve, service):
    """A worker waiting for a poke learns that there will be none."""
    async with trio.open_nursery() as nursery:
        close, closed = trio.Event(), trio.Event()

        async def api(task_status: trio.TaskStatus[int]) -> None:
            async with serve() as bound:
                task_status.started(bound.port)
                await close.wait()
            closed.set()

        port = await nursery.start(api)
        async with (
            open_control_link(f"127.0.0.1:{port}", call_timeout_seconds=20) as link,
            link.pokes("i1") as pokes,
        ):
            close.set()
            with trio.fail_after(60), pytest.raises(Unavailable):
                await anext(pokes)
        await closed.wait()
    assert service.left.is_set()


async def test_a_call_under_way_is_answered_before_the_server_closes(serve, service, claim):
    """The drain waits for it, and takes no other."""
    entered, may_go = trio.Event(), trio.Event()
    answers = []

    async def wait() -> None:
        entered.set()
        await may_go.wait()

    service.before = wait
    async with trio.open_nursery() as nursery, serve(drain_seconds=30) as bound:

        async def ask() -> None:
            answers.append(await open_and_claim(f"127.0.0.1:{bound.port}", claim))

        nursery.start_soon(ask)
        await entered.wait()
        may_go.set()
    assert [answer.verdict for answer in answers] == ["granted"]


async def test_a_call_past_the_drain_is_cancelled_and_over_when_the_server_has_left(
    serve, service, claim
):
    """Nothing runs in the service after its server."""
    entered = trio.Event()
    refused = []

    async def wait() -> None:
        entered.set()
        await trio.sleep_forever()

    service.before = wait
    async with trio.open_nursery() as nursery:
        async with serve(drain_seconds=0.05) as bound:

            async def ask() -> None:
                with pytest.raises(Unavailable) as caught:
                    await open_and_claim(f"127.0.0.1:{bound.port}", claim)
                refused.append(caught.value)

            nursery.start_soon(ask)
            await entered.wait()
        assert service.cancelled == 1
    assert len(refused) == 1


async def test_tls_carries_the_line_and_a_stranger_is_unavailable(serve, claim):
    """With a certificate that the worker trusts it works, without trust it does not."""
    authority = trustme.CA()
    server_side = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("localhost").configure_cert(server_side)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    async with serve(ssl_context=server_side) as bound:
        endpoint = f"localhost:{bound.port}"
        answer = await open_and_claim(endpoint, claim, ssl_context=trusting)
        assert answer.verdict == "granted"
        with pytest.raises(Unavailable, match="certificate"):
            await open_and_claim(endpoint, claim, ssl_context=ssl.create_default_context())
