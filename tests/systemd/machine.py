"""A machine with a real systemd: a container over an overlay of this one's root.

Needs root, systemd-nspawn and a kernel that mounts overlays; it has no network but a loopback of
its own. What happens in it happens in memory: nothing of this machine is changed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Final, Self

from systemd.cgroups import own_groups

BOOT_SECONDS: Final = 60.0
PATIENCE_SECONDS: Final = 150.0
HOST: Final = "box"
NAMESPACES: Final = ("-m", "-p", "-u", "-i", "-n", "-C", "-r", "-w")
# What is started at boot: no service of this machine's, only what every service of a test needs.
TARGET: Final = """[Unit]
Description=A machine of a test
Requires=basic.target
After=basic.target
AllowIsolate=yes
"""

# Moves itself into the groups before it becomes systemd-nspawn.
MOVED: Final = 'while [ "$1" != -- ]; do echo $$ >"$1"; shift; done; shift; exec "$@"'
NSPAWN: Final = (
    *("systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", "--machine=hermes"),
    *("--private-network", "--console=pipe", "--notify-ready=yes", "--kill-signal=SIGRTMIN+3"),
    *("--resolv-conf=off", "--timezone=off", "--link-journal=no"),
)

Result = subprocess.CompletedProcess[str]


class CannotBoot(Exception):
    """Why there can be no such machine here."""


class Machine:
    """A booted machine; paths given to its methods are absolute and mean paths in it."""

    def __init__(self, root: Path, leader: int) -> None:
        self.root = root
        self._leader = leader

    @classmethod
    @contextmanager
    def booted(cls, layers: Sequence[Path], folder: Path) -> Iterator[Self]:
        """Boot one, with the changes of earlier machines (`layers`, the newest first) as its own.

        Its changes are in `folder`/changes until the folder, which must be empty, is unmounted by
        the caller; see `memory`. Raises CannotBoot.
        """
        with ExitStack() as stack:
            root = stack.enter_context(_overlay(layers, folder))
            for wants in root.glob("etc/systemd/system/*.wants"):
                shutil.rmtree(wants)
            (root / "etc/machine-id").write_text("")
            # Where there is one, it is against services that packages start.
            (root / "usr/sbin/policy-rc.d").unlink(missing_ok=True)
            (root / "etc/hostname").write_text(f"{HOST}\n")
            (root / "etc/systemd/system/default.target").unlink(missing_ok=True)
            (root / "etc/systemd/system/default.target").write_text(TARGET)
            groups = stack.enter_context(own_groups(f"hermes-{os.getpid()}-{folder.name}"))
            yield cls(root, stack.enter_context(_nspawn(root, folder, groups)))

    def argv(self, *command: str) -> list[str]:
        """The words that run `command` in the machine, for whoever starts the process himself."""
        path = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"
        own = ("env", "-i", path, "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive", "NO_COLOR=1")
        return ["nsenter", "-t", str(self._leader), *NAMESPACES, *own, *command]

    def beside(self, *command: str) -> list[str]:
        """The words that run a command of this machine's in the network of that one."""
        return ["nsenter", "-t", str(self._leader), "-n", *command]

    def install(self, package: Path, status: int = 0) -> Result:
        """Install a package that lies outside."""
        shutil.copy(package, self.root / "root" / package.name)
        return self.run("dpkg", "--install", f"/root/{package.name}", status=status)

    def run(self, *command: str, stdin: str = "", status: int | None = 0) -> Result:
        """Run it to its end, which must be with `status`; None for any."""
        ended = subprocess.run(
            self.argv(*command),
            input=stdin,
            capture_output=True,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        said = f"{command} ended with {ended.returncode}: {ended.stdout}{ended.stderr}"
        assert status in (None, ended.returncode), said
        return ended

    def said(self, *command: str) -> str:
        """What a command that succeeds writes, without the last line's end."""
        return self.run(*command).stdout.rstrip("\n")

    def write(self, path: str, text: str | bytes, mode: int = 0o644) -> None:
        """A file and the folders above it."""
        file = self.root / path.lstrip("/")
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(text if isinstance(text, bytes) else text.encode())
        file.chmod(mode)

    def exists(self, path: str) -> bool:
        """Whether there is anything of that name, be it a link to nowhere."""
        return os.path.lexists(self.root / path.lstrip("/"))


@contextmanager
def memory(folder: Path) -> Iterator[Path]:
    """A file system in memory at `folder`; raises CannotBoot."""
    folder.mkdir(parents=True)
    _mount("-t", "tmpfs", "-o", "mode=0755", "tmpfs", str(folder))
    try:
        yield folder
    finally:
        _unmount(folder)


@contextmanager
def _overlay(layers: Sequence[Path], folder: Path) -> Iterator[Path]:
    changes, work, root = (folder / name for name in ("changes", "work", "root"))
    for each in (changes, work, root):
        each.mkdir()
    lower = ":".join(map(str, [*layers, "/"]))
    _mount(
        "-t", "overlay", "-o", f"lowerdir={lower},upperdir={changes},workdir={work}",
        "overlay", str(root),
    )  # fmt: skip
    try:
        yield root
    finally:
        _unmount(root)


def _mount(*words: str) -> None:
    ended = subprocess.run(["mount", *words], capture_output=True, text=True, check=False)
    if ended.returncode:
        raise CannotBoot(f"mount {' '.join(words)}: {ended.stderr.strip()}")


def _unmount(folder: Path) -> None:
    # Lazily: a process of a machine that has just been killed may hold it for a moment.
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


@contextmanager
def _nspawn(root: Path, folder: Path, groups: Sequence[Path]) -> Iterator[int]:
    """The container's first process, when everything that its target wants has started."""
    address = folder / "notify"
    argv = ["sh", "-c", MOVED, "sh", *(f"{each}/cgroup.procs" for each in groups), "--", *NSPAWN]
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver,
        (folder / "console").open("w+") as console,
    ):
        receiver.bind(str(address))
        process = subprocess.Popen(
            [*argv, f"--directory={root}"],
            env={**os.environ, "NOTIFY_SOCKET": str(address)},
            stdin=subprocess.DEVNULL,
            stdout=console,
            stderr=console,
        )
        leader = _ready(receiver, process)
        console.seek(0)
        told = console.read()[-2000:]
    # The socket is closed by now: whoever writes to one that nobody reads would not end.
    try:
        if not leader:
            raise CannotBoot(f"systemd-nspawn: {told}")
        yield leader
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.kill(leader or process.pid, signal.SIGKILL)
        process.wait(PATIENCE_SECONDS)  # it ends when its machine has


def _ready(receiver: socket.socket, process: subprocess.Popen[bytes]) -> int:
    """The leader's process id, as systemd-nspawn(1) tells it; 0 if it does not boot."""
    leader = 0
    receiver.settimeout(BOOT_SECONDS)
    while process.poll() is None:
        try:
            lines = receiver.recv(4096).decode().splitlines()
        except TimeoutError:
            return 0
        for line in lines:
            name, _, value = line.partition("=")
            if name == "X_NSPAWN_LEADER_PID":
                leader = int(value)
            if line == "READY=1" and leader:
                return leader
    return 0
