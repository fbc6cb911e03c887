"""One SMTP session (RFC 5321) over smtplib, and what its failures mean for the job."""

from __future__ import annotations

import smtplib
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import Final

import msgspec

from hermesd.handlers import Permanent, Retry
from hermesd_email.message import Envelope
from hermesd_email.payload import RefusedRecipient
from hermesd_email.settings import EmailSettings, Security

_MAX_REASON_LENGTH: Final = 300


class Delivery(msgspec.Struct, frozen=True, kw_only=True):
    """Recipients the server took the mail for, and those it did not, by address."""

    accepted: list[str]
    refused: dict[str, RefusedRecipient]


def deliver(
    envelope: Envelope, settings: EmailSettings, before_sending: Callable[[], None]
) -> Delivery:
    """Hands the mail to the server; `before_sending` may raise to call it off at the last moment.

    Raises Retry on connection faults, on 4xx, and where TLS cannot be had (never falls back to an
    open connection); Permanent on 5xx. Where only some recipients are refused the mail is sent, and
    trying again for them would send it twice to the others: they are in the result.
    """
    with _translated(settings):
        session = _connect(settings)
        try:
            if settings.username:
                session.login(settings.username, settings.password)
            before_sending()
            refused = session.send_message(
                envelope.message, envelope.sender, list(envelope.recipients)
            )
        finally:
            _leave(session)
    return Delivery(
        accepted=[address for address in envelope.recipients if address not in refused],
        refused={address: _refused(*reply) for address, reply in refused.items()},
    )


def _connect(settings: EmailSettings) -> smtplib.SMTP:
    """A session past its greeting, encrypted as the settings say."""
    host, port, helo = settings.host, settings.port_or_usual, settings.helo or None
    timeout = settings.timeout_seconds
    if settings.security is Security.TLS:
        context = _tls_context(settings)
        return smtplib.SMTP_SSL(host, port, helo, timeout=timeout, context=context)
    session = smtplib.SMTP(host, port, helo, timeout=timeout)
    if settings.security is Security.STARTTLS:
        try:
            session.starttls(context=_tls_context(settings))
        except BaseException:
            session.close()
            raise
    return session


def _tls_context(settings: EmailSettings) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=settings.ca_file or None)
    except OSError as error:
        raise Permanent(f"plugins.settings.email.ca_file: {error.strerror}") from error
    if not settings.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _leave(session: smtplib.SMTP) -> None:
    """Ends the session; whatever comes of QUIT, the mail's fate was settled before it."""
    with suppress(smtplib.SMTPException, OSError):
        session.quit()
    session.close()


@contextmanager
def _translated(settings: EmailSettings) -> Iterator[None]:
    where = f"{settings.host}:{settings.port_or_usual}"
    try:
        yield
    except smtplib.SMTPRecipientsRefused as error:
        raise _all_refused(error.recipients) from error
    except smtplib.SMTPResponseException as error:
        raise _by_code(where, error.smtp_code, error.smtp_error) from error
    except smtplib.SMTPNotSupportedError as error:
        if "UTF8" in str(error).upper():
            raise Permanent("the server takes no addresses outside of ASCII (SMTPUTF8)") from error
        raise Retry(reason=f"{where}: {error}") from error
    except (smtplib.SMTPException, OSError) as error:
        raise Retry(reason=f"{where}: {type(error).__name__}: {error}") from error


def _by_code(where: str, code: int, text: bytes | str) -> Retry | Permanent:
    """RFC 5321 section 4.2.1: 4yz may pass later, 5yz will not; anything else is a broken peer."""
    reason = f"{where} answered {code} {_readable(text)}"
    return Permanent(reason) if 500 <= code <= 599 else Retry(reason=reason)


def _all_refused(recipients: dict[str, tuple[int, bytes]]) -> Retry | Permanent:
    """Nobody got the mail: worth another attempt if any refusal is for now only."""
    reasons = "; ".join(
        f"{address}: {code} {_readable(text)}" for address, (code, text) in recipients.items()
    )[:_MAX_REASON_LENGTH]
    reason = f"every recipient was refused: {reasons}"
    if all(500 <= code <= 599 for code, _ in recipients.values()):
        return Permanent(reason)
    return Retry(reason=reason)


def _refused(code: int, text: bytes) -> RefusedRecipient:
    return RefusedRecipient(code=code, reason=_readable(text))


def _readable(text: bytes | str) -> str:
    """A server's words as one bounded line of text."""
    words = text.decode("utf-8", errors="replace") if isinstance(text, bytes) else text
    line = "".join(character if character.isprintable() else " " for character in words)
    return line[:_MAX_REASON_LENGTH]
