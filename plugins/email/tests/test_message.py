"""From payload to message: what is built, and what is refused."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from hermesd_email.addresses import AddressFault, parse_address
from hermesd_email.message import Envelope, MessageFault, compose
from hermesd_email.payload import Attachment, EmailPayload
from hypothesis import given
from hypothesis import strategies as st

NOW = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)


def composed(**fields: Any) -> Envelope:
    payload = EmailPayload(**{"to": "ann@example.org", "subject": "Hi", "body": "text"} | fields)
    return compose(
        payload, default_sender="bot@example.com", id_part="job-1.1", now=NOW, max_bytes=100
    )


def test_a_mail_has_the_headers_that_it_should() -> None:
    """Names, several recipients, and a blind one that no header shows."""
    envelope = composed(
        to=["Ann Ä <ann@example.org>", "ben@example.org"],
        cc=["cy@example.org"],
        bcc=["dee@example.org"],
        reply_to="help@example.com",
        subject="Grüße",
        headers={"List-Unsubscribe": "<https://example.com/u>"},
    )
    message = envelope.message
    assert envelope.sender == "bot@example.com"
    assert envelope.recipients == tuple(f"{x}@example.org" for x in ("ann", "ben", "cy", "dee"))
    assert str(message["To"]) == "Ann Ä <ann@example.org>, ben@example.org"
    assert str(message["Cc"]) == "cy@example.org"
    assert str(message["Subject"]) == "Grüße"
    assert message["Message-ID"] == "<job-1.1@example.com>"
    assert message["Date"] == "Thu, 01 Jan 2026 12:00:00 +0000"
    assert message["List-Unsubscribe"] == "<https://example.com/u>"
    assert b"dee@" not in message.as_bytes()


def test_a_recipient_that_is_named_twice_gets_one_copy() -> None:
    """In whatever field it is named again."""
    assert composed(cc=["ann@example.org"]).recipients == ("ann@example.org",)


def test_the_mail_on_the_wire_is_ascii() -> None:
    """Whatever its text, for relays that take nothing else; no line is over the limit of SMTP."""
    data = composed(subject="Grüße " * 50, body="größer " * 1000).message.as_bytes()
    assert data.isascii()
    assert max(map(len, data.split(b"\r\n"))) <= 998


def test_a_domain_beyond_ascii_is_sent_in_its_ascii_form() -> None:
    """Every server can take that one."""
    assert composed(to="ann@bücher.example").recipients == ("ann@xn--bcher-kva.example",)


def test_html_and_attachments_become_parts() -> None:
    """Text and HTML as alternatives, attachments beside them."""
    attached = Attachment(filename="übung.pdf", content=b"%PDF", content_type="application/pdf")
    message = composed(html="<p>text</p>", attachments=[attached]).message
    body, attachment = message.iter_parts()
    assert [part.get_content_type() for part in body.iter_parts()] == ["text/plain", "text/html"]
    assert attachment.get_filename() == "übung.pdf"
    assert attachment.get_content() == b"%PDF"


@pytest.mark.parametrize(
    "fields",
    [
        {"subject": "Hi\r\nBcc: eve@example.org"},
        {"subject": "Hi\nBcc: eve@example.org"},
        {"subject": "Hi\x0b"},
        {"subject": "Hi\u2028Bcc: eve@example.org"},
        {"to": "ann@example.org\r\nBcc: eve@example.org"},
        {"to": "ann@example.org, eve@example.org"},
        {"to": ["ann@example.org\n"]},
        {"to": []},
        {"to": "ann"},
        {"to": "@example.org"},
        {"to": "ann@"},
        {"to": "group: ann@example.org, eve@example.org;"},
        {"to": "group: ann@example.org;"},
        {"to": "<ann@example.org"},
        {"to": "ann@example..org"},
        {"to": "a" * 320 + "@example.org"},
        {"cc": ["x\r\ny@example.org"]},
        {"bcc": ["x y@example.org"]},
        {"reply_to": "a@example.org\r\nX: y"},
        {"sender": "a@example.org\r\nX: y"},
        {"headers": {"X-A": "one\r\nBcc: eve@example.org"}},
        {"headers": {"X-A\r\nBcc": "eve@example.org"}},
        {"headers": {"X A": "one"}},
        {"headers": {"Bcc": "eve@example.org"}},
        {"headers": {"content-type": "text/html"}},
        {"headers": {"Resent-To": "eve@example.org"}},
        {"headers": {"X-A": "1", "x-a": "2"}},
        {"attachments": [Attachment(filename="a\r\nb", content=b"")]},
        {"attachments": [Attachment(filename="../etc/passwd", content=b"")]},
        {"attachments": [Attachment(filename="a", content=b"", content_type="text/plain\r\nX: y")]},
        {"attachments": [Attachment(filename="a", content=b"", content_type="message/rfc822")]},
        {"attachments": [Attachment(filename="a", content=b"x" * 101)]},
    ],
)
def test_what_could_forge_a_header_or_is_no_mail_is_refused(fields: dict[str, Any]) -> None:
    """Line breaks anywhere, several addresses in one, reserved headers, limits."""
    with pytest.raises((MessageFault, AddressFault)):
        composed(**fields)


@given(st.text(max_size=80))
def test_no_subject_starts_a_header_of_its_own(subject: str) -> None:
    """Whatever the text, it is refused or stays within its header."""
    try:
        message = composed(subject=subject).message
    except MessageFault:
        return
    names = {name.lower() for name in message}
    assert names == {
        "from",
        "to",
        "subject",
        "date",
        "message-id",
        "content-type",
        "content-transfer-encoding",
        "mime-version",
    }
    head = message.as_bytes().partition(b"\r\n\r\n")[0]
    starts = [line for line in head.split(b"\r\n") if not line.startswith((b" ", b"\t"))]
    assert len(starts) == len(names)


@given(st.text(max_size=60))
def test_no_address_breaks_the_parser(text: str) -> None:
    """Whatever the text, it is one address or an AddressFault."""
    try:
        address = parse_address(text)
    except AddressFault:
        return
    assert "\n" not in str(address)
    assert "\r" not in str(address)


def test_a_payload_in_json_names_its_sender_from() -> None:
    """`from` is a keyword in Python only; attachments are base64."""
    raw = b"""{"to":"a@b.c","from":"d@e.f","subject":"s","body":"b",
               "attachments":[{"filename":"x","content":"aGk="}]}"""
    payload = msgspec.json.decode(raw, type=EmailPayload)
    assert payload.sender == "d@e.f"
    assert payload.attachments[0].content == b"hi"
