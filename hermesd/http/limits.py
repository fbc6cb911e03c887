"""What one HTTP server takes from its clients at most."""

import msgspec


class HttpLimits(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Bounds of one server; each says what happens past it.

    header_seconds: from a request's first byte to the end of its headers, and the TLS
        handshake; then 408.
    body_seconds: waiting for body bytes without progress worth `MIN_BODY_RATE`; then 408.
    write_seconds: the client taking no 64 KiB of a response; then the connection is aborted.
    idle_seconds: an open connection without a byte of a next request; then it is closed.
    max_target_bytes: the request target; 414.
    max_header_bytes: the names and values of the headers, the trailers, or one chunk's
        extensions; 431.
    max_headers: the number of header fields; 431.
    max_body_bytes: a request's body; 413.
    max_connections: connections served at once; further ones get 503 and are closed.
    max_pipelined: requests taken from one connection ahead of their answers; the connection is
        closed once those are answered.
    """

    header_seconds: float = 5.0
    body_seconds: float = 10.0
    write_seconds: float = 10.0
    idle_seconds: float = 60.0
    max_target_bytes: int = 8192
    max_header_bytes: int = 32768
    max_headers: int = 100
    max_body_bytes: int = 8 * 1024 * 1024
    max_connections: int = 2048
    max_pipelined: int = 64
