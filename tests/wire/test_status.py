"""Core errors as gRPC statuses and back."""

from __future__ import annotations

import pytest

from hermesd.core import errors
from hermesd.core.errors import HermesError
from hermesd.wire.status import error_of, status_of

CLASSES = [
    each
    for each in vars(errors).values()
    if isinstance(each, type) and issubclass(each, HermesError) and each.grpc_status != 13
]


@pytest.mark.parametrize("error_class", CLASSES)
def test_every_error_with_a_status_of_its_own_comes_back_as_itself(error_class):
    """The slug in the metadata tells those apart that share a number."""
    back = error_of(*status_of(error_class("because")))
    assert type(back) is error_class
    assert back.detail == "because"


def test_retry_after_survives():
    """In seconds, fractions included."""
    back = error_of(*status_of(errors.StoreUnavailable("x", retry_after_seconds=0.25)))
    assert isinstance(back, errors.StoreUnavailable)
    assert back.retry_after_seconds == 0.25


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (1, errors.Unavailable),
        (2, errors.Unavailable),
        (3, errors.InvalidValue),
        (4, errors.Unavailable),
        (5, errors.NotFound),
        (8, errors.TooLarge),
        (9, errors.Conflict),
        (12, errors.Unavailable),
        (13, errors.Broken),
        (14, errors.Unavailable),
        (16, errors.Rejected),
        (99, errors.Unavailable),
    ],
)
def test_a_status_without_metadata_is_read_by_its_number(code, expected):
    """As a proxy or another implementation would send it."""
    assert type(error_of(code, "why", {})) is expected


@pytest.mark.parametrize("value", ["soon", "nan", "-3", "inf", "1e9", b"\xff"])
def test_a_bad_retry_after_is_bounded(value):
    """No peer makes a worker wait for ever."""
    error = error_of(14, "x", {"retry-after": value})
    assert isinstance(error, errors.Unavailable)
    assert 0 <= error.retry_after_seconds <= 3600


def test_a_long_detail_is_cut_and_surrogates_are_escaped():
    """Trailers have a size limit, and HTTP/2 carries UTF-8."""
    status = status_of(errors.NotFound("\udc80" + "x" * 10_000))
    assert len(status.message) <= 1_010
    assert status.message.startswith("\\udc80x")
