"""URLs of PostgreSQL: what may be said, and how a refusal helps."""

from __future__ import annotations

import pytest

from hermesd.core.errors import InvalidValue
from hermesd.core.postgres_url import check_postgres_url


@pytest.mark.parametrize(
    "url",
    [
        "postgresql://localhost/jobs",
        "postgres://u:p%40ss@db.example.org:5433/jobs",
        "postgresql://u@[::1]:5432/jobs",
        "postgresql://u@[::1]/jobs",
        "postgresql://a:1,b:2/jobs?target_session_attrs=read-write",
        "postgresql:///jobs?host=/run/postgresql",
        "postgresql://u@h/jobs?sslmode=verify-full&sslrootcert=/etc/ca.pem",
        "postgresql://u@h/jobs?sslmode=verify-ca&sslrootcert=system",
    ],
)
def test_what_can_be_used_is_taken(url: str) -> None:
    """One host or several, a socket's folder, TLS."""
    check_postgres_url(url)


@pytest.mark.parametrize(
    ("url", "reason"),
    [
        ("mysql://secret@h/d", "must begin with postgresql://"),
        ("postgresql://u:secret@h", "must end with its database"),
        ("postgresql://u:secret@h/", "must end with its database"),
        ("postgresql://u:secret@h/a/b", "must end with its database"),
        ("postgresql://u:secr/et@h/d", "must end with its database"),
        ("postgresql://u:secr@et@h/d", "cannot be read; in user, password"),
        ("postgresql://u:secr#et@h/d", "cannot be read; in user, password"),
        ("postgresql://u:secret @h/d", "no blanks"),
        ("postgresql://u:secret@h:x/d", "no valid host and port"),
        ("postgresql://u:secret@h:0/d", "no valid host and port"),
        ("postgresql://u:secret@::1:5432/d", "IPv6 address in brackets"),
        ("postgresql://u:secret@[::1/d", "cannot be read"),
        ("postgresql://u:secret@h/d?ssl=true", "unknown parameter 'ssl'"),
        ("postgresql://u:secret@h/d?sslmode", "cannot be read"),
        ("postgresql://u:secret@h/d?sslmode=on", "unknown sslmode; one of disable"),
        ("postgresql://u:secret@h/d?sslmode=verify-full", "needs sslrootcert=/PATH"),
        ("postgresql://u:secret@h/d?sslcert=own.pem", "sslcert by an absolute path"),
    ],
)
def test_what_cannot_be_used_is_told(url: str, reason: str) -> None:
    """And none of the url is shown."""
    with pytest.raises(InvalidValue) as refused:
        check_postgres_url(url)
    assert reason in refused.value.detail
    assert "secret" not in refused.value.detail
    assert "secr" not in refused.value.detail
