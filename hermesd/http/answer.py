"""A response as the client reads it, piece by piece."""

from httptools import HttpResponseParser

from hermesd.http.asgi import Headers


class Answer:
    """Collects one response from httptools; interim (1xx) ones are dropped."""

    def __init__(self, *, bodiless: bool) -> None:
        self.parser = HttpResponseParser(self)
        self.status = 0
        self.headers: Headers = []
        self.body = bytearray()
        self.complete = False
        self.reusable = False
        self._headed = False
        self._bodiless = bodiless

    def on_message_begin(self) -> None:
        if self.complete:
            raise ValueError("bytes after the response")
        self.headers = []

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._headed:
            self.headers.append((name.lower(), value.rstrip(b" \t")))

    def on_headers_complete(self) -> None:
        self.status = self.parser.get_status_code()
        if self.status >= 200:
            self._headed = True
            self.reusable = self.parser.should_keep_alive()
            self.complete = self._bodiless

    def on_body(self, data: bytes) -> None:
        self.body += data

    def on_message_complete(self) -> None:
        self.complete = self.complete or self._headed

    def end(self) -> bool:
        """The peer closed: whether that was the end of a response (RFC 9112 6.3, case 8)."""
        names = {name for name, _ in self.headers}
        framed = b"content-length" in names or b"transfer-encoding" in names
        return self.complete or (self._headed and not framed)
