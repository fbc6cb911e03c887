"""Time as the database tells it, and when a server that is away is asked again."""

from __future__ import annotations

from hermesd.stores.postgres.comeback import MOST_SECONDS, Comeback
from hermesd.stores.postgres.timing import DatabaseTime


class Here:
    """This machine's monotonic time."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        """Seconds."""
        return self.now


def test_before_it_is_measured_it_is_this_machines() -> None:
    """There is nothing better."""
    assert DatabaseTime(lambda: 7.0).utc() == 7.0


def test_it_goes_on_from_what_was_measured() -> None:
    """Half of the way there and back is the guess."""
    here = Here()
    there = DatabaseTime(lambda: 7.0, here.monotonic)
    there.measured(5000.0, 99.0, 100.0)
    assert there.utc() == 5000.5
    here.now += 60
    assert there.utc() == 5060.5


def test_a_slow_answer_does_not_spoil_what_is_known_well() -> None:
    """It tells less than was known before."""
    here = Here()
    there = DatabaseTime(lambda: 7.0, here.monotonic)
    there.measured(5000.0, 100.0, 100.0)
    there.measured(5001.9, 100.0, 102.0)
    here.now = 103.0
    assert there.utc() == 5003.0
    there.measured(5003.01, 103.0, 103.0)
    assert there.utc() == 5003.01


def test_what_is_known_is_given_up_where_it_is_proven_wrong() -> None:
    """Whatever the answer took: the database's clock was set, or this machine slept."""
    here = Here()
    there = DatabaseTime(lambda: 7.0, here.monotonic)
    there.measured(5000.0, 100.0, 100.0)
    there.measured(9000.0, 101.0, 103.0)
    here.now = 102.0
    assert there.utc() == 9000.0


def test_a_server_that_is_away_is_left_alone_for_longer_and_longer() -> None:
    """Up to a bound, and no two apis in step."""
    comeback = Comeback()
    assert comeback.seconds_left(10.0) == 0
    waits = []
    for _ in range(10):
        comeback.failed(10.0, 1.0, "away")
        waits.append(comeback.seconds_left(10.0))
    assert waits == sorted(waits)
    assert 0 < waits[0] < 1
    assert waits[-1] == MOST_SECONDS
    comeback.failed(10.0, 0.0, "away still")
    assert comeback.trouble == "away still"
    assert comeback.seconds_left(10.0) == MOST_SECONDS / 2
    assert comeback.seconds_left(20.0) == 0
    comeback.worked()
    assert comeback.seconds_left(10.0) == 0
