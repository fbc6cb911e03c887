"""What went wrong with a submit: its kind for the report, and the client's fault that decides."""

from __future__ import annotations

from typing import Final, NamedTuple

from hermesd.client import ClientError, ConnectionFailed
from hermesd.client.reading import RawAnswer, refusal
from hermesd.http.client import HttpResponse
from hermesd.http.errors import ConnectRefused, HttpCallFailed, Unanswered

_TOLD_CHARACTERS: Final = 60
_BLANK: Final = "about:blank"  # no more than the status says (RFC 9457 section 4.2.1)


class Fault(NamedTuple):
    """`kind` is short and the same for the same trouble; `error` is as a client would get it."""

    kind: str
    error: ClientError


def of_response(response: HttpResponse) -> Fault | None:
    """None for a 2xx."""
    if 200 <= response.status < 300:
        return None
    headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in response.headers}
    error = refusal(RawAnswer(response.status, headers, response.body))
    told = error.title.lower() if error.slug in (f"http-{error.status}", _BLANK) else error.slug
    return Fault(f"{error.status} {told[:_TOLD_CHARACTERS]}", error)


def of_failure(failure: HttpCallFailed) -> Fault:
    """No answer came."""
    sent = isinstance(failure, Unanswered)
    kind = "connection refused" if isinstance(failure, ConnectRefused) else "no connection"
    return Fault("no answer" if sent else kind, ConnectionFailed(str(failure), sent=sent))
