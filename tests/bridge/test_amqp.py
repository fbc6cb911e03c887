"""A connection to a broker: a real RabbitMQ, and peers that are none."""

from __future__ import annotations

import socket
import ssl
import traceback
from collections.abc import Iterator
from contextlib import suppress

import aiormq
import pytest
import trio
from bridge.relays import paused_relay, serving
from trio_asyncio import aio_as_trio

from hermesd.bridge.amqp import open_amqp
from hermesd.core.amqp_url import AmqpUrl
from hermesd.core.broker import QueueFacts
from hermesd.core.errors import AccessRefused, InvalidValue, Unavailable

PATIENCE_SECONDS = 150.0
SOON_SECONDS = 0.3


@pytest.fixture
def unused_port() -> Iterator[int]:
    """A port that refuses: bound by us, and not listened on."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


async def _declared(url: str, name: str, messages: int) -> None:
    connection = await aiormq.connect(url)
    channel = await connection.channel()
    await channel.queue_declare(name, durable=True)
    await channel.queue_purge(name)
    for _ in range(messages):
        await channel.basic_publish(b"x", routing_key=name)
    await connection.close()


async def broker_at(url, **options):
    async with open_amqp(url, **{"call_timeout_seconds": PATIENCE_SECONDS, **options}) as opened:
        return opened.broker


async def test_a_broker_says_who_it_is(bridge, rabbitmq):
    """Product, version and cluster come from its greeting."""
    broker = await broker_at(rabbitmq.url())
    assert broker.product == "RabbitMQ"
    assert broker.version.startswith(("3.", "4."))
    assert "@" in broker.cluster_name


async def test_a_queue_tells_what_it_holds(bridge, rabbitmq):
    """Its ready messages and its consumers."""
    await aio_as_trio(_declared)(rabbitmq.url(), "facts", 3)
    async with open_amqp(rabbitmq.url(), call_timeout_seconds=PATIENCE_SECONDS) as connection:
        assert await connection.queue("facts") == QueueFacts(messages=3, consumers=0)


async def test_an_absent_queue_is_none_and_harms_no_later_call(bridge, rabbitmq):
    """The broker closes a channel for it, which is not the one of the next call."""
    await aio_as_trio(_declared)(rabbitmq.url(), "present", 0)
    async with open_amqp(rabbitmq.url(), call_timeout_seconds=PATIENCE_SECONDS) as connection:
        for _ in range(3):
            assert await connection.queue("absent") is None
            assert await connection.queue("present") == QueueFacts(messages=0, consumers=0)
        assert 0 < await connection.round_trip_seconds() < PATIENCE_SECONDS


async def test_many_calls_at_once_share_a_connection(bridge, rabbitmq):
    """Each error closes a channel, whose number must not be opened again too soon."""
    answers = []
    async with open_amqp(rabbitmq.url(), call_timeout_seconds=PATIENCE_SECONDS) as connection:

        async def ask() -> None:
            answers.append(await connection.queue("absent"))

        async with trio.open_nursery() as nursery:
            for _ in range(150):
                nursery.start_soon(ask)
    assert answers == [None] * 150


@pytest.mark.parametrize(
    ("login", "vhost"), [("guest:s3cret-word", ""), ("s3cret-word:x", ""), ("guest:guest", "none")]
)
async def test_a_refused_login_is_told_from_a_broker_that_is_away(bridge, rabbitmq, login, vhost):
    """By an error of its own, without the password; so is a virtual host that is not there."""
    with pytest.raises(AccessRefused, match=f"^127.0.0.1:{rabbitmq.port}: ") as caught:
        await broker_at(rabbitmq.url(login, vhost))
    assert "s3cret-word" not in str(caught.value)


@pytest.mark.parametrize("name", ["", "x" * 256, "nul\0", "é", "\udc80"])
async def test_what_cannot_name_a_queue_is_refused_at_once(bridge, rabbitmq, name):
    """And the connection serves on."""
    async with open_amqp(rabbitmq.url(), call_timeout_seconds=PATIENCE_SECONDS) as connection:
        with pytest.raises(InvalidValue, match="name"):
            await connection.queue(name)
        assert await connection.queue("absent") is None


async def test_where_nothing_listens_it_is_unavailable(bridge, unused_port):
    """The error names address and reason."""
    with pytest.raises(Unavailable, match=f"^127.0.0.1:{unused_port}: connection refused$"):
        await broker_at(f"amqp://guest:s3cret@127.0.0.1:{unused_port}")


async def test_a_host_without_an_address_is_unavailable(bridge):
    """The reason is the resolver's (RFC 6761: there is no such host)."""
    with pytest.raises(Unavailable, match=r"^nowhere\.invalid:5672: "):
        await broker_at("amqp://nowhere.invalid")


