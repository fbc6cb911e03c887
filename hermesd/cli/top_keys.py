"""What a terminal sends for keys, as their names."""

from __future__ import annotations

import codecs
from typing import Final

ESCAPE: Final = "escape"
_NAMED: Final = {
    "\x1b[A": "up",
    "\x1b[B": "down",
    "\x1bOA": "up",  # in the application mode of the cursor keys
    "\x1bOB": "down",
    "\x1b[5~": "page-up",
    "\x1b[6~": "page-down",
    "\x1b[Z": "back-tab",
    "\t": "tab",
    "\r": "enter",
    "\n": "enter",
}
_MAX_SEQUENCE: Final = 16


class Keys:
    """Bytes in, names out: `up`, `enter`, or the character itself. Other sequences are dropped."""

    def __init__(self) -> None:
        self._text = codecs.getincrementaldecoder("utf-8")("replace")
        self._sequence = ""

    @property
    def unfinished(self) -> bool:
        """Whether more may follow: a lone Escape begins as every sequence does."""
        return bool(self._sequence)

    def take(self, chunk: bytes) -> list[str]:
        """The keys that `chunk` completes."""
        return [key for char in self._text.decode(chunk) if (key := self._next(char))]

    def finish(self) -> list[str]:
        """The keys when nothing has followed: an Escape alone is one."""
        alone, self._sequence = self._sequence == "\x1b", ""
        return [ESCAPE] if alone else []

    def _next(self, char: str) -> str:
        if not self._sequence:
            if char == "\x1b":
                self._sequence = char
                return ""
            return _NAMED.get(char, char if char.isprintable() else "")
        if char == "\x1b":  # it was a key of its own, and a sequence begins
            lone = self._sequence == "\x1b"
            self._sequence = char
            return ESCAPE if lone else ""
        self._sequence += char
        if not _complete(self._sequence):
            return ""
        sequence, self._sequence = self._sequence, ""
        return _NAMED.get(sequence, "")


def _complete(sequence: str) -> bool:
    """As ECMA-48 (5.4) ends a control sequence; others have one more character, SS3 two."""
    if len(sequence) >= _MAX_SEQUENCE:
        return True
    if sequence[1] == "[":
        return len(sequence) > 2 and "@" <= sequence[-1] <= "~"
    return len(sequence) > 2 or sequence[1] != "O"
