"""Every key of the configuration, from the commented file that comes with hermesd, as tables."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

from hermesd.config.reload import RESTART, declared_of
from hermesd.config.template import template

_HEADER: Final = re.compile(r"\[(?P<section>[^]]+)\]")
_KEY: Final = re.compile(r"#(?P<key>[a-z_]+) = (?P<value>.+?)(?:\s+# .+)?\Z")
_EXAMPLE: Final = re.compile(r"#   (?P<key>[a-z_]+) = (?P<value>.+)\Z")
_EXAMPLE_HEADER: Final = re.compile(r"#   \[.+\]\Z")
# How a section with free names is called here.
_NAMED: Final = {
    "queues.default": "queues.NAME",
    "jobs.types": 'jobs.types."TYPE"',
    "schedules": "schedules.NAME",
    "retention.types": 'retention.types."TYPE"',
}


class Key(NamedTuple):
    """One key in full, like api.port, and its default; of an example the value there."""

    name: str
    value: str
    is_example: bool

    @property
    def needs_restart(self) -> bool:
        """Whether a reload leaves it as it was."""
        return declared_of(tuple(self.name.replace('"', "").split("."))) in RESTART


class Entry(NamedTuple):
    """Keys that are explained together."""

    keys: tuple[Key, ...]
    prose: str


class Table(NamedTuple):
    """One section: what is said of it as a whole, and its keys."""

    section: str
    prose: str
    entries: tuple[Entry, ...]


def tables() -> tuple[Table, ...]:
    """Of all sections, in the file's order."""
    text = template().decode()
    # What stands above the first section is about the file.
    blocks = re.split(r"\n\n", text)[1:]
    return tuple(_table(block.splitlines()) for block in _sections(blocks))


def _sections(blocks: list[str]) -> Iterator[str]:
    """A block is a section, with the prose above it; some have several paragraphs."""
    whole = ""
    for block in blocks:
        begins = any(_HEADER.match(line) for line in block.splitlines())
        if begins and whole and _HEADER.search(whole):
            yield whole
            whole = ""
        whole = f"{whole}\n{block}" if whole else block
    yield whole


def _table(lines: list[str]) -> Table:
    section, about = "", ""
    prose: list[str] = []
    keys: list[Key] = []
    entries: list[Entry] = []

    def close() -> None:
        if keys:
            entries.append(Entry(tuple(keys), " ".join(prose)))
            prose.clear()
            keys.clear()

    for line in lines:
        if header := _HEADER.match(line):
            section, about = header["section"], " ".join(prose)
            prose.clear()
        elif example := _EXAMPLE.match(line):
            keys.append(Key(_full(section, example["key"]), example["value"], True))
        elif _EXAMPLE_HEADER.match(line):
            about = " ".join([about, *prose]).strip()
            prose.clear()
        elif key := _KEY.match(line):
            keys.append(Key(_full(section, key["key"]), key["value"], False))
        elif line.startswith("#"):
            close()
            prose.append(line.removeprefix("#").strip())
    close()
    return Table(section, re.sub(r" *An example( with all keys)?:", "", about), tuple(entries))


def _full(section: str, key: str) -> str:
    return f"{_NAMED.get(section, section)}.{key}"
