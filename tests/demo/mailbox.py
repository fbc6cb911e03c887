"""A real SMTP server on loopback that wants STARTTLS and a password, and keeps its mails."""

from __future__ import annotations

import logging
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP
from pathlib import Path
from typing import Any, Final

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

USER: Final = "demo"
_START_SECONDS: Final = 30.0


@dataclass(frozen=True)
class Mail:
    """One mail, and whether it came over TLS from a client that gave the password."""

    message: EmailMessage
    recipients: list[str]
    encrypted: bool
    authenticated: bool


@dataclass
class Mailbox:
    """aiosmtpd's handler; `port` is known once it runs."""

    password: str
    mails: list[Mail] = field(default_factory=list)
    port: int = 0

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name for it
        self, server: Any, session: Any, envelope: Any
    ) -> str:
        """Keep the mail."""
        message = BytesParser(policy=SMTP).parsebytes(envelope.content)
        assert isinstance(message, EmailMessage)
        encrypted = server.transport.get_extra_info("ssl_object") is not None
        self.mails.append(
            Mail(message, list(envelope.rcpt_tos), encrypted, bool(session.authenticated))
        )
        return "250 taken"

    def authenticate(
        self, server: Any, session: Any, envelope: Any, mechanism: str, credentials: Any
    ) -> AuthResult:
        """Whether these are the user and the password."""
        good = isinstance(credentials, LoginPassword) and (
            credentials.login,
            credentials.password,
        ) == (USER.encode(), self.password.encode())
        return AuthResult(success=good, handled=False)


class _Server(Controller):
    """Takes a port of the kernel's choice, and learns it before its trial connection."""

    def _trigger_server(self) -> None:
        server: Any = self.server  # by now an asyncio one that listens
        self.port = server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]  # aiosmtpd has no types here


@contextmanager
def open_mailbox(password: str, ca_file: Path) -> Iterator[Mailbox]:
    """A running server; `ca_file` is written, for the client to check the certificate by."""
    # It warns of a member of its own that it sets itself at every login.
    logging.getLogger("mail.log").setLevel(logging.ERROR)
    authority = trustme.CA()
    authority.cert_pem.write_to_path(str(ca_file))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    mailbox = Mailbox(password)
    server = _Server(
        mailbox,
        hostname="127.0.0.1",
        port=0,
        ready_timeout=_START_SECONDS,
        tls_context=context,
        require_starttls=True,
        authenticator=mailbox.authenticate,
        auth_required=True,
        auth_require_tls=True,
    )
    server.start()
    mailbox.port = server.port
    try:
        yield mailbox
    finally:
        server.stop()
