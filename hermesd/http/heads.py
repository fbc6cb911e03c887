"""The heads that one server has parsed of late, by their bytes.

A client's next head is mostly one that was seen before, and looking it up costs a quarter of what
parsing it does: 1.2 µs against 4.4 for one of three fields (measured).
"""

from typing import NamedTuple

from hermesd.http.asgi import Headers
from hermesd.http.request import Request

_MAX_HEADS = 256
_MAX_HEAD_BYTES = 2048
_END = b"\r\n\r\n"
# Requests with these are more than a head and a counted body.
_INTRICATE = frozenset({b"transfer-encoding", b"expect", b"upgrade"})


class _Head(NamedTuple):
    method: str
    target: bytes
    headers: Headers
    body_bytes: int


class KnownHeads:
    """Makes requests of bytes that are a known head and its whole body, and nothing else.

    That a head passed once is enough: its checks look at its bytes and the server's limits only.
    """

    def __init__(self) -> None:
        self._heads: dict[bytes, _Head] = {}

    def recall(self, data: bytes) -> Request | None:
        """The complete request that all of `data` is; None if that is not known."""
        end = data.find(_END) + len(_END)
        head = self._heads.get(data[:end])
        if head is None or head.body_bytes != len(data) - end:
            return None
        request = Request(head.method, head.target, head.headers.copy())
        if head.body_bytes:
            request.chunks.append(data[end:])
        request.complete = True
        return request

    def learn(self, data: bytes, request: Request) -> bool:
        """Keep the head of `request`, complete and the only one parsed from `data`.

        False where `data` is not surely just this request, or where more than its bytes decided
        what it is.
        """
        # llhttp takes nothing but CRLF for a line end, so this is where the head ends.
        end = data.find(_END) + len(_END)
        body_bytes = sum(map(len, request.chunks))
        if end + body_bytes != len(data) or not request.keep_alive or request.http10:
            return False
        if not _INTRICATE.isdisjoint(dict(request.headers)):
            return False
        if end <= _MAX_HEAD_BYTES:
            if len(self._heads) >= _MAX_HEADS:
                self._heads.clear()
            headers = request.headers.copy()
            self._heads[data[:end]] = _Head(request.method, request.target, headers, body_bytes)
        return True
