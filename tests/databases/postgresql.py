"""A PostgreSQL server of the tests' own, beside whatever else runs on this machine."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any, Final

import psycopg
import pytest
import trustme
from processes.ports import free_port
from processes.run import run_folder

PROGRAMS: Final = Path("/usr/lib/postgresql")  # Debian's, a folder a version
OWNER: Final = "hermes"  # of all databases
GUARDED: Final = "guarded"  # a role that logs in with a password
PASSWORD: Final = "s3cret/@:%"
BOOT_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.02
STARTS: Final = 3  # another process may take the port before the server does
ACCESS: Final = f"""\
local all all trust
host all {GUARDED} 127.0.0.1/32 scram-sha-256
host all all 127.0.0.1/32 trust
"""
SETTINGS: Final = {
    "listen_addresses": "127.0.0.1",
    "max_connections": "200",
    "shared_buffers": "64MB",
    "max_wal_size": "1GB",
    "ssl": "on",
    "ssl_cert_file": "own.pem",
    "ssl_key_file": "own.key",
    "autovacuum_naptime": "1s",
    "password_encryption": "scram-sha-256",
    "log_line_prefix": "@%d@ ",  # the database
}
# A statement in the log, by the simple or the extended protocol; parameters have a line of theirs.
TOLD: Final = r"^@{}@ LOG:  (?:statement|execute [^:]*): (.*)$"


class PostgresServer:
    """One server with a port and files of its own; started, killed and paused at will."""

    def __init__(self, programs: Path) -> None:
        self._programs = programs
        self._user = "postgres" if os.geteuid() == 0 else ""
        self._folder = Path(tempfile.mkdtemp(prefix="postgresql-", dir=run_folder()))
        self._data = self._folder / "data"
        self._process: subprocess.Popen[bytes] | None = None
        self._known = False  # it has been up, so its port stays
        self._numbers = count(1)
        self.port = free_port()
        self.authority = trustme.CA()
        self.authority_file = self._folder / "authority.pem"
        self.authority.cert_pem.write_to_path(str(self.authority_file))
        self._make_cluster()

    def url(self, database: str, *, user: str = OWNER, query: str = "sslmode=disable") -> str:
        """Where a database is, for the configuration."""
        return f"postgresql://{user}@127.0.0.1:{self.port}/{database}?{query}"

    @property
    def running(self) -> bool:
        """Whether it was started and not stopped since."""
        return self._process is not None

    def start(self) -> None:
        """Boot it, recovering from a kill; a failure shows the server's own last words."""
        for _ in range(STARTS):
            self._spawn()
            if self._answers():
                self._known = True
                return
            self.kill()
            if self._known:
                break
            self.port = free_port()
        raise RuntimeError("PostgreSQL did not start:\n" + self._last_words())

    def stop(self) -> None:
        """Break all connections off and end in good order."""
        self._end(signal.SIGINT)  # what PostgreSQL calls a fast shutdown

    def kill(self) -> None:
        """kill -9 for all of it, and wait for the end."""
        if self._process is not None:
            children = self._children()
            self._process.kill()
            for child in children:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(child, signal.SIGKILL)
            self._end(signal.SIGKILL)
            _await_end(children)

    def pause(self) -> None:
        """Let it hang: it keeps its sockets and says nothing."""
        for process in self._all():
            os.kill(process, signal.SIGSTOP)

    def resume(self) -> None:
        """Let it go on."""
        for process in self._all():
            with contextlib.suppress(ProcessLookupError):
                os.kill(process, signal.SIGCONT)

    def ask(self, statement: str, *values: Any, database: str = "postgres") -> list[Any]:
        """Run one statement as the superuser; its rows, if it has any."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            cursor = connection.execute(statement, values or None)
            return cursor.fetchall() if cursor.description else []

    def fresh(self, template: str = "template1") -> str:
        """The name of a new database, a copy of `template`."""
        name = f"test_{next(self._numbers)}"
        self.ask(f"CREATE DATABASE {name} TEMPLATE {template}")
        return name

    def tell_statements(self, database: str) -> None:
        """Let whoever connects to it from now on have each statement written down."""
        self.ask(f"ALTER DATABASE {database} SET log_statement = 'all'")

    def told_statements(self, database: str) -> list[str]:
        """The first lines of all statements that were written down so far, oldest first."""
        pattern = TOLD.format(re.escape(database))
        told = (self._folder / "output").read_text("utf-8", "replace")
        return re.findall(pattern, told, re.MULTILINE)

    def dump(self, database: str) -> str:
        """All that is in it, as SQL; the same for databases that are the same."""
        command = [self._program("pg_dump"), self.url(database)]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        # The key of each dump is its own: of the lines that keep psql from meta-commands.
        return re.sub(r"^\\(un)?restrict .*$", "", done.stdout, flags=re.MULTILINE)

    def drop(self, database: str) -> None:
        """Delete it, connections and all."""
        self.ask(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")

    def remove(self) -> None:
        """Kill it and delete its files."""
        self.kill()
        shutil.rmtree(self._folder, ignore_errors=True)

    def _make_cluster(self) -> None:
        own = self.authority.issue_cert("127.0.0.1")
        files = {"own.pem": own.cert_chain_pems[0].bytes(), "own.key": own.private_key_pem.bytes()}
        self._own(self._folder)
        options = ["--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"]
        command = [self._program("initdb"), *options, f"--username={OWNER}", str(self._data)]
        subprocess.run(self._as_user(command), check=True, capture_output=True, cwd=self._folder)
        (self._data / "pg_hba.conf").write_text(ACCESS)
        for name, content in files.items():
            path = self._data / name
            path.write_bytes(content)
            path.chmod(0o600)
            self._own(path)

    def _own(self, path: Path) -> None:
        if self._user:
            shutil.chown(path, self._user, pwd.getpwnam(self._user).pw_gid)
        if path.is_dir():
            path.chmod(0o755)  # its authority's file is for all to read

    def _spawn(self) -> None:
        settings = {**SETTINGS, "port": str(self.port), "unix_socket_directories": self._folder}
        options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
        with (self._folder / "output").open("ab") as output:
            self._process = subprocess.Popen(
                self._as_user([self._program("postgres"), "-D", str(self._data), *options]),
                cwd=self._folder,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
            )

    def _answers(self) -> bool:
        """Wait until it takes connections; False: it has ended."""
        until = time.monotonic() + BOOT_SECONDS
        while time.monotonic() < until and self._process and self._process.poll() is None:
            with contextlib.suppress(psycopg.OperationalError):
                self.ask("SELECT 1")
                return True
            time.sleep(POLL_SECONDS)  # there is nothing to be woken by
        return False

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(how)
            process.wait(BOOT_SECONDS)

    def _all(self) -> list[int]:
        return [self._process.pid, *self._children()] if self._process is not None else []

    def _children(self) -> list[int]:
        assert self._process is not None
        pid = self._process.pid
        try:
            return [
                int(one) for one in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
            ]
        except OSError:
            return []

    def _program(self, name: str) -> str:
        return str(self._programs / name)

    def _as_user(self, command: list[str]) -> list[str]:
        ids = ["--reuid", self._user, "--regid", self._user, "--init-groups"]
        return ["setpriv", *ids, "--", *command] if self._user else command

    def _last_words(self) -> str:
        return (self._folder / "output").read_text("utf-8", "replace")[-4000:]


def _await_end(processes: list[int]) -> None:
    """Until they are gone: a server does not start beside what is left of the one before."""
    until = time.monotonic() + BOOT_SECONDS
    while any(Path(f"/proc/{one}").exists() for one in processes):
        if time.monotonic() > until:
            raise RuntimeError(f"still there after a kill: {processes}")
        time.sleep(POLL_SECONDS)  # they are not ours to wait for


@pytest.fixture(scope="session")
def postgresql() -> Iterator[PostgresServer]:
    """A running server; a test that stops it starts it again."""
    programs = sorted(PROGRAMS.glob("*/bin"), key=lambda path: float(path.parent.name))
    if not programs:
        pytest.fail("PostgreSQL is not installed: apt-get install postgresql, or make test")
    server = PostgresServer(programs[-1])
    try:
        server.start()
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="session")
def postgresql_template(postgresql: PostgresServer) -> str:
    """The name of a migrated database without a job, made once; nobody connects to it."""
    # Late: only this fixture and the migration tests may load the migration tool.
    from hermesd.stores.migrate import upgrade

    name = postgresql.fresh()
    upgrade(postgresql.url(name))
    return name


@pytest.fixture
def postgresql_url(postgresql: PostgresServer, postgresql_template: str) -> Iterator[str]:
    """A fresh database with the present schema."""
    name = postgresql.fresh(postgresql_template)
    yield postgresql.url(name)
    if postgresql.running:
        postgresql.drop(name)
