"""The pure parts: Retry-After, headers, signature, payload."""

from __future__ import annotations

import hashlib
import hmac
from datetime import UTC, datetime

import msgspec
import pytest
from hermesd_http.headers import HeaderRefused, checked_headers
from hermesd_http.payload import HttpPayload
from hermesd_http.retry_after import retry_after_seconds
from hermesd_http.signature import signature_headers
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        (None, None),
        ("120", 120.0),
        (" 0 ", 0.0),
        ("Thu, 01 Jan 2026 12:00:30 GMT", 30.0),
        ("Thu, 01 Jan 2026 12:00:30 -0000", 30.0),
        ("Thu, 01 Jan 2026 11:00:00 GMT", 0.0),
        ("9" * 5000, 3600.0),
        ("Fri, 31 Dec 9999 23:59:59 GMT", 3600.0),
        ("-5", None),
        ("1.5", None),
        ("soon", None),
        ("²", None),
        ("", None),
    ],
)
def test_retry_after_is_read_as_seconds_or_date(value: str | None, seconds: float | None) -> None:
    """Both forms of RFC 9110, capped; what is neither leaves it to the backoff."""
    assert retry_after_seconds(value, NOW, 3600.0) == seconds


@given(st.text(max_size=60))
def test_no_retry_after_breaks_the_reading(value: str) -> None:
    """Whatever a server sends gives None or a number within the cap."""
    seconds = retry_after_seconds(value, NOW, 60.0)
    assert seconds is None or 0 <= seconds <= 60


@pytest.mark.parametrize(
    "headers",
    [
        {"X-A": "one\r\nX-B: two"},
        {"X-A": "one\n"},
        {"X-A\r\nX-B": "one"},
        {"X A": "one"},
        {"": "one"},
        {"X-A": "nul\0"},
        {"X-A": "kanji 漢"},
        {"Host": "elsewhere"},
        {"content-LENGTH": "5"},
        {"Transfer-Encoding": "chunked"},
        {"X-Hermes-Signature": "sha256=forged"},
        {"X-A": "one", "x-a": "two"},
    ],
)
def test_a_header_that_could_forge_or_split_is_refused(headers: dict[str, str]) -> None:
    """Grammar, line breaks, duplicates, and what hermesd or the connection sets."""
    with pytest.raises(HeaderRefused):
        checked_headers(headers)


def test_a_refused_header_does_not_show_its_value() -> None:
    """Values may be secret, so only the name is told."""
    with pytest.raises(HeaderRefused) as caught:
        checked_headers({"Authorization": "Bearer hush\r\n"})
    assert "hush" not in str(caught.value)


def test_the_signature_covers_time_and_body() -> None:
    """A receiver can compute it with nothing but the secret and what it got."""
    expected = hmac.new(b"key", b"1700000000.{}", hashlib.sha256).hexdigest()
    assert signature_headers("key", b"{}", 1_700_000_000) == {
        "X-Hermes-Timestamp": "1700000000",
        "X-Hermes-Signature": f"sha256={expected}",
    }


def test_json_null_is_a_body() -> None:
    """A null that is given differs from nothing given."""
    given_null = msgspec.json.decode(b'{"url":"http://a","json":null}', type=HttpPayload)
    assert given_null.content() == (b"null", "application/json")
    assert HttpPayload(url="http://a").content() == (b"", None)


def test_json_and_body_exclude_each_other() -> None:
    """Both at once are refused when the payload is read."""
    with pytest.raises(msgspec.ValidationError, match="not both"):
        msgspec.json.decode(b'{"url":"http://a","json":1,"body":"x"}', type=HttpPayload)
