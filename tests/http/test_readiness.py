"""The epoll of one server: whoever waits is woken, whichever task looks after it."""

import os
import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import pytest
import trio
import trio.testing

from hermesd.http.readiness import Readable, Readiness
from hermesd.http.transport import RECEIVE_BYTES, PlainTransport

PATIENCE_SECONDS = 60.0


@contextmanager
def watched(count: int) -> Iterator[tuple[list[Readable], list[socket.socket]]]:
    """So many sockets being watched, and their peers."""
    with ExitStack() as stack:
        readiness = Readiness()
        stack.callback(readiness.close)
        readables, peers = [], []
        for _ in range(count):
            here, there = socket.socketpair()
            stack.enter_context(here)
            peers.append(stack.enter_context(there))
            here.setblocking(False)
            readables.append(readiness.register(here.fileno()))
            stack.callback(readiness.unregister, here.fileno())
        yield readables, peers


async def test_each_is_woken_by_its_own_bytes() -> None:
    """The first that waits looks after the epoll, and leaves before the others."""
    with watched(4) as (readables, peers), trio.fail_after(PATIENCE_SECONDS):
        for first in range(4):
            ended = [trio.Event() for _ in range(4)]

            async def wait(number: int, ended: list[trio.Event] = ended) -> None:
                await readables[number].wait()
                ended[number].set()

            async with trio.open_nursery() as nursery:
                order = [*range(first, 4), *range(first)]
                for number in order:
                    nursery.start_soon(wait, number)
                    await trio.testing.wait_all_tasks_blocked()
                for number in order:
                    peers[number].send(b"x")
                    await ended[number].wait()
                    assert sum(event.is_set() for event in ended) == order.index(number) + 1
            for readable in readables:
                readable.took_all()


async def test_a_cancelled_one_hands_its_duty_on() -> None:
    """Whether it looked after the epoll or was parked."""
    with watched(3) as (readables, peers), trio.fail_after(PATIENCE_SECONDS):
        scopes = [trio.CancelScope() for _ in range(3)]

        async def wait(number: int) -> None:
            with scopes[number]:
                await readables[number].wait()

        async with trio.open_nursery() as nursery:
            for number in range(3):
                nursery.start_soon(wait, number)
                await trio.testing.wait_all_tasks_blocked()
            scopes[0].cancel()
            scopes[2].cancel()
            await trio.testing.wait_all_tasks_blocked()
            peers[1].send(b"x")
        assert [scope.cancelled_caught for scope in scopes] == [True, False, True]
        peers[0].send(b"x")
        await readables[0].wait()  # a wait that was given up leaves nothing behind


async def test_what_came_before_the_wait_is_noticed() -> None:
    """Bytes are announced also to who was not waiting when they came."""
    with watched(2) as (readables, peers), trio.fail_after(PATIENCE_SECONDS):
        for peer in peers:
            peer.send(b"x")
        await readables[0].wait()
        with trio.testing.assert_checkpoints():
            await readables[1].wait()


async def test_two_cannot_wait_for_one_socket() -> None:
    """A mistake of the caller, told at once."""
    with watched(1) as ([readable], _):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(readable.wait)
            await trio.testing.wait_all_tasks_blocked()
            with pytest.raises(trio.BusyResourceError):
                await readable.wait()
            nursery.cancel_scope.cancel()


async def test_an_end_that_comes_with_the_last_bytes_is_not_missed() -> None:
    """epoll tells of both once; every read lets others run, however much there is to read."""
    here, there = trio.socket.socketpair()
    readiness = Readiness()
    transport = PlainTransport(trio.SocketStream(here), readiness)
    there.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4 * RECEIVE_BYTES)
    data = b"x" * (RECEIVE_BYTES + 10)
    assert os.write(there.fileno(), data) == len(data)
    there.close()
    got = []
    with trio.fail_after(PATIENCE_SECONDS):
        for _ in range(4):
            with trio.testing.assert_checkpoints():
                got.append(await transport.receive())
    assert got == [data[:RECEIVE_BYTES], data[RECEIVE_BYTES:], b"", b""]
    await transport.close()
    readiness.close()
