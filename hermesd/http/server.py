"""The HTTP server: listeners, the connections they accept, and their common end (drain)."""

import errno
import socket
import ssl
from collections.abc import Callable, Sequence
from typing import TypeAlias

import trio
from structlog.typing import FilteringBoundLogger

from hermesd.http.asgi import App
from hermesd.http.connection import Connection, Service, turn_away
from hermesd.http.errors import ListenFailed
from hermesd.http.heads import KnownHeads
from hermesd.http.limits import HttpLimits
from hermesd.http.prompt import Prompt, nobody
from hermesd.http.readiness import Readiness
from hermesd.http.responses import ResponseWriter
from hermesd.http.tls import TlsListener
from hermesd.http.transport import wrap
from hermesd.http.watch import Watch

Listener: TypeAlias = trio.SocketListener | TlsListener

# Out of descriptors or memory: accepting again at once would only spin.
_ACCEPT_PAUSE_SECONDS = 0.1
# Connections past the limit that are being told so at once; further ones are just closed.
_MAX_TURNING_AWAY = 64


async def open_listeners(
    host: str | None, port: int, *, backlog: int = 1024, ssl_context: ssl.SSLContext | None = None
) -> list[Listener]:
    """Listen on `host` (None: every address) and `port` (0: any), with TLS if given a context.

    Raises ListenFailed. The caller owns the listeners; `serve` closes those it is given.
    """
    try:
        plain = await trio.open_tcp_listeners(port, host=host, backlog=backlog)
    except OSError as error:
        raise ListenFailed(f"cannot listen on {host or '*'}:{port}: {_reason(error)}") from error
    return _secured(plain, ssl_context)


def adopt_listeners(
    sockets: Sequence[socket.socket], *, ssl_context: ssl.SSLContext | None = None
) -> list[Listener]:
    """Listen on sockets that listen already, which are the listeners' own from here on."""
    plain = [trio.SocketListener(trio.socket.from_stdlib_socket(each)) for each in sockets]
    return _secured(plain, ssl_context)


def _secured(
    plain: Sequence[trio.SocketListener], ssl_context: ssl.SSLContext | None
) -> list[Listener]:
    if ssl_context is None:
        return list(plain)
    return [TlsListener(each, ssl_context) for each in plain]


async def serve(
    app: App,
    listeners: Sequence[Listener],
    limits: Callable[[], HttpLimits],
    *,
    stopping: trio.Event,
    drain_seconds: Callable[[], float],
    log: FilteringBoundLogger,
    prompt: Prompt = nobody,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve `app` on `listeners`, and close them, until `stopping` is set; then drain.

    What `prompt` wants comes to the app only where that does not take it.

    A connection keeps the `limits` of its beginning, but for how long it may be idle.
    Draining closes idle connections at once, gives requests under way `drain_seconds`, and
    cancels the rest. Cancelled from outside, everything is closed promptly.
    """
    writer = ResponseWriter()
    first = limits()
    watch = Watch(first, writer)
    readiness = Readiness()
    service = Service(app, first, writer, watch, KnownHeads(prompt), log)
    server = _Server(service, limits, readiness, prompt)
    try:
        async with trio.open_nursery() as watching:
            watching.start_soon(watch.run)
            async with trio.open_nursery() as connections:
                async with trio.open_nursery() as accepting:
                    for listener in listeners:
                        accepting.start_soon(server.accept_from, listener, connections)
                    task_status.started()
                    await stopping.wait()
                    accepting.cancel_scope.cancel()
                _close(listeners)
                server.drain()
                connections.cancel_scope.deadline = trio.current_time() + drain_seconds()
            watching.cancel_scope.cancel()
    finally:
        _close(listeners)
        readiness.close()


class _Server:
    """The open connections of one server."""

    def __init__(
        self,
        service: Service,
        limits: Callable[[], HttpLimits],
        readiness: Readiness,
        prompt: Prompt,
    ) -> None:
        self._service = service
        self._limits = limits
        self._readiness = readiness
        self._prompt = prompt
        self._connections: set[Connection] = set()
        self._turning_away = 0
        self._full = False
        self._draining = False

    async def accept_from(self, listener: Listener, nursery: trio.Nursery) -> None:
        """Accept for ever; connections run in `nursery`."""
        failing = False
        while True:
            try:
                stream = await listener.accept()
            except OSError as error:
                if error.errno == errno.ECONNABORTED:  # the client left the queue
                    continue
                if not failing:
                    self._service.log.error("http cannot accept", reason=_reason(error))
                failing = True
                await trio.sleep(_ACCEPT_PAUSE_SECONDS)
            else:
                failing = False
                nursery.start_soon(self._handle, stream)

    def drain(self) -> None:
        """Tell every connection to end, also those accepted but not begun."""
        self._draining = True
        for connection in self._connections:
            connection.drain()

    async def _handle(
        self, stream: "trio.SocketStream | trio.SSLStream[trio.SocketStream]"
    ) -> None:
        self._follow(self._limits())
        if len(self._connections) >= self._service.limits.max_connections:
            await self._turn_away(stream)
            return
        self._full = False
        connection = Connection(self._service, wrap(stream, self._readiness))
        self._connections.add(connection)
        if self._draining:
            connection.drain()
        try:
            await connection.run()
        finally:
            self._connections.discard(connection)

    def _follow(self, limits: HttpLimits) -> None:
        """From here on these hold; a head that passed under others may not pass now."""
        if limits != self._service.limits:
            self._service.watch.limit(limits)
            self._service = self._service._replace(limits=limits, heads=KnownHeads(self._prompt))

    async def _turn_away(
        self, stream: "trio.SocketStream | trio.SSLStream[trio.SocketStream]"
    ) -> None:
        if not self._full:
            self._full = True
            limit = self._service.limits.max_connections
            self._service.log.warning("http connection limit reached", max_connections=limit)
        transport = wrap(stream, self._readiness)
        if self._turning_away >= _MAX_TURNING_AWAY:
            await transport.close()
            return
        self._turning_away += 1
        try:
            await turn_away(transport, self._service.writer)
        finally:
            self._turning_away -= 1


def _close(listeners: Sequence[Listener]) -> None:
    for listener in listeners:
        plain = listener.transport_listener if isinstance(listener, TlsListener) else listener
        plain.socket.close()


def _reason(error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return "the address is in use by another process"
    if error.errno == errno.EACCES:
        return "permission denied (ports below 1024 need CAP_NET_BIND_SERVICE)"
    if error.errno == errno.EADDRNOTAVAIL:
        return "this host has no such address"
    if isinstance(error, socket.gaierror):
        return "the host name is not known"
    return error.strerror or str(error)
