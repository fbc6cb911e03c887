"""Connections over TLS, with a certificate that can be renewed under those that are open."""

from __future__ import annotations

import ssl

import trio


class TlsListener(trio.abc.Listener[trio.SSLStream[trio.SocketStream]]):
    """Accepts connections of `transport_listener`; each begins with the `context` of its time."""

    def __init__(self, transport_listener: trio.SocketListener, context: ssl.SSLContext) -> None:
        self.transport_listener = transport_listener
        self.context = context

    async def accept(self) -> trio.SSLStream[trio.SocketStream]:
        """The next connection; its handshake is yet to be made."""
        stream = await self.transport_listener.accept()
        return trio.SSLStream(stream, self.context, server_side=True, https_compatible=True)

    async def aclose(self) -> None:
        """Accept no more."""
        await self.transport_listener.aclose()
