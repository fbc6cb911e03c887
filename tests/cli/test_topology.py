"""`hermesd topology`, against a real RabbitMQ."""

from __future__ import annotations

import json
import signal
import socket
import subprocess
from collections.abc import Callable
from typing import Any

import pytest

NAMES = (
    "dlx",
    "jobs",
    "dlq",
    "returned",
    "outcomes",
    "default.critical",
    "default.high",
    "default.normal",
    "default.background",
)


@pytest.fixture
def topology(command: Callable[..., subprocess.Popen[str]]) -> Callable[..., tuple[int, str, str]]:
    """Runs `hermesd topology` as a process, with keys of [queue]: its code, stdout and stderr."""

    def topology(*args: str, **keys: str) -> tuple[int, str, str]:
        env = {f"HERMES_QUEUE__{key.upper()}": value for key, value in keys.items()}
        process = command("topology", *args, env=env)
        stdout, stderr = process.communicate(timeout=120)
        return process.returncode, stdout, stderr

    return topology


def test_apply_creates_what_check_then_finds(topology: Any, rabbitmq: Any) -> None:
    """And to apply it again changes nothing."""
    keys = {"url": rabbitmq.url(), "namespace": "made"}
    for command, expected, word in (
        ("check", 1, "absent"),
        ("apply", 0, "created"),
        ("apply", 0, "same"),
        ("check", 0, "same"),
    ):
        code, stdout, stderr = topology(command, **keys)
        assert code == expected
        heading, *rows = [line.split("\t") for line in stdout.splitlines()]
        assert heading == ["WHAT", "NAME", "FOUND", "DIFFERENCE"]
        assert [name for _, name, *_ in rows] == [f"made.{name}" for name in NAMES]
        assert {found for *_, found, _ in rows} == {word}
        assert bool(stderr) == (word == "absent")


def test_what_differs_is_told_and_left_alone(topology: Any, rabbitmq: Any) -> None:
    """With what is there and what should be."""
    keys = {"url": rabbitmq.url(), "namespace": "other"}
    assert topology("apply", **keys)[0] == 0
    swapped = {"names__outcomes": "other.dlq", "names__dead_letter_queue": "other.outcomes"}
    for command in ("apply", "check"):
        code, stdout, stderr = topology(command, "--json", **keys, **swapped)
        assert (code, stderr) == (1, "")
        told = json.loads(stdout)
        assert not told["complete"]
        different = {
            part["name"]: part["detail"]
            for part in told["found"]
            if part["presence"] == "different"
        }
        assert list(different) == ["other.outcomes", "other.dlq"]
        assert "x-dead-letter-exchange" in different["other.dlq"]
    code, stdout, stderr = topology("check", **keys)
    assert code == 0
    code, stdout, stderr = topology("check", **keys, **swapped)
    assert "delete it once it is empty" in stderr


def test_a_broker_over_tls_is_checked_against_its_authority(
    topology: Any, rabbitmq: Any, tmp_path: Any
) -> None:
    """Without the authority it is not reached, and a file that is none is told."""
    rabbitmq.authority.cert_pem.write_to_path(str(tmp_path / "ca.pem"))
    (tmp_path / "none.pem").write_text("no certificate")
    keys = {"url": rabbitmq.tls_url, "namespace": "tls"}
    code, _, stderr = topology("check", **keys)
    assert (code, "certificate" in stderr) == (69, True)
    code, _, stderr = topology("check", **keys, ca_file=str(tmp_path / "none.pem"))
    assert (code, "queue.ca_file" in stderr) == (78, True)
    assert topology("apply", **keys, ca_file=str(tmp_path / "ca.pem"))[0] == 0


def test_a_refused_login_is_exit_code_77(topology: Any, rabbitmq: Any) -> None:
    """Without the password."""
    code, stdout, stderr = topology("apply", url=rabbitmq.url("guest:s3cret"))
    assert (code, stdout) == (77, "")
    assert "ACCESS_REFUSED" in stderr
    assert "s3cret" not in stderr


def test_a_broker_that_is_not_reached_is_exit_code_69(topology: Any, unused_port: int) -> None:
    """One line says where and why."""
    code, stdout, stderr = topology("check", url=f"amqp://127.0.0.1:{unused_port}")
    assert (code, stdout) == (69, "")
    assert stderr == f"hermesd: 127.0.0.1:{unused_port}: connection refused\n"


def test_without_a_broker_in_the_configuration_there_is_nothing_to_do(topology: Any) -> None:
    """Exit code 78, as for any other fault of the configuration; the plan is shown all the same."""
    code, stdout, stderr = topology("apply")
    assert (code, stdout) == (78, "")
    assert stderr.startswith("hermesd: queue.url: is not set")
    assert topology("apply", url="amqp://h/a/b")[0] == 78


def test_show_prints_the_plan(topology: Any) -> None:
    """A line each, or all of it as JSON."""
    code, stdout, stderr = topology("show", namespace="plan")
    assert (code, stderr) == (0, "")
    rows = [line.split("\t") for line in stdout.splitlines()]
    assert ["exchange", "plan.jobs", "direct"] in rows
    assert ["binding", "plan.default.high", "from plan.jobs by default.high"] in rows
    (queue,) = [how for what, name, how in rows if (what, name) == ("queue", "plan.default.high")]
    assert "x-queue-type=quorum" in queue
    plan = json.loads(topology("show", "--json", namespace="plan")[1])
    assert [part["name"] for part in plan["exchanges"] + plan["queues"]] == [
        f"plan.{name}" for name in NAMES
    ]
    assert plan["bindings"][0] == {
        "exchange": "plan.dlx",
        "queue": "plan.dlq",
        "routing_key": "dead",
    }


def test_ctrl_c_ends_it_quietly(command: Any) -> None:
    """While it waits for a peer that never answers."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"amqp://127.0.0.1:{silent.getsockname()[1]}"
        process = command("topology", "check", env={"HERMES_QUEUE__URL": url})
        peer, _ = silent.accept()
        with peer:
            assert peer.recv(4) == b"AMQP"
            process.send_signal(signal.SIGINT)
            assert process.communicate(timeout=60) == ("", "")
    assert process.returncode == 130
