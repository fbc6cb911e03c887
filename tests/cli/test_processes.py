"""The command as a process of its own: exit codes, pipes, signals, terminals, and what it loads."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
from typing import Any

import pytest

PATIENCE_SECONDS = 150.0


def test_an_api_that_is_not_there_exits_with_69(command: Any, unused_port: int) -> None:
    """One clear line, no traceback."""
    process = command("stats", env={"HERMES_URL": f"http://127.0.0.1:{unused_port}"})
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, out) == (69, "")
    assert err.startswith("hermesd: cannot reach http://127.0.0.1")
    assert len(err.splitlines()) == 1


def test_the_address_comes_from_the_configuration(command: Any, api: Any) -> None:
    """Without --url it is api.host and api.port."""
    api.json({"jobs": {"queued": 1}})
    port = api.url.rsplit(":", 1)[1]
    process = command("stats", env={"HERMES_URL": "", "HERMES_API__PORT": port})
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, err) == (0, "")
    assert "queued 1" in out


def test_an_unreadable_configuration_exits_with_78(command: Any) -> None:
    """Serving does not begin without one."""
    process = command("-c", "/no/such/file.toml", "serve", "--role", "api")
    _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 78
    assert "/no/such/file.toml" in err


def test_a_reader_that_goes_away_is_no_error(command: Any, api: Any, job: Any) -> None:
    """`hermesd jobs list | head -1` says nothing on stderr."""
    api.json({"jobs": [job(f"j{n}") for n in range(500)], "next_cursor": None})
    read, write = os.pipe()
    process = command("jobs", "list", "--limit", "500", stdout=write)
    os.close(write)
    os.close(read)
    _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert (process.returncode, err) == (141, "")


def test_ctrl_c_exits_with_130(command: Any, api: Any) -> None:
    """While it follows events; what was shown is shown."""
    api.stream(b'id: 1\ndata: {"time": "2026-11-21T21:48:54Z", "kind": "failed"}\n\n', hold=True)
    process = command("events", "--follow")
    assert "failed" in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 130
    assert "Traceback" not in err


def test_followed_events_are_lines_of_json_for_machines(command: Any, api: Any) -> None:
    """One object a line, at once, and only of the kind asked for."""
    line = 'id: {n}\ndata: {{"time": "2026-11-21T21:48:54Z", "kind": "{kind}"}}\n\n'
    chunks = [line.format(n=n, kind=kind).encode() for n, kind in ((1, "started"), (2, "failed"))]
    api.stream(*chunks, hold=True)
    process = command("events", "--follow", "--json", "--kind", "failed")
    assert '"kind":"failed"' in process.stdout.readline()
    process.send_signal(signal.SIGINT)
    process.communicate(timeout=PATIENCE_SECONDS)


def read_all(terminal: int) -> str:
    """What was written to the other end, until it was closed."""
    chunks: list[bytes] = []
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:  # Linux: the other end is closed
            chunk = b""
        if not chunk:
            return b"".join(chunks).decode()
        chunks.append(chunk)


def test_a_terminal_gets_a_table(command: Any, api: Any, job: Any) -> None:
    """Aligned, without tabs, and without a job's own escape sequences or markup."""
    error = {"kind": "error", "message": "\x1b]0;title\x07 [red]boom[/red]"}
    api.json({"jobs": [job(state="failed", error=error)], "next_cursor": None})
    terminal, stdout = pty.openpty()
    process = command("dlq", "list", stdout=stdout, env={"TERM": "xterm", "NO_COLOR": "1"})
    os.close(stdout)
    shown = read_all(terminal)
    os.close(terminal)
    process.communicate(timeout=PATIENCE_SECONDS)
    assert process.returncode == 0
    assert "\t" not in shown
    assert "\x1b]0;" not in shown
    assert "[red]boom[/red]" in shown


@pytest.mark.parametrize(("answer", "code"), [(b"y\n", 0), (b"n\n", 1)])
def test_a_purge_asks_on_a_terminal(command: Any, api: Any, answer: bytes, code: int) -> None:
    """It says how many, and a no deletes nothing."""
    api.json({"matched": 12})
    if code == 0:
        api.json({"matched": 12, "purged": 12})
    terminal, stdin = pty.openpty()
    os.write(terminal, answer)
    process = command("dlq", "purge", "--all", stdin=stdin)
    out, err = process.communicate(timeout=PATIENCE_SECONDS)
    os.close(stdin)
    os.close(terminal)
    assert process.returncode == code
    assert "Delete 12 jobs for good?" in err
    assert out == ("12 jobs deleted\n" if code == 0 else "")


@pytest.mark.parametrize("args", [["--help"], ["stats"], ["submit", "email"], ["jobs", "list"]])
def test_a_client_command_loads_nothing_of_the_daemon(
    api: Any, job: Any, environ: dict[str, str], args: list[str]
) -> None:
    """Neither web framework nor database nor gRPC: they would make it slow."""
    answers = {
        "stats": {"jobs": {}},
        "submit": {"job": job(), "routed": "queue"},
        "jobs": {"jobs": [job()], "next_cursor": None},
    }
    if args[0] in answers:
        api.json(answers[args[0]])
    code = """
import sys
from hermesd.cli.main import cli
try:
    cli(sys.argv[1:])
finally:
    heavy = {"litestar", "sqlalchemy", "alembic", "grpclib", "aiormq", "pluggy", "jsonschema_rs"}
    heavy |= {"trio_asyncio", "structlog", "prometheus_client", "hermesd.daemon"}
    assert not heavy & set(sys.modules), heavy & set(sys.modules)
"""
    argv = [sys.executable, "-c", code, *args]
    env = {**environ, "HERMES_URL": api.url}
    ended = subprocess.run(argv, env=env, capture_output=True, timeout=PATIENCE_SECONDS)
    assert (ended.returncode, ended.stderr) == (0, b"")
