"""Priorities, type names, owners, ends."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesd.core.ends import REMEMBERED_ENDS, Ends
from hermesd.core.errors import InvalidValue
from hermesd.core.job import PRIORITY_LEVELS, Job, Owner, fits_owner, priority_of
from hermesd.core.jobtype import MAX_NAME_LENGTH, check_type_name
from hermesd.core.states import State


@given(st.integers())
def test_a_priority_is_a_number_from_0_to_10(value: int) -> None:
    """And nothing else."""
    if 0 <= value <= 10:
        assert priority_of(value) == value
    else:
        with pytest.raises(InvalidValue, match="from 0 to 10"):
            priority_of(value)


def test_a_level_is_a_priority_by_name() -> None:
    """An unknown one is told the known ones; a truth value is no number."""
    assert {name: priority_of(name) for name in PRIORITY_LEVELS} == PRIORITY_LEVELS
    with pytest.raises(InvalidValue, match="background, normal, high, critical"):
        priority_of("urgent")
    with pytest.raises(InvalidValue):
        priority_of(True)


words = st.text(
    st.characters(codec="ascii", categories=["L", "N"]) | st.sampled_from("_-"), min_size=1
)


@given(st.lists(words, min_size=1, max_size=4))
def test_dotted_words_are_a_type(parts: list[str]) -> None:
    """Up to the length limit."""
    name = ".".join(parts)
    if len(name) <= MAX_NAME_LENGTH:
        assert check_type_name(name) == name
    else:
        with pytest.raises(InvalidValue):
            check_type_name(name)


@pytest.mark.parametrize(
    "name", ["", ".", "a.", ".a", "a..b", "a b", "a\n", "ä", "*", "a/b", "a" * 201]
)
def test_anything_else_is_none(name: str) -> None:
    """A line end at the end included."""
    with pytest.raises(InvalidValue, match="no job type"):
        check_type_name(name)


@given(st.sampled_from(State), st.sampled_from(Owner), st.booleans())
def test_every_state_has_its_owner(state: State, owner: Owner, named: bool) -> None:
    """A live job exactly one, an ended one none, a running one with its incarnation."""
    job = Job(
        id="j",
        type="t",
        payload=msgspec.Raw(b"1"),
        state=state,
        owner=owner,
        incarnation="i" if named else None,
    )
    allowed = {
        State.SCHEDULED: {Owner.TIMER},
        State.QUEUED: {Owner.STORE, Owner.AMQP},
        State.RUNNING: {Owner.INCARNATION} if named else set(),
    }
    assert fits_owner(job) == (owner in allowed.get(state, {Owner.NONE}))


def test_a_run_ends_once_and_a_new_run_once_more() -> None:
    """Only the last ones are remembered."""
    ends = Ends()
    job = Job(id="j", type="t", payload=msgspec.Raw(b"1"))
    assert [ends.again([job]), ends.again([job])] == [[], [job]]
    assert not ends.again([msgspec.structs.replace(job, run=2)])
    others = [msgspec.structs.replace(job, id=f"j{number}") for number in range(REMEMBERED_ENDS)]
    assert ends.again([job, others[0], job, others[0]]) == [job, job, others[0]]
    for other in others[1:]:
        assert not ends.again([other])
    assert not ends.again([job])
