"""What goes wrong in HTTP: the peer left, the app answered wrongly, or a call got no answer."""


class ListenFailed(OSError):
    """An address cannot be listened on; the message names host, port and reason."""


class ClientGone(OSError):
    """The client closed or broke the connection, or took no bytes in time.

    ASGI 3.0 asks that `send` raise an OSError after a disconnect.
    """


class BadResponse(RuntimeError):
    """The app broke the ASGI contract, or gave a response that cannot be put on the wire."""


class HttpCallFailed(Exception):
    """A request of `HttpConnection` got no usable answer."""


class ConnectRefused(HttpCallFailed):
    """Nothing listens at the address (ECONNREFUSED): nothing was sent."""


class ConnectFailed(HttpCallFailed):
    """No connection could be made, or not in time: nothing was sent."""


class Unanswered(HttpCallFailed):
    """Bytes may have reached the peer, and no whole answer came back: its effect is unknown."""
