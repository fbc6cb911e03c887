"""What is told to systemd arrives, and what cannot be told harms nobody."""

from __future__ import annotations

import contextlib
import json
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from click.testing import CliRunner

from hermesd.cli.main import cli
from hermesd.config import Config
from hermesd.daemon.sockets import CONTROL, HTTP
from hermesd.systemd import (
    BadSocket,
    Notifier,
    credentials_directory,
    take_sockets,
    watchdog_interval_seconds,
)

UNITS = Path(__file__).parent.parent / "systemd"
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


def test_sockets_that_are_meant_for_another_process_are_left_alone() -> None:
    """Its variables go all the same: no child of ours is to believe them."""
    environ = {"LISTEN_PID": "8", "LISTEN_FDS": "1", "LISTEN_FDNAMES": "http", "HOME": "/"}
    assert take_sockets(environ, 7) == []
    assert environ == {"HOME": "/"}
    assert take_sockets({}, 7) == []


@pytest.mark.parametrize(
    ("environ", "why"),
    [
        ({"LISTEN_PID": "7", "LISTEN_FDS": "many"}, "must be numbers"),
        ({"LISTEN_PID": "7", "LISTEN_FDS": "2", "LISTEN_FDNAMES": "http"}, "1 names for 2 sockets"),
    ],
)
def test_what_cannot_be_meant_is_refused(environ: dict[str, str], why: str) -> None:
    """By whoever sets these variables without systemd."""
    with pytest.raises(BadSocket, match=why):
        take_sockets(environ, 7)


PASSED = """
import json, os, socket, subprocess, sys
from hermesd.systemd import BadSocket, take_sockets
try:
    taken = take_sockets(os.environ, os.getpid())
except BadSocket as error:
    sys.exit(str(error))
look = "import os; print(sorted(os.listdir('/proc/self/fd')), 'LISTEN_FDS' in os.environ)"
child = subprocess.run([sys.executable, "-c", look], close_fds=False, capture_output=True)
found = [[each.name, each.host, each.port] for each in taken]
print(json.dumps([found, child.stdout.decode()]))
"""


def passed(*sockets: socket.socket | int, names: str = "") -> subprocess.CompletedProcess[str]:
    """What a process makes of these, which it is started with as 3 and what follows."""
    script = Path(__file__).parent / "processes" / "activated.py"
    numbers = [each if isinstance(each, int) else each.fileno() for each in sockets]
    argv = [sys.executable, str(script), names, ",".join(map(str, numbers)), "-c", PASSED]
    return subprocess.run(
        argv, pass_fds=numbers, capture_output=True, text=True, timeout=120, check=False
    )


def test_passed_sockets_come_with_their_names_and_are_not_inherited() -> None:
    """Any address family of TCP."""
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("::1", 0), family=socket.AF_INET6) as two,
    ):
        result = passed(one, two, names="http:control")
        found, child = json.loads(result.stdout)
        assert found == [
            ["http", "127.0.0.1", one.getsockname()[1]],
            ["control", "::1", two.getsockname()[1]],
        ]
        assert child.split("]")[0].count("'") == 2 * 4  # 0 to 2, and the listing itself
        assert "False" in child
        assert passed(one).stdout.startswith('[[["unknown"')


def test_what_nobody_can_be_accepted_from_is_refused(tmp_path: Path) -> None:
    """A file, a datagram socket, a connection, a path."""
    with (
        (tmp_path / "file").open("w") as file,
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams,
        socket.socket() as idle,
        bound(str(tmp_path / "path")) as path,
    ):
        assert "on non-socket" in passed(file.fileno()).stderr
        for each in (datagrams, idle, path):
            assert "is no listening TCP socket" in passed(each).stderr


def units(folder: Path, *names: str) -> list[str]:
    """Instances of the units, with a program that exists here in the daemon's place."""
    for name in names:
        template = name.partition("@")[0] + "@." + name.rpartition(".")[2]
        text = (UNITS / template).read_text().replace("/usr/bin/hermesd", "/bin/true")
        (folder / name).write_text(text)
    return [str(folder / name) for name in names]


SERVICES = ("hermesd@api.service", "hermesd@worker-2.service", "hermesd@both.service")
SOCKETS = ("hermesd-http@api.socket", "hermesd-control@api.socket")


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    """What systemd itself says of the units."""
    argv = ["systemd-analyze", *arguments]
    return subprocess.run(argv, capture_output=True, text=True, timeout=120, check=False)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_units_are_ones_that_systemd_takes(tmp_path: Path) -> None:
    """Verify has nothing to say."""
    result = analyze("verify", "--man=no", *units(tmp_path, *SERVICES, *SOCKETS))
    ours = [line for line in result.stderr.splitlines() if "hermesd" in line]
    assert (ours, result.returncode) == ([], 0)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
def test_the_service_may_do_little(tmp_path: Path) -> None:
    """An exposure of 2.0 at most."""
    result = analyze(
        "security", "--offline=true", "--threshold=20", *units(tmp_path, "hermesd@worker.service")
    )
    assert result.returncode == 0, result.stdout


@pytest.mark.parametrize("name", SERVICES)
def test_the_service_calls_commands_that_there_are(name: str, tmp_path: Path) -> None:
    """With the options that they take, for each kind of instance."""
    instance = name.partition("@")[2].removesuffix(".service")
    calls = [
        shlex.split(line.partition("/usr/bin/hermesd ")[2].replace("%i", instance))
        for line in (UNITS / "hermesd@.service").read_text().splitlines()
        if line.startswith("Exec") and "/usr/bin/hermesd " in line
    ]
    assert ["serve", "--instance", instance] in calls
    broken = tmp_path / "hermes.toml"
    broken.write_text("[api]\nprot = 1\n")
    for call in calls:
        result = CliRunner().invoke(cli, ["--config", str(broken), *call])
        assert (result.exit_code, "did you mean 'port'" in result.output) == (78, True), call


def test_the_sockets_listen_where_the_configuration_does_by_default() -> None:
    """So that to switch them on changes nothing else; and under names that an api knows."""
    config = Config()
    for name, section in ((HTTP, config.api), (CONTROL, config.control)):
        lines = (UNITS / f"hermesd-{name}@.socket").read_text().splitlines()
        assert f"ListenStream={section.host}:{section.port}" in lines
        assert f"FileDescriptorName={name}" in lines
        assert "Service=hermesd@%i.service" in lines
