"""Names as this machine resolves them: hosts file, DNS, whatever it is configured to ask."""

from __future__ import annotations

import socket
from collections.abc import Sequence

import trio

from hermesd.core.endpoints import join_endpoint
from hermesd.core.errors import Unavailable


class SystemResolver:
    """See ports.Resolver; getaddrinfo(3) in a thread that is left behind where it is too slow."""

    async def addresses(self, host: str, port: int) -> Sequence[str]:
        """See Resolver.addresses."""
        try:
            found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except OSError as error:
            raise Unavailable(f"{host} has no address: {error.strerror or error}") from error
        except UnicodeError as error:  # a label that no name can have
            raise Unavailable(f"{host} is no name: {error}") from error
        places = [join_endpoint(str(place[0]), port) for *_, place in found]
        return tuple(dict.fromkeys(places))
