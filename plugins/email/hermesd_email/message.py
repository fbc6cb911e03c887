"""From a payload to a message that can be sent (RFC 5322, MIME)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP
from typing import Final

import msgspec

from hermesd_email.addresses import parse_address
from hermesd_email.payload import Attachment, EmailPayload

MAX_RECIPIENTS: Final = 500
_POLICY: Final = SMTP.clone(cte_type="7bit")  # a relay need not take 8-bit text (RFC 6152)
_HEADER_NAME: Final = re.compile(r"[!-9;-~]{1,76}\Z")  # RFC 5322 section 2.2
_CONTENT_TYPE: Final = re.compile(r"[A-Za-z0-9!#$&^_.+-]+/[A-Za-z0-9!#$&^_.+-]+\Z")
_OURS: Final = frozenset(
    {
        "bcc",
        "cc",
        "date",
        "dkim-signature",
        "from",
        "message-id",
        "mime-version",
        "received",
        "reply-to",
        "return-path",
        "sender",
        "subject",
        "to",
    }
)


class MessageFault(ValueError):
    """The payload makes no mail that may be sent; the message says which part of it."""


class Envelope(msgspec.Struct, frozen=True, kw_only=True):
    """A message and, apart from its headers, who it is from and for: bare addresses."""

    message: EmailMessage
    sender: str
    recipients: tuple[str, ...]

    @property
    def message_id(self) -> str:
        """The Message-ID, angle brackets included."""
        return str(self.message["Message-ID"])


def compose(
    payload: EmailPayload, *, default_sender: str, id_part: str, now: datetime, max_bytes: int
) -> Envelope:
    """The mail that `payload` asks for.

    `id_part` is what the Message-ID is made of, so that it is the same at every attempt; `now` is
    aware; `max_bytes` is for all attachments together. Raises MessageFault, or AddressFault, on
    line breaks in headers and everything else that is no mail.
    """
    sender = parse_address(payload.sender or default_sender)
    to, cc, bcc = (_parsed(texts) for texts in (_listed(payload.to), payload.cc, payload.bcc))
    recipients = tuple(dict.fromkeys(address.addr_spec for address in to + cc + bcc))
    if not to:
        raise MessageFault("`to` is empty")
    if len(recipients) > MAX_RECIPIENTS:
        raise MessageFault(f"more than {MAX_RECIPIENTS} recipients")
    message = EmailMessage(policy=_POLICY)
    message["From"], message["To"] = sender, to
    if cc:
        message["Cc"] = cc
    if payload.reply_to:
        message["Reply-To"] = parse_address(payload.reply_to)
    message["Subject"] = _one_line("subject", payload.subject)
    message["Date"] = now
    message["Message-ID"] = f"<{id_part}@{sender.domain}>"
    _add_headers(message, payload.headers)
    message.set_content(payload.body)
    if payload.html is not None:
        message.add_alternative(payload.html, subtype="html")
    _attach(message, payload.attachments, max_bytes)
    return Envelope(message=message, sender=sender.addr_spec, recipients=recipients)


def _listed(to: str | list[str]) -> list[str]:
    return [to] if isinstance(to, str) else to


def _parsed(texts: list[str]) -> list[Address]:
    return [parse_address(text) for text in texts]


def _one_line(what: str, text: str) -> str:
    """`text`, unless it could break out of its header line."""
    if any(not (character.isprintable() or character in " \t") for character in text):
        raise MessageFault(f"{what} holds a line break or control character")
    return text


def _add_headers(message: EmailMessage, headers: Mapping[str, str]) -> None:
    for name, value in headers.items():
        if not _HEADER_NAME.match(name):
            raise MessageFault(f"{name[:80]!r} is no header name")
        folded = name.lower()
        if folded in _OURS or folded.startswith(("content-", "resent-", "arc-")):
            raise MessageFault(f"header {name!r} cannot be set through `headers`")
        if name in message:
            raise MessageFault(f"header {name!r} is given twice")
        message[name] = _one_line(f"header {name!r}", value)


def _attach(message: EmailMessage, attachments: list[Attachment], max_bytes: int) -> None:
    total = sum(len(attachment.content) for attachment in attachments)
    if total > max_bytes:
        raise MessageFault(f"attachments of {total} bytes are over the limit of {max_bytes}")
    for attachment in attachments:
        name = _one_line("an attachment's filename", attachment.filename)
        if "/" in name or "\\" in name:
            raise MessageFault("an attachment's filename holds a path separator")
        if not _CONTENT_TYPE.match(attachment.content_type):
            raise MessageFault("an attachment's content_type is not of the form type/subtype")
        maintype, _, subtype = attachment.content_type.lower().partition("/")
        if maintype in ("multipart", "message"):
            raise MessageFault(f"an attachment cannot be of type {maintype}")
        message.add_attachment(
            attachment.content, maintype=maintype, subtype=subtype, filename=name
        )
