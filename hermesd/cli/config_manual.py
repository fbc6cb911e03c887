"""hermes.toml(5), from the commented file that comes with hermesd."""

from __future__ import annotations

import re
from typing import Final

from hermesd import __version__
from hermesd.cli.roff import Page
from hermesd.config.template import template

_HEADER: Final = re.compile(r"\[(?P<section>[^]]+)\](?:\s+# (?P<note>.+))?\Z")
_KEY: Final = re.compile(r"#(?P<key>[a-z_]+ = .+?)(?:\s+# (?P<note>.+))?\Z")
_EXAMPLE: Final = re.compile(r"#   (?P<line>.+)\Z")
_RESTART: Final = "restart"


def config_page() -> str:
    """The page of all sections and keys, each with its default."""
    page = Page("hermes.toml", 5, source=f"hermesd {__version__}", manual="File Formats")
    page.section("NAME")
    page.line("hermes.toml - the configuration of hermesd")
    page.section("DESCRIPTION")
    writer = _Writer(page)
    for line in template().decode().splitlines():
        writer.take(line)
    writer.flush()
    page.section("SEE ALSO")
    page.line("hermesd(1)")
    return page.text()


class _Writer:
    """What stands above a key, or above a table's name, is about it."""

    def __init__(self, page: Page) -> None:
        self._page = page
        self._prose: list[str] = []
        self._keys: list[str] = []
        self._example: list[str] = []
        self._in_sections = False

    def take(self, line: str) -> None:
        """The next line of the file."""
        if header := _HEADER.match(line):
            self._open(header["section"], header["note"])
        elif example := _EXAMPLE.match(line):
            self._example.append(example["line"])
        elif key := _KEY.match(line):
            note = " (restart)" if key["note"] == _RESTART else ""
            self._keys.append(key["key"] + note)
        elif not line:
            self._pause()
        elif line == "#":
            self.flush()
        else:
            if self._keys or self._example:
                self.flush()
            self._prose.append(line.removeprefix("#").strip())

    def flush(self) -> None:
        """Write what there is."""
        prose = " ".join(self._prose)
        if self._keys:
            self._page.entry(self._keys, prose)
        else:
            self._page.paragraphs(prose)
        if self._example:
            self._page.example(self._example)
        self._prose, self._keys, self._example = [], [], []

    def _pause(self) -> None:
        """Between sections: prose without keys is about the next table."""
        if self._keys or self._example or not self._in_sections:
            self.flush()

    def _open(self, section: str, note: str | None) -> None:
        about, self._prose = self._prose, []
        if not self._in_sections:
            self._page.section("SECTIONS")
            self._in_sections = True
        self._page.part(f"[{section}]" + (" (restart)" if note == _RESTART else ""))
        self._prose = about
        self.flush()
