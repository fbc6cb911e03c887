"""Jobs as they are inserted, several at a time: each as if it came alone."""

from __future__ import annotations

import msgspec
import pytest

from hermesd.core.job import Job
from hermesd.core.states import State
from hermesd.stores.insertion import admitted, admitted_all
from hermesd.stores.order import OrderKeys


def job(**fields: object) -> Job:
    """Queued at 1.5 unless told otherwise."""
    times = {"created_at": 1.5, "updated_at": 1.5, "enqueued_at": 1.5}
    plain = Job(id="1", type="t", payload=msgspec.Raw(b"{}"))
    return msgspec.structs.replace(plain, **{**times, **fields})


@pytest.mark.parametrize(
    "other",
    [
        {"created_at": 0.0, "updated_at": 0.0, "enqueued_at": None},
        {"created_at": 1.00000049, "updated_at": 1.00000049, "enqueued_at": 1.00000049},
        {"timeout": 0.12345649},
        {"timeout": 1.5, "updated_at": 2.5},
        {"state": State.SCHEDULED, "run_at": 9.0},
        {"state": State.RUNNING, "incarnation": "i"},
    ],
)
def test_what_one_job_lacks_it_gets_beside_others_that_lack_nothing(
    other: dict[str, object],
) -> None:
    """Times that were found whole before say nothing of the next job's."""
    given = [job(), job(**other), job(timeout=1.5), job(**other)]
    assert admitted_all(given, 3.5) == [admitted(one, 3.5) for one in given]
    assert admitted_all(given, 3.5)[0] is given[0]


@pytest.mark.parametrize("at", [0.0, 1.0, 2.0])
def test_places_taken_together_are_those_taken_one_by_one(at: float) -> None:
    """Above all that were given out, whatever the clock says."""
    one_by_one, together = OrderKeys(1_000_000), OrderKeys(1_000_000)
    expected = [one_by_one.next(at) for _ in range(5)]
    assert list(together.several(at, 5)) == expected
    assert together.next(at) == one_by_one.next(at)
