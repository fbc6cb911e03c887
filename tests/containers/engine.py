"""A Docker engine of the tests' own: what it starts ends with it, and its network is its own."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Final, Self

CGROUPS: Final = Path("/sys/fs/cgroup")
START_SECONDS: Final = 120.0
STOP_SECONDS: Final = 120.0
PATIENCE_SECONDS: Final = 900.0
# Sockets and locks go to a /run of its own too; the first process collects those that end.
BEGIN: Final = 'ip link set lo up && mount -t tmpfs tmpfs /run && exec docker-init -- dockerd "$@"'
NAMESPACES: Final = ("--fork", "--pid", "--mount-proc", "--mount", "--net", "--kill-child")


class Engine:
    """Serves within `with`, over a socket in its folder; needs root, and Debian's docker.io."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._group = f"hermesd-tests-{os.getpid()}"  # above the control groups of its containers
        self.environ: Mapping[str, str] = {
            "PATH": os.environ["PATH"],
            "HOME": str(folder),
            "DOCKER_HOST": f"unix://{folder}/docker.sock",
            "DOCKER_BUILDKIT": "0",  # the engine builds by itself, as it does without a plugin
        }

    def __enter__(self) -> Self:
        options = ("--data-root", "data", "--exec-root", "exec", "--pidfile", "pid", "--host")
        paths = [word if word[0] == "-" else f"{self._folder}/{word}" for word in options]
        more = (self.environ["DOCKER_HOST"], "--cgroup-parent", f"/{self._group}")
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready, self._log() as log:
            ready.bind(f"{self._folder}/ready")
            self._process = subprocess.Popen(
                ["unshare", *NAMESPACES, "--", "sh", "-c", BEGIN, "dockerd", *paths, *more],
                env=os.environ | {"NOTIFY_SOCKET": f"{self._folder}/ready"},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )
            ready.settimeout(START_SECONDS)
            try:
                assert b"READY=1" in ready.recv(4096)
            except TimeoutError:
                self._end()
                raise AssertionError((self._folder / "log").read_text()[-4000:]) from None
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._end()

    def docker(self, *arguments: str) -> str:
        """What the command printed; it must end with 0."""
        return self.run("docker", *arguments)

    def inside(self, *command: str) -> str:
        """What a command printed that runs where the engine's host is: its processes and ports."""
        return self.run("nsenter", "--target", *self._inner(), "--net", "--pid", "--", *command)

    def run(self, *command: str, given: str = "") -> str:
        """The same of any command on this machine, with its standard input."""
        ended = subprocess.run(
            command,
            env=self.environ,
            input=given,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
        )
        assert ended.returncode == 0, f"{command}: {ended.stdout}{ended.stderr}"
        return ended.stdout

    def take(self, root: Path, image: str) -> None:
        """Make an image of what is in a folder."""
        pipe = 'tar -C "$1" -c . | docker import - "$2"'
        self.run("sh", "-c", pipe, "sh", str(root), image)

    @contextlib.contextmanager
    def events(self) -> Iterator[Iterator[str]]:
        """What happens to containers from here on, as it happens: "NAME ACTION"."""
        shown = ("--format", "{{.Actor.Attributes.name}} {{.Action}}")
        only = ("--since", f"{time.time():.6f}", "--filter", "type=container")
        with subprocess.Popen(
            ["timeout", f"{PATIENCE_SECONDS}", "docker", "events", *only, *shown],
            env=self.environ,
            stdout=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stdout is not None
            try:
                yield (line.strip() for line in process.stdout)
            finally:
                process.terminate()  # which `timeout` hands on

    def _log(self) -> IO[bytes]:
        return (self._folder / "log").open("wb")

    def _inner(self) -> list[str]:
        """The first process of the namespace, where it runs."""
        outer = self._process.pid
        return Path(f"/proc/{outer}/task/{outer}/children").read_text().split()

    def _end(self) -> None:
        """Kill it and all that it runs, and take away what that leaves on this machine."""
        for pid in self._inner():  # which is gone when all in its namespace are
            os.kill(int(pid), signal.SIGKILL)
        self._process.wait(STOP_SECONDS)
        for parent in [*CGROUPS.glob(self._group), *CGROUPS.glob(f"*/{self._group}")]:
            for folder in sorted(parent.rglob("*/"), reverse=True):
                folder.rmdir()
            parent.rmdir()
        for name in ("data", "exec"):
            shutil.rmtree(self._folder / name, ignore_errors=True)


def until(events: Iterator[str], wanted: set[str]) -> list[str]:
    """What happened up to the last of these; each must."""
    seen, missing = [], set(wanted)
    for event in events:
        seen.append(event)
        missing.discard(event)
        if not missing:
            return seen
    raise AssertionError(f"never came: {sorted(missing)}")
