"""The certificate that the api serves HTTPS with, renewed while it serves."""

from __future__ import annotations

import hashlib
import ssl
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple, NoReturn

from structlog.typing import FilteringBoundLogger

from hermesd.config import ApiSection
from hermesd.core.errors import ConfigError
from hermesd.http.server import Listener
from hermesd.http.tls import TlsListener

KEYS = "api.tls_cert_file, api.tls_key_file"


class Chain(NamedTuple):
    """What connections begin with; `digest` is another one when the files are."""

    context: ssl.SSLContext
    digest: str


def read_chain(section: ApiSection) -> Chain | None:
    """As the files are now; None without TLS. Raises ConfigError where they are of no use."""
    if not section.tls_cert_file:
        return None
    files = (section.tls_cert_file, section.tls_key_file)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    try:
        digest = hashlib.sha256(b"\0".join(Path(file).read_bytes() for file in files)).hexdigest()
        context.load_cert_chain(*files, password=_refuse_to_ask)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError([f"{KEYS}: {error}"]) from error
    return Chain(context, digest)


def _refuse_to_ask() -> NoReturn:
    """Nobody sits at the terminal that OpenSSL would ask."""
    raise ConfigError([f"{KEYS}: the key is encrypted; give one without a passphrase"])


class Certificate:
    """What new connections of `listeners` begin with; those that are open keep what they have.

    Raises ConfigError where the files are of no use.
    """

    def __init__(self, section: ApiSection, log: FilteringBoundLogger):
        self.listeners: Sequence[Listener] = ()
        self._chain = read_chain(section)
        self._log = log

    @property
    def context(self) -> ssl.SSLContext | None:
        """For new listeners; None without TLS."""
        return None if self._chain is None else self._chain.context

    def prepare(self, section: ApiSection) -> Callable[[], None]:
        """How to serve what the files hold now; raises ConfigError, and changes nothing yet."""
        return partial(self._renew, read_chain(section), section.tls_cert_file)

    def _renew(self, chain: Chain | None, file: str) -> None:
        if chain is None or self._chain is None or chain.digest == self._chain.digest:
            return
        self._chain = chain
        for listener in self.listeners:
            if isinstance(listener, TlsListener):
                listener.context = chain.context
        self._log.info("certificate renewed", file=file)
