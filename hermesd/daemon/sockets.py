"""The listening sockets that a socket unit holds for the daemon, over restarts of it.

Only an api takes any. The dispatch port of a worker must be refused when its process is dead, which
is how apis prove that it is: held by somebody else it would not be.
"""

from __future__ import annotations

import os
import socket
from collections.abc import MutableMapping, Sequence
from dataclasses import dataclass
from typing import Final

from structlog.typing import FilteringBoundLogger

from hermesd.config import Config
from hermesd.core.endpoints import join_endpoint
from hermesd.core.errors import ConfigError
from hermesd.systemd import BadSocket, PassedSocket, take_sockets

HTTP: Final = "http"
CONTROL: Final = "control"


@dataclass(frozen=True)
class ApiSockets:
    """What an api listens on instead of what its configuration says; empty and None: as that."""

    http: Sequence[socket.socket] = ()
    control: socket.socket | None = None


def take_api_sockets(
    environ: MutableMapping[str, str],
    config: Config,
    *,
    serves_api: bool,
    log: FilteringBoundLogger,
) -> ApiSockets:
    """The sockets by their FileDescriptorName=; each is logged with what it is used instead of.

    They are taken out of `environ`. Raises ConfigError for those that nobody here has a use for.
    """
    try:
        passed = take_sockets(environ, os.getpid())
    except BadSocket as error:
        raise ConfigError([f"socket activation: {error}"]) from error
    _require_use(passed, serves_api)
    configured = {
        HTTP: join_endpoint(config.api.host, config.api.port),
        CONTROL: join_endpoint(config.control.host, config.control.port),
    }
    for each in passed:
        address = join_endpoint(each.host, each.port)
        log.info("socket passed", name=each.name, address=address, configured=configured[each.name])
    control = [each.socket for each in passed if each.name == CONTROL]
    http = tuple(each.socket for each in passed if each.name == HTTP)
    return ApiSockets(http, control[0] if control else None)


def _require_use(passed: Sequence[PassedSocket], serves_api: bool) -> None:
    names = [each.name for each in passed]
    problems = []
    if names and not serves_api:
        problems.append(f"a worker takes no socket ({', '.join(names)}): disable its socket unit")
    else:
        problems += [
            f"there is no use for a socket {name!r}: name it {HTTP} or {CONTROL} (by its unit's "
            "FileDescriptorName=)"
            for name in sorted({*names} - {HTTP, CONTROL})
        ]
    if names.count(CONTROL) > 1:
        problems.append(f"only one socket can be {CONTROL}: give its unit one ListenStream=")
    if problems:
        raise ConfigError([f"socket activation: {problem}" for problem in problems])
