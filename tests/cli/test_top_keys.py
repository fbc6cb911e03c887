"""What a terminal sends, as keys."""

from __future__ import annotations

import pytest

from hermesd.cli.top_keys import Keys


@pytest.mark.parametrize(
    ("sent", "keys"),
    [
        (b"jR?", ["j", "R", "?"]),
        (b"\x1b[A\x1bOB\x1b[5~\x1b[6~", ["up", "down", "page-up", "page-down"]),
        (b"\t\x1b[Z\r\n", ["tab", "back-tab", "enter", "enter"]),
        ("é".encode(), ["é"]),
        (b"\x1b[1;5C\x1b[15~\x00q", ["q"]),  # Ctrl-Right and F5 mean nothing here
        (b"\x1b\x1b[A", ["escape", "up"]),
        (b"\x1b[" + b"1" * 100 + b"~q", ["q"]),
    ],
)
def test_keys_are_the_same_however_they_arrive(sent: bytes, keys: list[str]) -> None:
    """At once or byte by byte; what no key means is dropped."""
    assert Keys().take(sent)[-len(keys) :] == keys
    slowly = Keys()
    assert [key for byte in sent for key in slowly.take(bytes([byte]))] == Keys().take(sent)


def test_a_lone_escape_is_one_when_nothing_follows() -> None:
    """Until then it may be the beginning of another key."""
    keys = Keys()
    assert keys.take(b"\x1b") == []
    assert keys.unfinished
    assert keys.finish() == ["escape"]
    assert not keys.unfinished
    assert keys.take(b"A") == ["A"]
