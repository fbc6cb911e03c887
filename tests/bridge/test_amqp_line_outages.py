"""The line to a message broker that is away, killed, hanging, out of memory, or refusing."""

from __future__ import annotations

import logging
import math
from contextlib import suppress

import pytest
import trio
from bridge.amqp_lines import (
    PATIENCE_SECONDS,
    drain,
    messages,
    new_queue,
    open_line,
    publish,
    until,
)
from bridge.relays import paused_relay

from hermesd.core.broker import PublishFate
from hermesd.core.errors import Unavailable

SOON_SECONDS = 1.0
SETTLED_SECONDS = 1.5  # a quorum queue killed sooner after its declaration may lose messages
# When one connection is refused, the other may not have been tried, or have met the dying node.
AWAY = "onnection re|was lost|not connected yet"
CONFIRMED = PublishFate.CONFIRMED


async def test_a_broker_that_is_away_at_the_start_is_found_when_it_comes(bridge, rabbitmq):
    """Until then every call says so at once."""
    rabbitmq.kill()
    try:
        async with open_line(rabbitmq.url(), serving=False) as line:
            status = await until(line, lambda status: "refused" in status.reason)
            assert not status.connected
            with trio.fail_after(PATIENCE_SECONDS / 2):
                assert await line.publish(messages("q", [b"x"])) == [PublishFate.REFUSED]
                for call in (line.get, line.depth):
                    with pytest.raises(Unavailable, match=AWAY):
                        await call("q")
                with pytest.raises(Unavailable, match=AWAY):
                    async with line.consume("q", 1):
                        pass
            await trio.to_thread.run_sync(rabbitmq.start)
            status = await until(line, lambda status: status.serving)
            assert status.reason == ""
            await publish(line, await new_queue(line), b"x")
    finally:
        if not rabbitmq.running:
            rabbitmq.start()


