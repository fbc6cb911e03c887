"""Which links begin and end."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hermesd.core.endpoints import (
    IDLE_SECONDS,
    MAX_LINKS,
    UNREACHED_SECONDS,
    Line,
    Plan,
    is_address,
    join_endpoint,
    plan,
    split_endpoint,
)

LINES = st.builds(
    Line,
    address=st.sampled_from("abcdefgh"),
    live=st.booleans(),
    busy=st.booleans(),
    absent_seconds=st.floats(0, 1000),
)


def line(address: str, absent: float, *, live: bool = False, busy: bool = False) -> Line:
    """A link to an address that no name has any more."""
    return Line(address=address, live=live, busy=busy, absent_seconds=absent)


def test_every_new_address_gets_a_link_once() -> None:
    """However often it is named; those that have one keep it."""
    assert plan(["a", "b", "b"], [line("a", 0)]) == Plan(("b",), ())


def test_an_unreached_absent_address_is_let_go_after_a_while() -> None:
    """An api that restarts may vanish from its name for a moment."""
    assert plan([], [line("a", UNREACHED_SECONDS - 1)]).end == ()
    assert plan([], [line("a", UNREACHED_SECONDS)]).end == ("a",)


def test_a_living_absent_api_is_left_when_its_jobs_have_ended() -> None:
    """And not before."""
    assert plan([], [line("a", IDLE_SECONDS, live=True, busy=True)]).end == ()
    assert plan([], [line("a", IDLE_SECONDS - 1, live=True)]).end == ()
    assert plan([], [line("a", IDLE_SECONDS, live=True)]).end == ("a",)


def test_links_are_bounded() -> None:
    """What is left out is named."""
    wanted = [str(number) for number in range(MAX_LINKS + 2)]
    decided = plan(wanted, [])
    assert len(decided.start) == MAX_LINKS
    assert decided.refused == tuple(wanted[MAX_LINKS:])


@given(
    wanted=st.sets(st.sampled_from("abcdefgh")),
    lines=st.lists(LINES, unique_by=lambda x: x.address),
)
def test_what_is_wanted_has_one_link_in_the_end(wanted: set[str], lines: list[Line]) -> None:
    """And nothing that is wanted ends."""
    decided = plan(sorted(wanted), lines)
    kept = {each.address for each in lines} - set(decided.end)
    assert wanted <= kept | set(decided.start)
    assert not wanted & set(decided.end)
    assert not kept & set(decided.start)


def test_endpoints_are_split_and_joined() -> None:
    """IPv6 addresses have brackets in an endpoint only."""
    for endpoint, parts in {
        "apis.example:7": ("apis.example", 7),
        "127.0.0.1:80": ("127.0.0.1", 80),
        "[::1]:65535": ("::1", 65535),
    }.items():
        assert split_endpoint(endpoint) == parts
        assert join_endpoint(*parts) == endpoint
    assert [is_address(host) for host in ("::1", "10.0.0.1", "apis.example")] == [True, True, False]
