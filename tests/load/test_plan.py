"""Whose turn it is, what is sent in which proportions, and what the report counts."""

from __future__ import annotations

from collections import Counter
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesd.bench import Mode, Plan, Share, Tally
from hermesd.bench.bodies import Bodies
from hermesd.bench.tally import MAX_KINDS, OTHER
from hermesd.bench.target import Target
from hermesd.bench.tickets import Tickets
from hermesd.core.errors import InvalidValue


def plan(**members: Any) -> Plan:
    """A plan for one job."""
    base = {"url": "http://127.0.0.1", "types": (Share("noop"),), "jobs": 1}
    return Plan(**{**base, **members})


def test_a_mix_keeps_its_proportions() -> None:
    """Of types and of priorities, and one says nothing of the other."""
    types, priorities = (Share("a", 3), Share("b")), (Share("high"), Share(2))
    bodies = Bodies(plan(types=types, priorities=priorities))
    items = [msgspec.json.decode(bodies.request(1).body) for _ in range(5000)]
    counts = Counter((item["type"], item["priority"]) for item in items)
    assert counts["a", "high"] == pytest.approx(5000 * 0.75 / 2, rel=0.1)
    assert counts["b", 2] == pytest.approx(5000 * 0.25 / 2, rel=0.2)


@given(st.integers(1, 1000), st.integers(1, 100))
def test_tickets_are_for_all_jobs_and_no_more(jobs: int, batch: int) -> None:
    """The last batch is the rest."""
    tickets = Tickets(plan(mode=Mode.BATCH, jobs=jobs, batch=batch), 0.0)
    sizes = []
    while ticket := tickets.take(0.0):
        sizes.append(ticket.jobs)
    assert sum(sizes) == jobs
    assert set(sizes[:-1]) <= {batch}


def test_under_a_rate_a_turn_is_due_when_the_rate_says() -> None:
    """However late it is taken, so that a slow answer shows in the ones behind it."""
    tickets = Tickets(plan(jobs=3, jobs_per_second=10.0), 100.0)
    taken = [tickets.take(200.0) for _ in range(3)]
    assert [ticket.due for ticket in taken if ticket] == pytest.approx([100.0, 100.1, 100.2])


def test_no_ticket_is_given_past_the_end() -> None:
    """Of the time, or once it is closed."""
    tickets = Tickets(plan(jobs=None, duration_seconds=5.0), 0.0)
    assert tickets.take(4.9) is not None
    assert tickets.take(5.0) is None
    tickets.close()
    assert tickets.take(1.0) is None


def test_no_more_connections_are_made_than_there_are_submits() -> None:
    """And a burst has one for each."""
    assert plan(jobs=10, connections=32).concurrency == 10
    assert plan(mode=Mode.BATCH, jobs=10, batch=4, connections=32).concurrency == 3
    assert plan(mode=Mode.BURST, jobs=500, connections=32).concurrency == 500


def test_kinds_of_errors_are_bounded() -> None:
    """Whatever the other side makes up."""
    tally = Tally(0.0)
    for number in range(1000):
        tally.given_up(f"kind {number}", 1, 1.0)
    assert len(tally.errors) == MAX_KINDS + 1
    assert tally.errors[OTHER] == 1000 - MAX_KINDS


def test_a_url_gives_host_port_and_prefix() -> None:
    """With the scheme's own port where it names none."""
    target = Target.of("http://[::1]:8081/jobs-api/")
    assert (target.host, target.port, target.prefix) == ("::1", 8081, "/jobs-api")
    assert Target.of("https://hermes.example").port == 443


@pytest.mark.parametrize("url", ["ftp://x", "http://", "http://x:99999", "x"])
def test_what_is_no_url_is_refused(url: str) -> None:
    """With the text itself."""
    with pytest.raises(InvalidValue, match="URL"):
        Target.of(url)
