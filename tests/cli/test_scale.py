"""Which units are started and stopped to have so many."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesd.cli import scale
from hermesd.cli.scaling import Unit, listed, number_of, plan

LISTED = """\
hermesd@worker-1.service  loaded active   running hermesd job processing daemon (worker-1)
hermesd@worker-2.service  loaded failed   failed  hermesd job processing daemon (worker-2)
hermesd@worker-12.service loaded activating auto-restart hermesd job processing daemon
hermesd@worker-x.service  loaded active   running not one of ours
"""


def unit(number: int, *, active: bool = True, enabled: bool = True) -> Unit:
    """A worker's instance."""
    return Unit(f"hermesd@worker-{number}.service", active, enabled)


def names(*numbers: int) -> list[str]:
    """Of instances."""
    return [f"hermesd@worker-{number}.service" for number in numbers]


def test_what_is_missing_is_started_and_the_surplus_stopped() -> None:
    """In one command each; the starts first."""
    assert plan("worker", 3, [unit(1), unit(2, active=False)]).commands == (
        ("systemctl", "enable", "--now", *names(2, 3)),
    )
    assert plan("worker", 1, [unit(1), unit(2), unit(10), unit(9, active=False)]).commands == (
        ("systemctl", "disable", "--now", *names(2, 9, 10)),
    )
    both = plan("worker", 2, [unit(1), unit(7)])
    assert [command[1] for command in both.commands] == ["enable", "disable"]


def test_what_is_so_already_needs_no_command() -> None:
    """Nor does a surplus unit that is neither running nor enabled."""
    assert plan("worker", 2, [unit(1), unit(2)]).commands == ()
    assert plan("worker", 1, [unit(1), unit(2, active=False, enabled=False)]).commands == ()
    assert plan("worker", 0, []).commands == ()


def test_one_that_runs_for_this_boot_only_is_enabled() -> None:
    """So that the number holds after the next."""
    assert plan("worker", 1, [unit(1, enabled=False)]).starts == tuple(names(1))


def test_other_units_are_let_alone() -> None:
    """The one without a number, other roles, and what looks alike."""
    others = ["hermesd@worker.service", "hermesd@api-2.service", "hermesd@worker-02.service"]
    assert plan("worker", 0, [Unit(name, True, True) for name in others]).commands == ()
    assert number_of("worker", "hermesd@worker-3.service") == 3


@given(
    st.integers(0, 8),
    st.dictionaries(st.integers(1, 12), st.tuples(st.booleans(), st.booleans())),
)
def test_afterwards_there_are_so_many(wanted: int, known: dict[int, tuple[bool, bool]]) -> None:
    """Exactly the first ones are active and enabled, and a second plan does nothing."""
    units = {n: unit(n, active=active, enabled=enabled) for n, (active, enabled) in known.items()}
    made = plan("worker", wanted, units.values())
    after = {each.name: each for each in units.values()}
    after |= {name: Unit(name, True, True) for name in made.starts}
    after |= {name: Unit(name, False, False) for name in made.stops}
    running = {name for name, each in after.items() if each.active or each.enabled}
    assert running == set(names(*range(1, wanted + 1)))
    assert plan("worker", wanted, after.values()).commands == ()


def test_units_are_read_from_what_systemctl_prints() -> None:
    """One that is being started again counts as active."""
    assert listed("worker", LISTED) == [
        ("hermesd@worker-1.service", True),
        ("hermesd@worker-2.service", False),
        ("hermesd@worker-12.service", True),
    ]


def test_without_systemd_it_says_what_to_do(
    run: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """And runs nothing."""
    monkeypatch.setattr(scale, "_BOOTED", tmp_path / "no")
    result = run("scale", "worker", "3")
    assert result.exit_code == 69
    assert "systemd does not run this host" in result.stderr
    assert run("scale", "api", "3").exit_code == 64
    assert run("scale", "worker", "-1").exit_code == 64


SYSTEMCTL = """\
#!/bin/sh
echo "$*" >> "$TOLD"
case "$1" in
list-units) echo "hermesd@worker-1.service loaded active running x"
            echo "hermesd@worker-5.service loaded active running x" ;;
is-enabled) echo enabled; echo disabled; exit 1 ;;
disable) echo "no leave" >&2; exit ${FAILS:-0} ;;
esac
"""


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemctl of our own on the path; what it is told is in the file that is returned."""
    script, told = tmp_path / "bin" / "systemctl", tmp_path / "told"
    script.parent.mkdir()
    script.write_text(SYSTEMCTL)
    script.chmod(0o755)
    monkeypatch.setenv("PATH", f"{script.parent}:{os.environ['PATH']}")
    monkeypatch.setenv("TOLD", str(told))
    monkeypatch.setattr(scale, "_BOOTED", tmp_path)
    return told


def test_a_dry_run_prints_the_commands(systemctl: Path, run: Callable[..., Any]) -> None:
    """And carries none out."""
    result = run("scale", "worker", "2", "--dry-run")
    assert result.exit_code == 0, result.stderr
    assert result.stdout.splitlines() == [
        "systemctl enable --now hermesd@worker-2.service",
        "systemctl disable --now hermesd@worker-5.service",
    ]
    assert [line.split()[0] for line in systemctl.read_text().splitlines()] == [
        "list-units",
        "is-enabled",
    ]


def test_the_commands_are_carried_out(systemctl: Path, run: Callable[..., Any]) -> None:
    """One after the other; a failure ends it with what systemd said."""
    assert run("scale", "worker", "2").exit_code == 0
    assert systemctl.read_text().splitlines()[2:] == [
        "enable --now hermesd@worker-2.service",
        "disable --now hermesd@worker-5.service",
    ]
    result = run("scale", "worker", "2", FAILS="1")
    assert result.exit_code == 1
    assert "no leave" in result.stderr
