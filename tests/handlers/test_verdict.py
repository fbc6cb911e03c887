"""What an exception says of its attempt."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesd.core.errors import InvalidPayload, InvalidValue, UnknownType
from hermesd.core.outcome import OutcomeKind
from hermesd.handlers import Permanent, Retry, Snooze, UnstorableResult
from hermesd.handlers.verdict import (
    MAX_MESSAGE_BYTES,
    MAX_TRACEBACK_BYTES,
    bounded_head,
    bounded_tail,
    verdict_of,
)


class Unprintable(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


def group(*errors: Exception) -> ExceptionGroup[Exception]:
    return ExceptionGroup("of a nursery", list(errors))


FAILED, PERMANENT, SNOOZED = OutcomeKind.FAILED, OutcomeKind.PERMANENT, OutcomeKind.SNOOZED


@pytest.mark.parametrize(
    ("raised", "kind", "error_kind", "message", "delay_seconds"),
    [
        (ValueError("bad"), FAILED, "error", "ValueError: bad", None),
        (KeyError(), FAILED, "error", "KeyError", None),
        (SystemExit(3), FAILED, "error", "SystemExit: 3", None),
        (Unprintable(), FAILED, "error", "Unprintable: (its message cannot be shown)", None),
        (Retry(), FAILED, "error", "", None),
        (Retry(after=2, reason="later"), FAILED, "error", "later", 2.0),
        (Permanent("never"), PERMANENT, "permanent", "never", None),
        (UnstorableResult("no"), PERMANENT, "unstorable-result", "no", None),
        (InvalidPayload("at /a"), PERMANENT, "bad-payload", "at /a", None),
        (UnknownType("'x'"), PERMANENT, "unknown-type", "'x'", None),
        (Snooze(5), SNOOZED, None, None, 5.0),
        (Snooze(5, "early"), SNOOZED, "snoozed", "early", 5.0),
        (group(Permanent("never")), PERMANENT, "permanent", "never", None),
        (group(ValueError("a"), group(Permanent("b"))), PERMANENT, "permanent", "b", None),
        (group(Retry(2), ValueError("a")), FAILED, "error", "ValueError: a", None),
        (group(Retry(2, "x"), Retry(3, "y"), Snooze(9)), FAILED, "error", "y", 3.0),
        (group(Snooze(2), Snooze(4)), SNOOZED, None, None, 4.0),
    ],
)
def test_every_exception_has_its_verdict(
    raised: BaseException,
    kind: OutcomeKind,
    error_kind: str | None,
    message: str | None,
    delay_seconds: float | None,
) -> None:
    """The table of the contract; in a group the gravest leaf decides."""
    verdict = verdict_of(raised)
    assert (verdict.kind, verdict.delay_seconds) == (kind, delay_seconds)
    error = verdict.error
    assert (error and error.kind, error and error.message) == (error_kind, message)


def test_a_subclass_of_an_ending_counts_as_it() -> None:
    """Plugins may name their own."""

    class AddressUnknown(Permanent):
        pass

    assert verdict_of(AddressUnknown("x")).kind is PERMANENT


def test_the_traceback_shows_where_it_was_raised() -> None:
    """And the cause that it was raised from."""
    try:
        try:
            raise KeyError("inner")
        except KeyError as error:
            raise ValueError("outer") from error
    except ValueError as error:
        verdict = verdict_of(error)
    assert verdict.error is not None
    assert "KeyError: 'inner'" in verdict.error.traceback
    assert verdict.error.traceback.rstrip().endswith("ValueError: outer")


def test_endless_recursion_has_a_bounded_traceback() -> None:
    """Ten thousand frames are no reason to store them."""

    def deeper() -> None:
        deeper()

    with pytest.raises(RecursionError) as caught:
        deeper()
    error = verdict_of(caught.value).error
    assert error is not None
    assert 0 < len(error.traceback.encode()) <= MAX_TRACEBACK_BYTES


@given(st.text(st.characters(), max_size=50), st.sampled_from([1, 1000]))
def test_texts_are_bounded_and_storable(text: str, times: int) -> None:
    """No NUL, no lone surrogate, within the limits in bytes of UTF-8."""
    error = verdict_of(ValueError(text * times)).error
    assert error is not None
    assert "\0" not in error.message + error.traceback
    assert len(error.message.encode()) <= MAX_MESSAGE_BYTES
    assert len(error.traceback.encode()) <= MAX_TRACEBACK_BYTES
    assert msgspec.json.encode(error)


@given(st.text(max_size=60), st.integers(0, 40))
def test_a_bounded_text_is_an_end_of_the_text(text: str, max_bytes: int) -> None:
    """Cut between characters, never within one."""
    text = text.replace("\0", "")
    if max_bytes:
        assert text.startswith(bounded_head(text, max_bytes))
        assert text.endswith(bounded_tail(text, max_bytes))


@pytest.mark.parametrize(("given_seconds", "seconds"), [(-5, 0.0), (1e12, 365 * 24 * 3600.0)])
def test_a_delay_is_kept_within_a_year(given_seconds: float, seconds: float) -> None:
    """A time that has passed means now."""
    assert Snooze(given_seconds).seconds == Retry(after=given_seconds).after == seconds


@pytest.mark.parametrize("ending", [Snooze, Retry])
def test_a_delay_that_is_no_number_is_refused(ending: Any) -> None:
    """NaN would make a time that never comes."""
    with pytest.raises(InvalidValue):
        ending(float("nan"))
