"""A private RabbitMQ, PostgreSQL or Redis on loopback, as durable as it can be, for one peer."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Final

import psycopg

from tests.bench.venvs import NotInstallable
from tests.bench.waiting import until, until_listening
from tests.processes.ports import free_port

END_SECONDS: Final = 60.0
LOG_FILES: Final = 64  # of 16 MB each, of PostgreSQL's write-ahead log
_PLACES: Final = {
    "rabbitmq-server": "/usr/lib/rabbitmq/lib/*/sbin",
    "initdb": "/usr/lib/postgresql/*/bin",
    "postgres": "/usr/lib/postgresql/*/bin",
}


def found(program: str) -> str:
    """Where a program is; NotInstallable where it is not."""
    folders = sorted(map(str, Path("/").glob(_PLACES.get(program, "/none").lstrip("/"))))
    path = shutil.which(program, path=os.pathsep.join([*folders[::-1], os.environ["PATH"]]))
    if path is None:
        raise NotInstallable(f"{program} is not installed")
    return path


def _owner(user: str, folder: Path) -> dict[str, Any]:
    """How to start a program that will not run as root: as `user`, who then owns `folder`."""
    if os.geteuid() != 0:
        return {}
    shutil.chown(folder, user, user)
    return {"user": user, "group": user, "extra_groups": []}


@contextmanager
def _running(
    command: Sequence[str], port: int, log: Path, *, stop: signal.Signals, **how: Any
) -> Iterator[None]:
    with log.open("w") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, cwd=log.parent, **how)
        try:
            until_listening(port, process)
            yield
        finally:
            process.send_signal(stop)
            try:
                process.wait(END_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


@contextmanager
def rabbitmq(folder: Path) -> Iterator[str]:
    """A node of its own, with an epmd of its own; yields its URL."""
    server, epmd = found("rabbitmq-server"), found("epmd")
    port, epmd_port = free_port(), free_port()
    how = _owner("rabbitmq", folder)
    environ = _rabbitmq_environ(folder, port, epmd_port)
    (folder / "rabbitmq.conf").write_text("disk_free_limit.absolute = 50MB\n")
    (folder / "plugins").write_text("[].\n")
    cookie = folder / ".erlang.cookie"
    cookie.write_text("bench")
    cookie.chmod(0o400)
    if how:
        shutil.chown(cookie, "rabbitmq", "rabbitmq")
    names = [epmd, "-address", "127.0.0.1", "-port", str(epmd_port)]
    how["env"] = environ
    with (
        _running(names, epmd_port, folder / "epmd.log", stop=signal.SIGTERM, **how),
        _running([server], port, folder / "rabbitmq.log", stop=signal.SIGTERM, **how),
    ):
        yield f"amqp://guest:guest@127.0.0.1:{port}/"


def _rabbitmq_environ(folder: Path, port: int, epmd_port: int) -> Mapping[str, str]:
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "RABBITMQ_NODENAME": f"bench{port}@localhost",
        "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
        "RABBITMQ_NODE_PORT": str(port),
        "RABBITMQ_DIST_PORT": str(free_port()),
        "ERL_EPMD_PORT": str(epmd_port),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
        "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
        "RABBITMQ_LOG_BASE": str(folder / "log"),
        "RABBITMQ_PID_FILE": str(folder / "pid"),
        "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
        "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
        "RABBITMQ_CONF_ENV_FILE": "/dev/null",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none +sbwtdcpu none +sbwtdio none",
    }


@contextmanager
def postgresql(folder: Path) -> Iterator[str]:
    """A cluster of its own that syncs every commit; yields the URL of its first database.

    It listens on loopback, and at a socket in `folder`.
    Its log has files to be used again, as that of a server which has been up for long: a new one
    stops all writers for each 16 MB, while it makes and syncs another file (measured: 50 to 90 ms).
    """
    make, server = found("initdb"), found("postgres")
    how = _owner("postgres", folder)
    data, port = folder / "data", free_port()
    options = ["-A", "trust", "-U", "bench", "-E", "UTF8", "--locale=C.UTF-8"]
    subprocess.run(
        [make, "-D", str(data), *options], check=True, cwd=folder, stdout=subprocess.DEVNULL, **how
    )
    settings = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": str(folder),
        "fsync": "on",
        "synchronous_commit": "on",
        "min_wal_size": f"{LOG_FILES * 16}MB",
        "max_wal_size": f"{LOG_FILES * 64}MB",
    }
    given = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    command = [server, "-D", str(data), "-p", str(port), *given]
    url = f"postgresql://bench@127.0.0.1:{port}/postgres"
    with _running(command, port, folder / "postgresql.log", stop=signal.SIGINT, **how):
        until(lambda: _answers(url), "the server listens before it answers")
        _lengthen_log(url)
        yield url


def _answers(url: str) -> bool:
    try:
        psycopg.connect(url).close()
    except psycopg.OperationalError:
        return False
    return True


def _lengthen_log(url: str) -> None:
    """Fill its files once; after the checkpoint they are there to be used again."""
    with psycopg.connect(url, autocommit=True) as connection:
        for _ in range(LOG_FILES):
            connection.execute("SELECT pg_logical_emit_message(false, '', repeat('x', 1 << 24))")
        connection.execute("CHECKPOINT")


@contextmanager
def redis(folder: Path) -> Iterator[str]:
    """With an append-only file that is synced before every answer; yields its URL."""
    port = free_port()
    command = [found("redis-server"), "--port", str(port), "--bind", "127.0.0.1"]
    command += ["--dir", str(folder), "--appendonly", "yes", "--appendfsync", "always"]
    command += ["--save", "", "--maxmemory-policy", "noeviction"]
    with _running(command, port, folder / "redis.log", stop=signal.SIGTERM):
        yield f"redis://127.0.0.1:{port}/0"


@contextmanager
def _file(folder: Path) -> Iterator[str]:
    yield str(folder / "queue.db")


def server(kind: str, folder: Path) -> AbstractContextManager[str]:
    """The server that a peer names, until the context is left; yields where it is."""
    kinds: dict[str, Callable[[Path], AbstractContextManager[str]]] = {
        "rabbitmq": rabbitmq,
        "postgresql": postgresql,
        "redis": redis,
        "": _file,
    }
    return kinds[kind](folder)
