"""What a client says of its trace is taken where the standard lets it be."""

from __future__ import annotations

import pytest

from hermesd.core.trace import context_text, parts_of, trace_id_of

PARENT = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


@pytest.mark.parametrize("state", ["", "rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"])
def test_both_headers_go_as_one_text_and_come_apart_again(state: str) -> None:
    """A space is in neither's way: a traceparent has none."""
    text = context_text(PARENT, state)
    assert text is not None
    assert parts_of(text) == (PARENT, state)
    assert trace_id_of(text) == "4bf92f3577b34da6a3ce929d0e0e4736"
    assert parts_of(None) == ("", "")


@pytest.mark.parametrize(
    "parent",
    [
        "",
        "x",
        PARENT.upper(),
        PARENT + "-00",  # version 00 has no more fields
        PARENT[:-1],
        PARENT + "\n",
        "ff" + PARENT[2:],
        "00-" + "0" * 32 + "-00f067aa0ba902b7-01",
        "00-4bf92f3577b34da6a3ce929d0e0e4736-" + "0" * 16 + "-01",
        "01" + PARENT[2:] + "-" + "x" * 1000,
    ],
)
def test_what_is_no_traceparent_is_ignored(parent: str) -> None:
    """As the standard says: the trace begins anew."""
    assert context_text(parent) is None


def test_a_later_version_may_say_more() -> None:
    """And is passed on as it came."""
    assert context_text("01" + PARENT[2:] + "-more") == "01" + PARENT[2:] + "-more"


@pytest.mark.parametrize("state", ["x" * 513, "a=\nb=", "a=\xff", "\0"])
def test_a_bad_tracestate_alone_is_left_out(state: str) -> None:
    """The traceparent holds without it."""
    assert context_text(PARENT, state) == PARENT
