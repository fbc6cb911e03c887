"""What is said of a running job when its worker is to leave."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesd.core.forecast import Fate, SoFar, forecast

amounts = st.floats(0, 1e6)


@pytest.mark.parametrize(
    ("job", "fate", "remaining"),
    [
        (SoFar(elapsed_seconds=10, timeout=300), Fate.UNKNOWN, None),
        (SoFar(elapsed_seconds=10, timeout=25), Fate.FINISHES, 15),
        (SoFar(elapsed_seconds=10, timeout=300, typical_seconds=25), Fate.FINISHES, 15),
        (SoFar(elapsed_seconds=10, timeout=300, typical_seconds=200), Fate.HANDED_ON, 190),
        (SoFar(elapsed_seconds=90, timeout=300, typical_seconds=20), Fate.UNKNOWN, None),
        (
            SoFar(elapsed_seconds=10, timeout=300, progress=0.5, progress_seconds=8),
            Fate.FINISHES,
            6,
        ),
        (
            SoFar(
                elapsed_seconds=60,
                timeout=300,
                progress=0.5,
                progress_seconds=60,
                typical_seconds=61,
            ),
            Fate.HANDED_ON,
            60,
        ),
        (SoFar(elapsed_seconds=290, timeout=300, typical_seconds=400), Fate.FINISHES, 10),
        (
            SoFar(elapsed_seconds=5, timeout=300, progress=0.0, progress_seconds=5),
            Fate.UNKNOWN,
            None,
        ),
    ],
)
def test_a_job_is_guessed_at(job: SoFar, fate: Fate, remaining: float | None) -> None:
    """By its own word first, then by its type, and by its timeout at last."""
    guess = forecast(job, drain_seconds=20)
    assert (guess.fate, guess.remaining_seconds) == (fate, remaining)
    assert guess.why


@given(
    st.builds(
        SoFar,
        elapsed_seconds=amounts,
        timeout=amounts,
        progress=st.none() | st.floats(0, 1),
        progress_seconds=amounts,
        typical_seconds=st.none() | amounts,
    ),
    amounts,
)
def test_a_guess_fits_its_figure(job: SoFar, drain_seconds: float) -> None:
    """What finishes does so in time, and never after its timeout."""
    guess = forecast(job, drain_seconds)
    if guess.remaining_seconds is None:
        assert guess.fate is Fate.UNKNOWN
        assert job.timeout - job.elapsed_seconds > drain_seconds
    else:
        assert guess.remaining_seconds >= 0
        assert (guess.fate is Fate.FINISHES) == (guess.remaining_seconds <= drain_seconds)
