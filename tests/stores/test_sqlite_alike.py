"""Which new jobs are told together: those that share all but what is their own."""

from __future__ import annotations

import msgspec
import pytest

from hermesd.core.job import Job
from hermesd.stores.backend import ItemFault
from hermesd.stores.sqlite.alike import (
    FEWEST_ALIKE,
    MOST_FAMILIES,
    Family,
    born_alike,
    changed_alike,
)
from hermesd.stores.sqlite.statements import KEY_DIGITS


def born(number: int, **fields: object) -> tuple[Job, int]:
    """With its place; its times are its own, as is its payload."""
    at = float(number)
    job = Job(id=f"{number:03d}", type="t", payload=msgspec.Raw(b"%d" % number))
    return msgspec.structs.replace(job, **{"created_at": at, "updated_at": at, **fields}), number


def ids(family: Family) -> list[str]:
    """Of the jobs that a text tells of, as many as it says."""
    _, jobs, given = family
    own = [key[2 * KEY_DIGITS :] for key in msgspec.json.decode(given, type=dict[str, str])]
    assert len(own) == jobs
    return own


def test_jobs_of_several_kinds_are_sorted_though_they_come_in_turns() -> None:
    """Labels, which no set can hold, are a difference too."""
    kinds: list[dict[str, object]] = [{}, {"labels": {"a": "b"}}, {"priority": 7}]
    newborn = [born(number, **kinds[number % 3]) for number in range(3 * FEWEST_ALIKE)]
    odd, families = born_alike(newborn)
    assert odd == []
    assert sorted(map(ids, families)) == [
        [f"{number:03d}" for number in range(kind, 3 * FEWEST_ALIKE, 3)] for kind in range(3)
    ]


@pytest.mark.parametrize(
    "fields", [{"enqueued_at": 999.0}, {"started_at": 999.0}, {"updated_at": 999.0}]
)
def test_a_job_with_a_time_of_its_own_is_told_alone(fields: dict[str, object]) -> None:
    """It would not come back as it went in."""
    newborn = [born(number) for number in range(FEWEST_ALIKE)]
    own = born(100, **fields)
    odd, (family,) = born_alike([*newborn[:2], own, *newborn[2:]])
    assert odd == [own]
    assert ids(family) == [job.id for job, _ in newborn]


def test_few_jobs_and_the_families_above_the_most_are_told_one_by_one() -> None:
    """Each of them once."""
    few = [born(number) for number in range(FEWEST_ALIKE - 1)]
    assert born_alike(few) == (few, [])
    assert born_alike([*few, born(9, priority=7)]) == ([*few, born(9, priority=7)], [])
    newborn = [
        born(100 * kind + number, max_attempts=kind + 1)
        for kind in range(MOST_FAMILIES + 2)
        for number in range(FEWEST_ALIKE)
    ]
    odd, families = born_alike(newborn)
    assert len(families) == MOST_FAMILIES
    assert odd == newborn[MOST_FAMILIES * FEWEST_ALIKE :]


def test_a_nul_is_refused_wherever_it_is() -> None:
    """In what they share as in what is their own."""
    with pytest.raises(ItemFault):
        born_alike([born(number, type="a\0b") for number in range(FEWEST_ALIKE)])
    with pytest.raises(ItemFault):
        born_alike([*map(born, range(FEWEST_ALIKE)), born(9, id="a\0b")])


def ended(number: int, result: str = "null") -> tuple[object, ...]:
    """The values of SUCCEEDED."""
    return (f"{number:03d}", 1, result, 5, 4)


def test_changes_that_share_all_but_their_ids_are_told_together() -> None:
    """Few alike are told one by one, as are the families above the most; each of them once."""
    rows = [ended(number, "nul"[number % 3]) for number in range(3 * FEWEST_ALIKE)]
    odd, families = changed_alike([*rows, ended(900)])
    assert odd == [ended(900)]
    assert [(shared, jobs, msgspec.json.decode(given)) for shared, jobs, given in families] == [
        (rows[kind][1:], FEWEST_ALIKE, [row[0] for row in rows[kind::3]]) for kind in range(3)
    ]
    few = rows[: FEWEST_ALIKE - 1]
    assert changed_alike(few) == (few, [])
    many = [
        ended(100 * kind + number, str(kind))
        for kind in range(MOST_FAMILIES + 2)
        for number in range(FEWEST_ALIKE)
    ]
    odd, families = changed_alike(many)
    assert len(families) == MOST_FAMILIES
    assert odd == many[MOST_FAMILIES * FEWEST_ALIKE :]


def test_a_nul_in_a_change_is_refused_wherever_it_is() -> None:
    """A result that is shared is in no JSON text, and would be cut all the same."""
    with pytest.raises(ItemFault):
        changed_alike([ended(number, "\0") for number in range(FEWEST_ALIKE)])
    with pytest.raises(ItemFault):
        changed_alike([*map(ended, range(FEWEST_ALIKE)), ("a\0b", 1, "null", 5, 4)])
