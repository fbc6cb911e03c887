"""A RabbitMQ node of the tests' own, beside whatever else runs on this machine."""

from __future__ import annotations

import contextlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import pytest
import trustme
from processes.ports import free_port
from processes.run import RUN, run_folder

LAUNCHERS: Final = "rabbitmq_server-*/sbin/rabbitmq-server"
PACKAGE_FOLDER: Final = Path("/usr/lib/rabbitmq/lib")  # Debian's
AMQP_HEADER: Final = b"AMQP\x00\x00\x09\x01"
BOOT_SECONDS: Final = 120.0
STOP_SECONDS: Final = 30.0
POLL_SECONDS: Final = 0.05
STARTS: Final = 3  # another process may take a port before the node does
VM_ARGUMENTS: Final = "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none"


class RabbitNode:
    """One node with a name, ports, files and an epmd of its own; started and killed at will."""

    def __init__(self, launcher: Path) -> None:
        self._launcher = launcher
        self._user = "rabbitmq" if os.geteuid() == 0 else ""
        self._folder = Path(tempfile.mkdtemp(prefix="rabbitmq-", dir=run_folder()))
        self._processes: list[subprocess.Popen[bytes]] = []
        self._known = False  # it has been up, so its ports stay
        self.authority = trustme.CA()
        self._write_files()
        self._choose_ports()

    def url(self, login: str = "guest:guest", vhost: str = "") -> str:
        """Where it is, for a client that logs in like this."""
        return f"amqp://{login}@127.0.0.1:{self.port}/{vhost}"

    @property
    def tls_url(self) -> str:
        """Where it speaks TLS, with a certificate of `authority` for 127.0.0.1."""
        return f"amqps://guest:guest@127.0.0.1:{self._tls_port}/"

    @property
    def running(self) -> bool:
        """Whether it was started and not killed since."""
        return bool(self._processes)

    def start(self) -> None:
        """Boot it; a failure shows the node's own last words."""
        for _ in range(STARTS):
            self._spawn(["epmd", "-port", str(self._epmd_port), "-address", "127.0.0.1"])
            if self._answers(self._epmd_port, b""):
                self._spawn([str(self._launcher)])
                if self._answers(self.port, AMQP_HEADER):
                    self._known = True
                    return
            self.kill()
            if self._known:
                break
            self._choose_ports()
        raise RuntimeError("RabbitMQ did not start:\n" + self._last_words())

    def kill(self) -> None:
        """kill -9 for all of it, and wait for the end."""
        for process in self._processes:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait(STOP_SECONDS)
        self._processes.clear()

    def pause(self) -> None:
        """Let it hang: it keeps its sockets and says nothing."""
        os.killpg(self._processes[-1].pid, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        os.killpg(self._processes[-1].pid, signal.SIGCONT)

    def control(self, *arguments: str) -> str:
        """What rabbitmqctl says."""
        environment = self._environment()
        del environment["RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS"]
        command = self._as_user([str(self._launcher.with_name("rabbitmqctl")), *arguments])
        with subprocess.Popen(
            command,
            cwd=self._folder,
            env=environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        ) as process:
            try:
                told, _ = process.communicate(timeout=BOOT_SECONDS)
            except subprocess.TimeoutExpired:
                # Its own children keep the pipe open, and would be waited for without an end.
                os.killpg(process.pid, signal.SIGKILL)
                raise
        if process.returncode:
            raise RuntimeError(f"rabbitmqctl {arguments[0]}: {told}")
        return told

    def remove(self) -> None:
        """Kill it and delete its files."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _choose_ports(self) -> None:
        self.port, self._tls_port, self._dist_port, self._epmd_port = (
            free_port() for _ in range(4)
        )
        (self._folder / "rabbitmq.conf").write_text(
            "disk_free_limit.absolute = 50MB\n"
            f"listeners.ssl.1 = 127.0.0.1:{self._tls_port}\n"
            f"ssl_options.cacertfile = {self._folder}/authority.pem\n"
            f"ssl_options.certfile = {self._folder}/own.pem\n"
            f"ssl_options.keyfile = {self._folder}/own.pem\n"
        )

    def _write_files(self) -> None:
        own = self.authority.issue_cert("127.0.0.1").private_key_and_cert_chain_pem
        own.write_to_path(str(self._folder / "own.pem"))
        self.authority.cert_pem.write_to_path(str(self._folder / "authority.pem"))
        (self._folder / "plugins").write_text("[].\n")
        cookie = self._folder / ".erlang.cookie"
        cookie.write_text("HERMESDTESTS")
        cookie.chmod(0o400)
        if self._user:
            for path in (self._folder, *self._folder.iterdir()):
                shutil.chown(path, self._user, pwd.getpwnam(self._user).pw_gid)

    def _environment(self) -> dict[str, str]:
        return {
            "PATH": os.environ["PATH"],
            RUN: str(run_folder()),
            "HOME": str(self._folder),
            "LANG": "C.UTF-8",
            "ERL_EPMD_PORT": str(self._epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"hermesd-{os.getpid()}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(self._dist_port),
            "RABBITMQ_MNESIA_BASE": str(self._folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self._folder / "log"),
            "RABBITMQ_PID_FILE": str(self._folder / "pid"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self._folder / "plugins"),
            "RABBITMQ_CONFIG_FILE": str(self._folder / "rabbitmq.conf"),
            "RABBITMQ_CONF_ENV_FILE": "/dev/null",
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": VM_ARGUMENTS,
        }

    def _as_user(self, command: list[str]) -> list[str]:
        ids = ["--reuid", self._user, "--regid", self._user, "--init-groups"]
        return ["setpriv", *ids, "--", *command] if self._user else command

    def _spawn(self, command: list[str]) -> None:
        with (self._folder / "output").open("ab") as output:
            process = subprocess.Popen(
                self._as_user(command),
                cwd=self._folder,
                env=self._environment(),
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,  # kill() ends the group
            )
        self._processes.append(process)

    def _answers(self, port: int, greeting: bytes) -> bool:
        """Wait until `port` accepts, and answers `greeting` if there is one; False: it will not."""
        until = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < until and self._processes[-1].poll() is None:
            with (
                contextlib.suppress(OSError),
                socket.create_connection(("127.0.0.1", port), timeout=5) as peer,
            ):
                peer.sendall(greeting)
                if not greeting or peer.recv(8)[:1] == b"\x01":  # a method frame
                    return True
            time.sleep(POLL_SECONDS)  # there is nothing to be woken by
        return False

    def _last_words(self) -> str:
        return (self._folder / "output").read_text("utf-8", "replace")[-4000:]


@pytest.fixture(scope="session")
def rabbitmq() -> Iterator[RabbitNode]:
    """A running node; a test that kills it starts it again."""
    launchers = sorted(PACKAGE_FOLDER.glob(LAUNCHERS))
    if not launchers:
        pytest.fail("RabbitMQ is not installed: apt-get install rabbitmq-server, or make test")
    node = RabbitNode(launchers[-1])
    try:
        node.start()
        yield node
    finally:
        node.remove()
