"""Which systemd commands make the instances of a role so many: pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

TEMPLATE: Final = "hermesd@{role}-{number}.service"
_UNIT: Final = re.compile(r"hermesd@(?P<role>[a-z]+)-(?P<number>[1-9][0-9]*)\.service\Z")


class Unit(NamedTuple):
    """An instance that systemd knows: `active` as list-units says, `enabled` for the next boot."""

    name: str
    active: bool
    enabled: bool


class Plan(NamedTuple):
    """What is to be started and to be stopped, and the commands that do it."""

    starts: tuple[str, ...]
    stops: tuple[str, ...]
    commands: tuple[tuple[str, ...], ...]


def plan(role: str, wanted: int, units: Iterable[Unit]) -> Plan:
    """Have instances 1 to `wanted` of a role enabled and running, and no higher ones.

    The surplus is stopped together, so that all drain at once; what stops goes last, so that there
    are never fewer than before or wanted. Units of other names are let alone.
    """
    known = {unit.name: unit for unit in units}
    names = [TEMPLATE.format(role=role, number=number) for number in range(1, wanted + 1)]
    starts = tuple(n for n in names if not (n in known and known[n].active and known[n].enabled))
    surplus = sorted(
        (number, unit.name)
        for unit in known.values()
        if (number := number_of(role, unit.name)) is not None
        and number > wanted
        and (unit.active or unit.enabled)
    )
    stops = tuple(name for _, name in surplus)
    commands = []
    if starts:
        commands.append(("systemctl", "enable", "--now", *starts))
    if stops:
        commands.append(("systemctl", "disable", "--now", *stops))
    return Plan(starts, stops, tuple(commands))


def number_of(role: str, name: str) -> int | None:
    """The number of an instance of the role, None for any other unit."""
    found = _UNIT.match(name)
    return int(found["number"]) if found is not None and found["role"] == role else None


def listed(role: str, text: str) -> Sequence[tuple[str, bool]]:
    """Name and whether it is active, of what `systemctl list-units --all --plain` prints.

    Its columns are unit, load, active, sub and description (systemctl(1)).
    """
    found = []
    for line in text.splitlines():
        columns = line.split(None, 3)
        if len(columns) >= 3 and number_of(role, columns[0]) is not None:
            found.append((columns[0], columns[2] in ("active", "activating", "reloading")))
    return found
