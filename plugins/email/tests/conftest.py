"""A real SMTP server (aiosmtpd) that keeps the mails it takes."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import EmailMessage
from email.parser import BytesParser
from email.policy import SMTP
from pathlib import Path
from typing import Any

import pytest
import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import AuthResult, LoginPassword

from hermesd.handlers import JobContext

USER, PASSWORD = "hermes", "open sesame"


@dataclass
class Inbox:
    """aiosmtpd's handler: answers what it is told to, else takes everything."""

    mails: list[EmailMessage] = field(default_factory=list)
    recipients: list[list[str]] = field(default_factory=list)
    senders: list[str] = field(default_factory=list)
    encrypted: list[bool] = field(default_factory=list)
    refuse_recipient: dict[str, str] = field(default_factory=dict)
    refuse_data: str = ""
    refuse_sender: str = ""
    quit_answer: str = ""

    async def handle_MAIL(  # noqa: N802 - aiosmtpd's name for it
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if self.refuse_sender:
            return self.refuse_sender
        envelope.mail_from = address
        return "250 OK"

    async def handle_RCPT(  # noqa: N802 - aiosmtpd's name for it
        self, server: Any, session: Any, envelope: Any, address: str, options: list[str]
    ) -> str:
        if address in self.refuse_recipient:
            return self.refuse_recipient[address]
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(  # noqa: N802 - aiosmtpd's name for it
        self, server: Any, session: Any, envelope: Any
    ) -> str:
        if self.refuse_data:
            return self.refuse_data
        parsed = BytesParser(policy=SMTP).parsebytes(envelope.content)
        assert isinstance(parsed, EmailMessage)
        self.mails.append(parsed)
        self.recipients.append(envelope.rcpt_tos)
        self.senders.append(envelope.mail_from)
        self.encrypted.append(server.transport.get_extra_info("ssl_object") is not None)
        return "250 taken"

    async def handle_QUIT(  # noqa: N802 - aiosmtpd's name for it
        self, server: Any, session: Any, envelope: Any
    ) -> str:
        return self.quit_answer or "221 Bye"


class FreePortController(Controller):
    """Takes a port of the kernel's choice, and learns it before it makes its first connection."""

    def _trigger_server(self) -> None:
        server: Any = self.server  # by now an asyncio one that listens
        self.port = server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]  # aiosmtpd has no types here


@dataclass
class Post:
    """A running server and the settings by which a job reaches it."""

    inbox: Inbox
    settings: dict[str, object]


@pytest.fixture(scope="session")
def authority() -> trustme.CA:
    return trustme.CA()


@pytest.fixture(scope="session")
def ca_file(authority: trustme.CA, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ca") / "ca.pem"
    authority.cert_pem.write_to_path(str(path))
    return path


def _server_context(authority: trustme.CA, name: str) -> ssl.SSLContext:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert(name).configure_cert(context)
    return context


def _authenticate(
    server: Any, session: Any, envelope: Any, mechanism: str, auth_data: Any
) -> AuthResult:
    if mechanism not in ("LOGIN", "PLAIN") or not isinstance(auth_data, LoginPassword):
        return AuthResult(success=False, handled=False)
    good = (auth_data.login, auth_data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=good, handled=False)


@pytest.fixture
def start_post(authority: trustme.CA, ca_file: Path) -> Iterator[Callable[..., Post]]:
    """Starts servers: `security` as in the settings, `name` for the certificate, `auth` needed."""
    running: list[Controller] = []

    def start(security: str = "starttls", name: str = "127.0.0.1", auth: bool = False) -> Post:
        inbox = Inbox()
        context = None if security == "none" else _server_context(authority, name)
        starttls = context if security == "starttls" else None
        controller = FreePortController(
            inbox,
            hostname="127.0.0.1",
            port=0,
            ready_timeout=30.0,
            # Of our own: with trio_asyncio imported, the default policy gives loops that run trio.
            loop=asyncio.SelectorEventLoop(),
            ssl_context=context if security == "tls" else None,
            tls_context=starttls,
            require_starttls=starttls is not None,
            authenticator=_authenticate,
            auth_required=auth,
            auth_require_tls=security == "starttls",
            enable_SMTPUTF8=False,
        )
        controller.start()
        running.append(controller)
        settings: dict[str, object] = {
            "host": "127.0.0.1",
            "port": controller.port,
            "security": security,
            "ca_file": str(ca_file),
            "sender": "Hermes <hermes@example.org>",
            "timeout_seconds": 20.0,
            "helo": "worker.example.org",
        }
        if auth:
            settings |= {"username": USER, "password": PASSWORD}
        return Post(inbox, settings)

    yield start
    for controller in running:
        controller.stop(no_assert=True)


@pytest.fixture
def context() -> Callable[..., JobContext]:
    """A job's context with these settings."""

    def make(settings: dict[str, object], **fields: Any) -> JobContext:
        return JobContext(job_id="job-1", type="email", settings=settings, **fields)

    return make
