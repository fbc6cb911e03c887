"""The circuit breaker."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from hermesd.core.breaker import Breaker, BreakerState


def breaker(now: float = 0.0) -> Breaker:
    """A fresh one."""
    return Breaker(now, min_backoff_seconds=0.5, max_backoff_seconds=4.0)


def test_a_path_starts_open_and_is_probed_at_once() -> None:
    """Nothing is sent before a probe has succeeded."""
    fresh = breaker(10.0)
    assert (fresh.state, fresh.closed, fresh.probe_at) == (BreakerState.OPEN, False, 10.0)


def test_only_the_first_trip_tells_of_a_change() -> None:
    """A probe that fails again is no news."""
    path = breaker()
    path.reset()
    assert [path.trip(0, "a"), path.trip(1, "b")] == [True, False]
    path.probing()
    assert path.state is BreakerState.HALF_OPEN
    assert not path.trip(2, "c")
    assert path.reason == "c"


def test_the_backoff_doubles_to_its_bound_and_begins_anew() -> None:
    """After a success the first probe comes soon again."""
    path = breaker()
    path.reset()
    waits = []
    for _ in range(6):
        path.trip(0.0, "down")
        waits.append(path.probe_at)
    assert waits == [0.5, 1, 2, 4, 4, 4]
    path.reset()
    path.trip(0.0, "down")
    assert path.probe_at == 0.5


@given(st.lists(st.sampled_from(["trip", "probing", "reset"])), st.floats(0, 1e6))
def test_it_is_closed_after_a_success_only(moves: list[str], now: float) -> None:
    """Whatever came before, and the next probe is never further off than the bound."""
    path = breaker(now)
    for move in moves:
        if move == "trip":
            path.trip(now, "down")
        else:
            getattr(path, move)()
    assert path.closed == (bool(moves) and moves[-1] == "reset")
    assert path.probe_at <= now + 4.0
