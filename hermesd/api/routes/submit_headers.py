"""The header fields of a submit that are read: its idempotency key and its trace."""

from __future__ import annotations

from typing import Final

import msgspec

from hermesd.api.submit import JobRequest
from hermesd.core.errors import InvalidValue
from hermesd.core.trace import context_text
from hermesd.http.asgi import Headers

KEY_HEADER: Final = b"idempotency-key"
# The fields of a request that are read; most have none of them.
READ_HEADERS: Final = frozenset({KEY_HEADER, b"traceparent", b"tracestate"})


def keys_of(headers: Headers) -> set[str]:
    """The idempotency keys that are given; one at most makes sense."""
    return {value.decode("latin-1") for name, value in headers if name == KEY_HEADER}


def trace_of(headers: Headers) -> str | None:
    """What its client says; of a header that comes several times nothing is taken."""
    parents = [value for name, value in headers if name == b"traceparent"]
    if len(parents) != 1:
        return None
    states = [value.decode("latin-1") for name, value in headers if name == b"tracestate"]
    return context_text(parents[0].decode("latin-1"), ",".join(states))


def with_key(request: JobRequest, headers: Headers) -> JobRequest:
    """The request with the key of its header, which must not differ from one in the body."""
    keys = keys_of(headers)
    if not keys:
        return request
    if request.idempotency_key is not None:
        keys.add(request.idempotency_key)
    if len(keys) > 1:
        raise InvalidValue("the idempotency keys given by header and body differ")
    return msgspec.structs.replace(request, idempotency_key=keys.pop())
