"""Responses to bytes: status line, the server's own fields, the app's fields, framing."""

import re
from email.utils import formatdate
from http import HTTPStatus
from typing import TypeAlias

import msgspec

from hermesd.http.asgi import Headers
from hermesd.http.errors import BadResponse

_TOKEN = re.compile(rb"[A-Za-z0-9!#$%&'*+\-.^_`|~]+")  # RFC 9110 5.6.2
_MAX_KNOWN_NAMES = 1024
# Fields that are the server's to write: what the app says of them is read or dropped.
_LENGTH, _CONNECTION, _OWN = range(3)
_KINDS = {
    b"content-length": _LENGTH,
    b"connection": _CONNECTION,
    b"transfer-encoding": _OWN,
    b"keep-alive": _OWN,
    b"date": _OWN,
    b"server": _OWN,
}


class Problem(msgspec.Struct):
    """Problem details for HTTP APIs (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str


# An app's response fields: their lines, its content-length, and whether it wants to close.
Fields: TypeAlias = tuple[bytes, int | None, bool]


def problem(status: int, detail: str) -> tuple[Headers, bytes]:
    """Fields and body of a problem response about `status`."""
    title = HTTPStatus(status).phrase
    body = msgspec.json.encode(Problem("about:blank", title, status, detail))
    return [(b"content-type", b"application/problem+json")], body


def bodiless(status: int) -> bool:
    """Whether responses of `status` never have a body (RFC 9110 6.4.1)."""
    return status in (204, 304)


class ResponseWriter:
    """Renders heads; one per server. `refresh` moves the Date field."""

    def __init__(self) -> None:
        self._labels: dict[bytes, bytes] = {}
        self._openings: dict[int, bytes] = {}
        self._date = b""
        self.refresh()

    def refresh(self) -> None:
        """Take the current second for the Date field; call at least once a second."""
        date = formatdate(usegmt=True).encode("ascii")
        if date != self._date:
            self._date = date
            self._openings.clear()

    def opening(self, status: int) -> bytes:
        """Status line and the server's own fields, kept for the second, without a line end."""
        known = self._openings.get(status)
        if known is None:
            if not 200 <= status <= 999:
                raise BadResponse(f"{status} is no final status code")
            try:
                phrase = HTTPStatus(status).phrase
            except ValueError:
                phrase = ""
            line = f"HTTP/1.1 {status} {phrase}\r\nServer: hermesd\r\nDate: ".encode("ascii")
            known = self._openings[status] = line + self._date
        return known

    def fields(self, headers: Headers) -> Fields:
        """Render the app's fields, each after a line end.

        BadResponse if one could not be sent as it is meant.
        """
        data = b""
        lines = 0
        length = None
        close = False
        labels = self._labels
        for name, value in headers:
            label = labels.get(name)
            if label is None:
                label = self._label(name)
            if label:
                data += label + value
                lines += 1
                continue
            kind = _KINDS[name.lower()]
            if kind == _LENGTH:
                length = _parse_length(value, length)
            elif kind == _CONNECTION:
                close = close or b"close" in value.lower()
        # Every CR and LF must be ours: any other one would start a field of its making.
        if data.count(b"\n") != lines or data.count(b"\r") != lines or b"\0" in data:
            raise BadResponse("a response field holds CR, LF or NUL")
        return data, length, close

    def refusal(self, status: int, detail: str, extra: bytes = b"") -> bytes:
        """A whole problem response after which the connection is closed."""
        headers, body = problem(status, detail)
        lines, _, _ = self.fields(headers)
        framing = b"\r\nContent-Length: %d\r\nConnection: close\r\n" % len(body)
        return b"".join((self.opening(status), lines, framing, extra, b"\r\n", body))

    def whole(self, status: int, headers: Headers, body: bytes, *, close: bool) -> bytes:
        """A whole response with a body."""
        lines, _, _ = self.fields(headers)
        framing = b"\r\nContent-Length: %d\r\n" % len(body)
        ending = b"Connection: close\r\n\r\n" if close else b"\r\n"
        return b"".join((self.opening(status), lines, framing, ending, body))

    def _label(self, name: bytes) -> bytes:
        """What stands before the value of a plain field; empty for the server's own."""
        if _TOKEN.fullmatch(name) is None:
            raise BadResponse("a response field's name is not a token (RFC 9110 5.1)")
        label = b"" if name.lower() in _KINDS else b"\r\n%b: " % name
        if len(self._labels) < _MAX_KNOWN_NAMES:
            self._labels[bytes(name)] = label
        return label


def _parse_length(value: bytes, seen: int | None) -> int:
    if not value.isdigit():
        raise BadResponse("the response's content-length is not a number")
    length = int(value)
    if seen is not None and seen != length:
        raise BadResponse("the response has two content-lengths")
    return length