@pytest.mark.parametrize("scheme", ["amqp", "amqps"])
async def test_a_peer_that_never_answers_is_given_up(bridge, scheme):
    """At the time limit, with the connection closed."""
    closed = trio.Event()

    async def listen(stream: trio.SocketStream) -> None:
        with suppress(trio.BrokenResourceError):
            while await stream.receive_some():
                pass
        closed.set()

    async with serving(listen) as port:
        with pytest.raises(Unavailable, match=f"127.0.0.1:{port}: no answer within 0.3 s"):
            await broker_at(f"{scheme}://127.0.0.1:{port}", call_timeout_seconds=SOON_SECONDS)
        with trio.fail_after(PATIENCE_SECONDS):
            await closed.wait()


@pytest.mark.parametrize(
    "answer", [b"", b"HTTP/1.1 400 Bad Request\r\n\r\n", b"AMQP\x00\x01\x00\x00", b"\xff" * 999]
)
async def test_a_peer_that_speaks_no_amqp_is_unavailable(bridge, answer):
    """Whatever it says before it hangs up."""

    async def reply(stream: trio.SocketStream) -> None:
        await stream.receive_some()
        await stream.send_all(answer)
        await stream.aclose()

    async with serving(reply) as port:
        with pytest.raises(Unavailable, match=f"^127.0.0.1:{port}: .") as caught:
            await broker_at(f"amqp://127.0.0.1:{port}")
    assert "0x" not in str(caught.value)


async def test_over_tls_the_brokers_certificate_is_checked(bridge, rabbitmq):
    """Against the context that is given, or else against the system's authorities."""
    context = ssl.create_default_context()
    rabbitmq.authority.configure_trust(context)
    assert (await broker_at(rabbitmq.tls_url, ssl_context=context)).product == "RabbitMQ"
    with pytest.raises(Unavailable, match="certificate verify failed"):
        await broker_at(rabbitmq.tls_url)


async def test_a_node_that_is_killed_is_lost_in_bounded_time_and_found_again(bridge, rabbitmq):
    """The connection stays lost; a new one to the restarted node works."""
    try:
        async with open_amqp(rabbitmq.url(), call_timeout_seconds=PATIENCE_SECONDS) as connection:
            assert await connection.queue("absent") is None
            rabbitmq.kill()
            for _ in range(2):
                with trio.fail_after(PATIENCE_SECONDS / 2), pytest.raises(Unavailable):
                    await connection.queue("absent")
            with pytest.raises(Unavailable, match="refused"):
                await broker_at(rabbitmq.url())
    finally:
        rabbitmq.start()
    assert (await broker_at(rabbitmq.url())).product == "RabbitMQ"


async def test_a_node_that_hangs_is_left_in_bounded_time(bridge, rabbitmq):
    """Calls and the close of the connection each end at the limit."""
    async with paused_relay(rabbitmq.port) as (port, paused):
        with trio.fail_after(PATIENCE_SECONDS):
            url = f"amqp://127.0.0.1:{port}"
            async with open_amqp(url, call_timeout_seconds=2) as connection:
                assert await connection.queue("absent") is None
                paused.set()
                with pytest.raises(Unavailable, match="no answer within 2 s"):
                    await connection.queue("absent")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "localhost",
        "http://h",
        "amqp://",
        "amqp://u:s3cret@",
        "amqp://u:s3cret@h:0",
        "amqp://u:s3cret@h:99999",
        "amqp://u:s3/cret@h",
        "amqp://u:5/s3cret@h",
        "amqp://u:5?s3cret@h",
        "amqp://u:5#s3cret@h",
        "amqp://u:s3cret@[h",
        "amqp://u:s3cret @h",
        "amqp://u:%ff%s3cret@h",
        "amqp://u:s3cret%00@h",
        "amqp://u:s3cret@h/a/b",
        "amqp://u:s3cret@h/?heartbeat=0",
    ],
)
async def test_what_is_no_url_of_a_broker_is_refused_without_being_shown(bridge, url):
    """A password may stand wherever something was not escaped."""
    with pytest.raises(InvalidValue, match="url") as caught:
        await broker_at(url)
    shown = "".join(traceback.format_exception(caught.value))
    assert "cret@" not in shown
    assert "s3cret" not in str(caught.value)


def test_the_parts_of_a_url_are_decoded() -> None:
    """What it lacks is filled in; what may be shown has no password."""
    full = AmqpUrl.parse("amqps://a%40b:p%2Fw%25@[::1]:99/v%2Fw%2F2F")
    assert (full.host, full.port, full.tls) == ("::1", 99, True)
    assert (full.user, full.password, full.vhost) == ("a@b", "p/w%", "v/w/2F")
    assert full.where == "[::1]:99"
    assert "p/w%" not in repr(full)
    least = AmqpUrl.parse("amqp://h")
    assert (least.port, least.tls, least.vhost) == (5672, False, "/")
    assert (least.user, least.password) == ("guest", "guest")
