"""What errors have in common."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesd.core.errorgroups import (
    HEAD_CHARS,
    MAX_CHARS,
    Bunch,
    beginning,
    grouped,
    head_of,
    kinship,
    merged,
)
from hermesd.core.job import ErrorInfo


@pytest.mark.parametrize(
    ("message", "group"),
    [
        ("", ""),
        ("no route to 10.0.0.17:5432", "no route to #.#.#.#:#"),
        ("took 3.5 s\nTraceback", "took #.# s"),
        ("\nsecond", ""),
        ("job 019A2B3c-0000-7000-8000-0123456789ab gone", "job # gone"),
        ("object at 0x7f3Ab2 of deadbeef01", "object at # of #"),
        ("a dead beef, deadbeef, v2 and base64", "a dead beef, deadbeef, v2 and base64"),
        ("user1234 of zone-7", "user# of zone-#"),
        ("is # 5", "is # #"),
        ("x" * 500, "x" * MAX_CHARS),
    ],
)
def test_numbers_and_ids_make_no_difference(message: str, group: str) -> None:
    """Nor does what comes after the first line."""
    assert grouped(message) == group
    assert kinship(head_of(ErrorInfo(kind="error", message=message))) == ("error", group)


@given(st.text(max_size=1200), st.text(max_size=30), st.text(max_size=20))
def test_the_head_of_an_error_tells_its_group(message: str, kind: str, traceback: str) -> None:
    """However it is cut off, and the coarse sieve lets it through."""
    error = ErrorInfo(kind=kind, message=message, traceback=traceback)
    whole = msgspec.json.encode(error).decode()
    kin = kinship(whole[:HEAD_CHARS])
    assert kin.kind == kind
    assert whole.startswith(beginning(*kin))
    if len(whole) < HEAD_CHARS:
        assert kin.error == grouped(message)


def test_bunches_of_a_group_are_one() -> None:
    """With the sum, the first and the last of all; another type is another group."""
    heads = [head_of(ErrorInfo(kind="error", message=f"no {n}")) for n in range(3)]
    bunches = [Bunch("a", head, 2, 5.0 - at, 3.0 - at, f"j{at}") for at, head in enumerate(heads)]
    first, second = merged([Bunch("b", heads[0], 5, 9.0, 8.0, "k"), *bunches])
    assert (first.type, first.count, first.error) == ("a", 6, "no #")
    assert (first.newest, first.oldest, first.newest_id) == (5.0, 1.0, "j2")
    assert (second.type, second.count) == ("b", 5)


@pytest.mark.parametrize("head", ["", "null", '{"kind":"cut', "{}"])
def test_what_is_no_error_is_of_no_group(head: str) -> None:
    """A store of another time, or none at all."""
    assert kinship(head) == ("", "")
