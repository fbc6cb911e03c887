"""What every command does with its output: JSON for programs, colours for terminals alone."""

from __future__ import annotations

import json
import os
import pty
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
import pytest

from hermesd.cli.command_manual import commands
from hermesd.cli.main import cli

PATIENCE_SECONDS = 150.0
COLOUR = re.compile(rb"\x1b\[(?:\d+;)*(?:3\d|4\d|9\d|10\d)[;m]")
ESCAPE = b"\x1b"
# What they print is not data: a daemon's log, that a file was written, a script, a page.
WITHOUT_JSON = {
    "hermesd serve",
    "hermesd config init",
    "hermesd config set",
    "hermesd completion",
    "hermesd manpage",
}


def test_every_command_that_answers_has_json() -> None:
    """Behind the command, where people type it."""
    known = {
        context.command_path: {name for option in context.command.params for name in option.opts}
        for context in commands(click.Context(cli, info_name="hermesd"))
    }
    assert {path for path, options in known.items() if "--json" not in options} == WITHOUT_JSON


def test_a_configuration_is_checked_as_json(run: Any) -> None:
    """Wherever the option stands."""
    for args in (("config", "check", "--json"), ("--json", "config", "check")):
        assert json.loads(run(*args).stdout) == {"ok": True, "problems": []}
    refused = run("config", "check", "--json", HERMES_API__PORT="none")
    assert (refused.exit_code, json.loads(refused.stdout)["ok"]) == (78, False)


@pytest.fixture
def on_terminal(command: Any, api: Any, tmp_path: Path) -> Callable[..., tuple[bytes, str]]:
    """Submits a file with stderr on a terminal, where a bar moves: what that and a pipe get."""
    (tmp_path / "jobs.jsonl").write_text('{"type": "email"}\n')

    def on_terminal(**env: str) -> tuple[bytes, str]:
        api.json({"count": 1, "jobs": [{"id": "j1", "routed": "queue"}]}, 202)
        ours, theirs = pty.openpty()
        given = {"TERM": "xterm-256color", "NO_COLOR": "", "COLUMNS": "80", **env}
        file = str(tmp_path / "jobs.jsonl")
        process = command("submit", "--file", file, stderr=theirs, env=given)
        os.close(theirs)
        shown = b""
        try:
            while chunk := os.read(ours, 4096):
                shown += chunk
        except OSError:  # Linux ends a terminal that nobody holds any more like this
            pass
        os.close(ours)
        out, _ = process.communicate(timeout=PATIENCE_SECONDS)
        assert process.returncode == 0
        return shown, out

    return on_terminal


def test_colours_are_for_terminals_and_can_be_switched_off(on_terminal: Any) -> None:
    """By NO_COLOR (no-color.org); a pipe is never given any escape."""
    shown, piped = on_terminal()
    assert COLOUR.search(shown)
    assert piped == "j1\n"
    shown, piped = on_terminal(NO_COLOR="1")
    assert b"1 job accepted" in shown
    assert not COLOUR.search(shown)
    shown, _ = on_terminal(TERM="dumb")
    assert ESCAPE not in shown.replace(b"\x1b[?25l", b"").replace(b"\x1b[?25h", b"")


@pytest.mark.parametrize("args", [("jobs", "list"), ("jobs", "show", "j1"), ("dlq", "list")])
def test_a_pipe_is_given_no_escapes(run: Any, api: Any, job: Any, args: tuple[str, ...]) -> None:
    """Not even those of a job's own error."""
    own = job(
        "j1", state="failed", error={"kind": "error", "message": "\x1b[31mred", "traceback": ""}
    )
    api.json({"job": own} if "show" in args else {"jobs": [own], "next_cursor": None})
    result = run(*args, FORCE_COLOR="1", CLICOLOR_FORCE="1")
    assert result.exit_code == 0
    assert "\x1b" not in result.stdout
    assert "j1" in result.stdout