class Heard(logging.Handler):
    """Keeps the names of the loggers whose records come to it."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        """Note whose it is."""
        self.names.append(record.name)


async def test_a_lost_connection_is_told_by_our_own_log_alone(bridge, rabbitmq):
    """And not by that of a library, at the level of errors and with tracebacks."""
    heard, root = Heard(), logging.getLogger()
    root.addHandler(heard)  # what pytest captures is not what a program shows
    try:
        async with open_line(rabbitmq.url()) as line:
            await trio.to_thread.run_sync(rabbitmq.control, "close_all_connections", "for a test")
            await until(line, lambda status: not status.connected)
            await until(line, lambda status: status.serving)
    finally:
        root.removeHandler(heard)
    assert [name for name in heard.names if name.startswith("aiormq")] == []


@pytest.mark.faults
async def test_a_killed_broker_comes_back_with_all_that_was_confirmed(bridge, rabbitmq):
    """While messages are published and consumed; nothing hangs."""
    confirmed: set[bytes] = set()
    consumed: set[bytes] = set()
    progress = trio.Condition()

    async def tell() -> None:
        async with progress:
            progress.notify_all()

    async def publishing() -> None:
        number = 0
        while True:
            seen = line.status
            bodies = [b"%d" % i for i in range(number, number + 20)]
            number += 20
            fates = await line.publish(messages(queue, bodies))
            pairs = zip(bodies, fates, strict=True)
            confirmed.update(body for body, fate in pairs if fate is CONFIRMED)
            await tell()
            while line.status == seen and not seen.serving:
                await line.changed()

    async def consuming() -> None:
        while True:
            with suppress(Unavailable):  # who tries again at once lets the line come back
                async with line.consume(queue, 10) as deliveries:
                    async for delivery in deliveries:
                        await delivery.ack()
                        consumed.add(delivery.body)
                        await tell()

    async def reached(count: int) -> None:
        async with progress:
            while len(confirmed) < count:
                await progress.wait()

    async with open_line(rabbitmq.url()) as line, trio.open_nursery() as nursery:
        queue = await new_queue(line)
        settled = trio.current_time() + SETTLED_SECONDS
        nursery.start_soon(publishing)
        nursery.start_soon(consuming)
        with trio.fail_after(3 * PATIENCE_SECONDS):
            while trio.current_time() < settled:
                await reached(len(confirmed) + 20)
            try:
                rabbitmq.kill()
                await until(line, lambda status: not status.connected)
            finally:
                await trio.to_thread.run_sync(rabbitmq.start)
            await reached(len(confirmed) + 200)
            needed = set(confirmed)
            async with progress:
                while not needed <= consumed:
                    await progress.wait()
        nursery.cancel_scope.cancel()


async def test_a_broker_out_of_memory_blocks_publishing_alone(bridge, rabbitmq):
    """It is told, and refused at once; what is there can be taken, and it passes."""
    async with open_line(rabbitmq.url()) as line:
        queue = await new_queue(line)
        await publish(line, queue, b"before")
        rabbitmq.control("set_vm_memory_high_watermark", "0.00001")
        fates = []
        told = trio.Event()

        async def publish_on() -> None:
            """The alarm comes some time after the order, and is told to those who publish then."""
            while not told.is_set():
                fates.extend(await line.publish(messages(queue, [b"while"])))

        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(publish_on)
                status = await until(line, lambda status: status.blocked)
                told.set()
                assert status.connected
                assert not status.serving
                assert "memory" in status.reason
                assert await line.publish(messages(queue, [b"not"])) == [PublishFate.REFUSED]
                first, *others = await drain(line, queue)
                assert (first, set(others) - {b"while"}) == (b"before", set())
                rabbitmq.control("set_vm_memory_high_watermark", "0.4")
                status = await until(line, lambda status: status.serving)
                assert status.reason == ""
        finally:
            rabbitmq.control("set_vm_memory_high_watermark", "0.4")
        assert set(fates) == {CONFIRMED}
        await publish(line, queue, b"after")
        assert b"not" not in await drain(line, queue)


async def test_a_broker_that_hangs_holds_nobody_longer_than_the_limit(bridge, rabbitmq):
    """What it may have is unknown; when it goes on, so does the line."""
    async with open_line(rabbitmq.url(), call_timeout_seconds=SOON_SECONDS) as line:
        with trio.fail_after(PATIENCE_SECONDS):
            queue = await declared(line)
        rabbitmq.pause()
        try:
            with trio.fail_after(PATIENCE_SECONDS):
                assert await line.publish(messages(queue, [b"x"])) == [PublishFate.UNKNOWN]
                for call in (line.get, line.depth):
                    with pytest.raises(Unavailable, match="no answer within 1 s"):
                        await call(queue)
                with pytest.raises(Unavailable, match="no answer within 1 s"):
                    async with line.consume(queue, 1):
                        pass
        finally:
            rabbitmq.resume()
        with trio.fail_after(PATIENCE_SECONDS):
            while await line.publish(messages(queue, [b"y"])) != [CONFIRMED]:
                pass
        bodies = []
        with trio.fail_after(PATIENCE_SECONDS):
            while b"x" not in bodies:  # the get that was given up has given it back
                bodies += await drained(line, queue)


async def declared(line) -> str:
    """A new queue, however long the broker needs for it."""
    while True:
        try:
            return await new_queue(line)
        except Unavailable:
            continue


async def drained(line, queue) -> list[bytes]:
    """What a queue has, as far as it answers in time."""
    try:
        return await drain(line, queue)
    except Unavailable:
        return []


async def test_a_connection_that_died_silently_is_given_up_and_replaced(bridge, rabbitmq):
    """By its heartbeats; whoever waits is told."""
    async with paused_relay(rabbitmq.port) as (port, paused):
        url = f"amqp://127.0.0.1:{port}"
        async with open_line(url, heartbeat_seconds=1) as line:
            queue = await new_queue(line)
            async with line.consume(queue, 1) as deliveries:
                paused.set()
                with trio.fail_after(PATIENCE_SECONDS):
                    with pytest.raises(Unavailable, match="no sign of life for 6 s"):
                        await anext(deliveries)
            status = await until(line, lambda status: not status.connected)
            assert "no sign of life" in status.reason


async def test_unconfirmed_messages_of_a_silent_broker_stay_within_their_bounds(bridge, rabbitmq):
    """However many calls have given up; then nothing more is handed over."""
    terms = {"call_timeout_seconds": SOON_SECONDS, "unconfirmed_bytes": 1024 * 1024}
    async with open_line(rabbitmq.url(), **terms) as line:
        rabbitmq.pause()
        try:
            fates = set()
            with trio.fail_after(PATIENCE_SECONDS):
                while fates != {PublishFate.REFUSED}:
                    fates = set(await line.publish(messages("q", [bytes(500_000)] * 2)))
        finally:
            rabbitmq.resume()


async def test_a_refused_login_is_told_and_tried_again(bridge, rabbitmq):
    """Until it is allowed."""
    rabbitmq.control("add_user", "late", "another")
    rabbitmq.control("set_permissions", "-p", "/", "late", ".*", ".*", ".*")
    async with open_line(rabbitmq.url("late:s3cret"), serving=False) as line:
        status = await until(line, lambda status: "refused" in status.reason.lower())
        assert not status.connected
        assert "s3cret" not in status.reason
        rabbitmq.control("change_password", "late", "s3cret")
        await until(line, lambda status: status.serving)
        assert math.isfinite(line.status.since)


async def test_leaving_a_line_does_not_wait_for_a_broker_that_hangs(bridge, rabbitmq):
    """Beyond the limit of a call."""
    try:
        with trio.fail_after(PATIENCE_SECONDS):
            async with open_line(rabbitmq.url(), call_timeout_seconds=5.0):
                rabbitmq.pause()
    finally:
        rabbitmq.resume()
