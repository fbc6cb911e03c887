"""What is told to systemd arrives, and what cannot be told harms nobody."""

from __future__ import annotations

import contextlib
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from hermesd.systemd import Notifier, credentials_directory, watchdog_interval_seconds

UNIT = Path(__file__).parent.parent / "systemd" / "hermesd@.service"
RECEIVE_SECONDS = 10


def bound(address: str) -> socket.socket:
    receiver = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    receiver.settimeout(RECEIVE_SECONDS)
    receiver.bind(address)
    return receiver


@pytest.fixture
def receiver(tmp_path: Path) -> Iterator[socket.socket]:
    """The socket that systemd would listen on."""
    with bound(str(tmp_path / "notify")) as receiver:
        yield receiver


def test_every_message_arrives_as_the_protocol_has_it(receiver: socket.socket) -> None:
    """One datagram each, by sd_notify(3)."""
    notifier = Notifier({"NOTIFY_SOCKET": receiver.getsockname()})
    notifier.ready()
    notifier.status("3 workers\nREADY=0 " + "x" * 1000)
    notifier.watchdog()
    notifier.extend_timeout(1.5)
    notifier.stopping()
    received = [receiver.recv(4096).decode() for _ in range(5)]
    assert received[0] == "READY=1"
    assert received[1] == ("STATUS=3 workers READY=0 " + "x" * 1000)[: len("STATUS=") + 500]
    assert received[2:] == ["WATCHDOG=1", "EXTEND_TIMEOUT_USEC=1500000", "STOPPING=1"]


def test_an_abstract_socket_is_reached() -> None:
    """An address that begins with @ has no file."""
    with bound("") as receiver:  # the kernel picks an abstract name
        name = receiver.getsockname()[1:].decode()
        Notifier({"NOTIFY_SOCKET": f"@{name}"}).ready()
        assert receiver.recv(100) == b"READY=1"


@pytest.mark.parametrize(
    "address", ["", "/nowhere/notify", "relative", "vsock:2:1", "@", "/a\0b", "/" + "x" * 300]
)
def test_without_a_listener_nothing_happens(address: str) -> None:
    """No failure reaches the daemon."""
    notifier = Notifier({"NOTIFY_SOCKET": address})
    notifier.ready()
    notifier.status("\udcff")
    Notifier({}).ready()


def test_a_listener_that_does_not_read_is_not_waited_for_long(receiver: socket.socket) -> None:
    """A full queue drops the message."""
    notifier = Notifier({"NOTIFY_SOCKET": receiver.getsockname()})
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as filler:
        filler.setblocking(False)
        filler.connect(receiver.getsockname())
        with contextlib.suppress(BlockingIOError):
            while True:
                filler.send(b"x")
    notifier.watchdog()


@pytest.mark.parametrize(
    ("environ", "seconds"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "soon"}, None),
        ({}, None),
    ],
)
def test_the_watchdog_is_fed_twice_as_often_as_it_must_be(
    environ: dict[str, str], seconds: float | None
) -> None:
    """Half of the time, and only where it is meant for this process."""
    assert watchdog_interval_seconds(environ, 7) == seconds


def test_credentials_are_where_systemd_says() -> None:
    """Unset and empty both mean that there are none."""
    assert credentials_directory({"CREDENTIALS_DIRECTORY": "/run/c"}) == Path("/run/c")
    assert credentials_directory({"CREDENTIALS_DIRECTORY": ""}) is None
    assert credentials_directory({}) is None


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_unit_is_one_that_systemd_takes(tmp_path: Path) -> None:
    """With a program that exists here in the daemon's place, verify has nothing to say."""
    unit = tmp_path / UNIT.name
    unit.write_text(UNIT.read_text().replace("/usr/bin/hermesd", "/bin/true"))
    (tmp_path / "hermesd@both.service").symlink_to(unit)
    result = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", str(tmp_path / "hermesd@both.service")],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    ours = [line for line in result.stderr.splitlines() if "hermesd" in line]
    assert (ours, result.returncode) == ([], 0)
