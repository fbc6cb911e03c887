"""The life of one connection: request after request, then a refusal or nothing, then closed."""

from typing import NamedTuple

import trio
from structlog.typing import FilteringBoundLogger

from hermesd.http.asgi import App
from hermesd.http.attendant import Attendant
from hermesd.http.channel import Channel
from hermesd.http.errors import ClientGone
from hermesd.http.exchange import Exchange, build_scope
from hermesd.http.heads import KnownHeads
from hermesd.http.limits import HttpLimits
from hermesd.http.parser import Refusal
from hermesd.http.request import Request
from hermesd.http.responses import ResponseWriter
from hermesd.http.transport import Transport
from hermesd.http.watch import Watch


class Service(NamedTuple):
    """What all connections of one server share."""

    app: App
    limits: HttpLimits
    writer: ResponseWriter
    watch: Watch
    heads: KnownHeads
    log: FilteringBoundLogger


class Connection:
    """Serves one accepted transport and closes it. `run` raises nothing but trio.Cancelled."""

    def __init__(self, service: Service, transport: Transport) -> None:
        self._service = service
        self._transport = transport
        self._channel = Channel(transport, service.limits, service.watch, service.heads)
        transport.attended(Attendant(self._channel, service.writer, service.log).attend)
        self._client, self._server = transport.addresses()
        self._response_begun = False
        self._lingers = False

    async def run(self) -> None:
        """Serve until the client or the server has had enough."""
        channel, watched = self._channel, self._service.watch.watched
        watched.add(channel)
        try:
            await self._serve_scoped()
            await self._take_leave()
        except ClientGone:
            pass
        except Exception:
            self._service.log.exception("http connection failed")
        finally:
            await channel.aside.settled()
            watched.discard(channel)
            await self._transport.close()

    def drain(self) -> None:
        """Serve no request but the one under way; an idle connection ends at once."""
        self._channel.drain()

    async def _serve_scoped(self) -> None:
        channel = self._channel
        with channel.scope:
            await channel.handshake()
            await self._serve()
        while channel.reopen():
            with channel.scope:
                await channel.catch_up()
                await self._serve()

    async def _serve(self) -> None:
        channel = self._channel
        while (request := await channel.next_request()) is not None:
            if not await self._answer(request):
                return

    async def _answer(self, request: Request) -> bool:
        """Run the app on `request`; whether the connection can take another one."""
        channel, service = self._channel, self._service
        refusal = channel.parser.refusal
        if refusal is not None and not request.complete:
            channel.refusal = refusal  # the fault lies in this request's body
            return False
        scope = build_scope(request, self._transport.scheme, self._client, self._server)
        exchange = Exchange(request, channel, service.writer)
        try:
            await service.app(scope, exchange.receive, exchange.send)
        except Exception as error:
            if not self._blames_client(error):
                self._log_failure(request, error)
        else:
            if not exchange.done and not channel.left:
                self._log_failure(request, None)
        finally:
            self._response_begun = exchange.written and not exchange.done
        if not exchange.written and not channel.left:
            await exchange.fail()
        # The client may still be sending; see Channel.linger.
        self._lingers = not request.complete or channel.parser.refusal is not None
        return exchange.done and exchange.reusable

    def _blames_client(self, error: Exception) -> bool:
        if isinstance(error, ClientGone):
            self._channel.left = True
        return self._channel.left

    def _log_failure(self, request: Request, error: Exception | None) -> None:
        event = "http app failed" if error is not None else "http app left its response unfinished"
        path = request.target.partition(b"?")[0].decode("ascii")
        self._service.log.error(event, method=request.method, path=path, exc_info=error)

    async def _take_leave(self) -> None:
        channel = self._channel
        refusal = channel.refusal
        if refusal is not None and not self._response_begun and not channel.left:
            await self._refuse(refusal)
        elif self._lingers and not self._response_begun:
            await channel.linger()

    async def _refuse(self, refusal: Refusal) -> None:
        data = self._service.writer.refusal(refusal.status, refusal.detail)
        with trio.move_on_after(self._service.limits.write_seconds):
            await self._channel.write(data)
            await self._channel.linger()


async def turn_away(transport: Transport, writer: ResponseWriter) -> None:
    """Answer 503 to a connection that there is no room for, unless that would take a wait."""
    data = writer.refusal(503, "too many connections", b"Retry-After: 1\r\n")
    try:
        transport.write_now(data)
        await transport.end_writing()
        with trio.move_on_after(1.0):
            await transport.receive()
    except ClientGone:
        pass
    finally:
        await transport.close()
