"""The table of states and moves."""

from __future__ import annotations

from itertools import product

import pytest

from hermesd.core.errors import IllegalMove
from hermesd.core.states import MOVES, TERMINAL, Move, State, after, sources


@pytest.mark.parametrize(("state", "move"), list(product(State, Move)))
def test_what_the_table_lacks_is_refused_by_name(state: State, move: Move) -> None:
    """Every pair is either a move of the table or an IllegalMove that tells both."""
    if (state, move) in MOVES:
        assert after(state, move) is MOVES[state, move]
        return
    with pytest.raises(IllegalMove) as caught:
        after(state, move)
    assert str(state) in caught.value.detail
    assert str(move) in caught.value.detail


def test_every_move_is_possible_from_somewhere() -> None:
    """And `sources` says from where."""
    for move in Move:
        assert sources(move) == {state for state in State if (state, move) in MOVES}
        assert sources(move)


def test_an_end_is_left_by_an_operator_only() -> None:
    """A requeue of a failed job is the only way out of a terminal state."""
    exits = {(state, move) for state, move in MOVES if state in TERMINAL}
    assert exits == {(State.FAILED, Move.REQUEUE)}
    assert {state for state in State if state.terminal} == TERMINAL


def test_every_job_can_end() -> None:
    """From each state some sequence of moves leads to each terminal state."""
    for start in set(State) - TERMINAL:
        reached, before = {start}, 0
        while len(reached) > before:
            before = len(reached)
            reached |= {MOVES[state, move] for state, move in MOVES if state in reached}
        assert reached >= TERMINAL
