"""`hermesd broker check`, against a real RabbitMQ."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import trio
from trio_asyncio import aio_as_trio, open_loop


@pytest.fixture
def waiting(rabbitmq: Any) -> str:
    """The name of a queue with two messages."""
    import aiormq

    async def fill() -> None:
        connection = await aiormq.connect(rabbitmq.url())
        channel = await connection.channel()
        await channel.queue_declare("waiting", durable=True)
        await channel.queue_purge("waiting")
        for _ in range(2):
            await channel.basic_publish(b"x", routing_key="waiting")
        await connection.close()

    async def run() -> None:
        async with open_loop():
            await aio_as_trio(fill)()

    trio.run(run)
    return "waiting"


@pytest.fixture
def check(command: Callable[..., subprocess.Popen[str]]) -> Callable[..., tuple[int, str, str]]:
    """Runs `hermesd broker check` as a process: its code, stdout and stderr."""

    def check(*args: str, **env: str) -> tuple[int, str, str]:
        process = command("broker", "check", *args, env=env)
        stdout, stderr = process.communicate(timeout=60)
        return process.returncode, stdout, stderr

    return check


def test_it_shows_who_answers_and_what_waits(check: Any, rabbitmq: Any, waiting: str) -> None:
    """A line each, and nothing else."""
    code, stdout, stderr = check(rabbitmq.url(), "--queue", waiting)
    assert (code, stderr) == (0, "")
    lines = dict(line.split("\t") for line in stdout.splitlines())
    assert list(lines) == ["product", "version", "cluster", "round trip", "queue waiting"]
    assert lines["product"] == "RabbitMQ"
    assert lines["round trip"].endswith(" ms")
    assert lines["queue waiting"] == "messages 2, consumers 0"


def test_a_queue_that_is_absent_is_exit_code_1(check: Any, rabbitmq: Any, waiting: str) -> None:
    """The others are shown all the same; the URL may come from the environment."""
    args = ("--queue", "none", "--queue", waiting, "--json")
    code, stdout, stderr = check(*args, HERMES_BROKER_URL=rabbitmq.url())
    assert (code, stderr) == (1, "")
    shown = json.loads(stdout)
    assert shown["queues"] == {"none": None, "waiting": {"messages": 2, "consumers": 0}}
    assert shown["product"] == "RabbitMQ"
    assert shown["round_trip_ms"] > 0


def test_a_refused_login_is_exit_code_77(check: Any, rabbitmq: Any) -> None:
    """Without the password."""
    code, stdout, stderr = check(rabbitmq.url("guest:s3cret"))
    assert (code, stdout) == (77, "")
    assert stderr.startswith(f"hermesd: 127.0.0.1:{rabbitmq.port}: ACCESS_REFUSED")
    assert "s3cret" not in stderr


def test_a_broker_that_is_not_reached_is_exit_code_69(check: Any, unused_port: int) -> None:
    """One line says where and why."""
    code, stdout, stderr = check(f"amqp://127.0.0.1:{unused_port}")
    assert (code, stdout) == (69, "")
    assert stderr == f"hermesd: 127.0.0.1:{unused_port}: connection refused\n"


def test_a_url_that_is_none_is_exit_code_64(check: Any) -> None:
    """So is none at all, and neither shows a password."""
    for args in (("amqp://u:s3/cret@h",), ()):
        code, stdout, stderr = check(*args)
        assert (code, stdout) == (64, "")
        assert "cret" not in stderr


def test_ctrl_c_ends_it_quietly(command: Any) -> None:
    """While it waits for a peer that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        process = command("broker", "check", f"amqp://127.0.0.1:{silent.getsockname()[1]}")
        peer, _ = silent.accept()
        with peer:
            assert peer.recv(4) == b"AMQP"
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 130
