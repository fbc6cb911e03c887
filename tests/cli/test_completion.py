"""`hermesd completion` and `hermesd version`: what shells and bug reports read."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

import hermesd
from hermesd.stores.version import HEAD
from hermesd.wire.gen.hermes.v1 import control_pb2

PATIENCE_SECONDS = 150.0


def completed(environ: dict[str, str], shell: str, line: str) -> list[str]:
    """What the program tells `shell` at the end of `line`; in every shell by its own protocol."""
    words = line.split(" ")
    place = {"COMP_WORDS": line, "COMP_CWORD": str(len(words) - 1)}
    if shell == "fish":
        place["COMP_CWORD"] = words[-1]
    done = subprocess.run(
        [sys.executable, "-m", "hermesd.cli"],
        env={**environ, **place, "_HERMESD_COMPLETE": f"{shell}_complete"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    assert done.stderr == ""
    return [word for word in re.split(r"[,\t\n]", done.stdout) if word]


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_commands_are_completed(environ: dict[str, str], shell: str) -> None:
    """Those that begin so, and no others."""
    found = completed(environ, shell, "hermesd jo")
    assert found[:2] == ["plain", "jobs"]
    assert "dlq" not in found


def test_commands_of_groups_options_and_choices_are_completed(environ: dict[str, str]) -> None:
    """As far as the command line itself knows them."""
    for line, wanted in (
        ("hermesd jobs li", "list"),
        ("hermesd jobs list --sta", "--state"),
        ("hermesd jobs list --state fa", "failed"),
        ("hermesd submit x --priority ba", "background"),
        ("hermesd completion zs", "zsh"),
    ):
        assert wanted in completed(environ, "bash", line), line


def test_bash_completes_by_the_script(environ: dict[str, str], tmp_path: Path, run: Any) -> None:
    """The real shell, which finds the command on its path."""
    program = tmp_path / "hermesd"
    program.write_text(f"#!/bin/sh\nexec '{sys.executable}' -m hermesd.cli \"$@\"\n")
    program.chmod(0o755)
    (tmp_path / "script").write_text(run("completion", "bash").stdout)
    words = "COMP_WORDS=(hermesd workers dr); COMP_CWORD=2; COMP_LINE='hermesd workers dr'"
    ask = f". {tmp_path}/script; {words}; _hermesd_completion hermesd; echo ${{COMPREPLY[@]}}"
    done = subprocess.run(
        ["bash", "--norc", "-c", ask],
        env={**environ, "PATH": f"{tmp_path}:{environ['PATH']}"},
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=True,
    )
    assert (done.stdout, done.stderr) == ("drain\n", "")


@pytest.mark.parametrize(("shell", "first"), [("zsh", "#compdef hermesd"), ("fish", "function _")])
def test_other_shells_have_scripts_of_their_own(run: Any, shell: str, first: str) -> None:
    """In their own languages."""
    answer = run("completion", shell)
    assert (answer.exit_code, answer.stdout.startswith(first)) == (0, True)
    assert f"_HERMESD_COMPLETE={shell}_complete" in answer.stdout


def test_the_version_says_what_a_report_needs(run: Any) -> None:
    """Of what it stands on, and what it speaks."""
    told = json.loads(run("version", "--json").stdout)
    assert told["version"] == hermesd.__version__
    assert told["python"].split(".")[:2] == [str(part) for part in sys.version_info[:2]]
    assert told["packages"]["trio"] == metadata.version("trio")
    assert {"grpclib", "click", "psycopg"} <= told["packages"].keys()
    assert "ruff" not in told["packages"]
    assert told["schema"] == HEAD
    assert told["wire"] == {"control": control_pb2.DESCRIPTOR.package, "bus": 1}
    assert {"name", "distribution", "version"} == set(told["plugins"][0])
