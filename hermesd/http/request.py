"""One request as it came off the wire."""

from hermesd.http.asgi import Headers


class Request:
    """One request whose headers are complete; its body may still be arriving.

    `chunks` holds the body bytes that have arrived and that nobody took yet.
    """

    # Defaults of the class: most requests never set these, and each costs time on the hot path.
    http10 = False
    keep_alive = True
    expects_continue = False
    upgrading = False
    framing: bytes | None = None
    complete = False

    def __init__(self, method: str, target: bytes, headers: Headers) -> None:
        self.method = method
        self.target = target
        self.headers = headers
        self.chunks: list[bytes] = []
