"""The handler against a real SMTP server."""

from __future__ import annotations

import socket
from collections.abc import Callable
from typing import Any

import pytest
from hermesd_email.handler import send_email
from hermesd_email.payload import Attachment, EmailPayload

from hermesd.handlers import JobContext, Permanent, Retry

Context = Callable[..., JobContext]
MAIL = EmailPayload(to="ann@example.org", subject="Hi", body="text\n.\nmore")


@pytest.mark.parametrize("security", ["starttls", "tls", "none"])
def test_a_mail_arrives(security: str, start_post: Any, context: Context) -> None:
    """With each kind of connection; the text arrives whole, lone dots included."""
    post = start_post(security)
    result = send_email(MAIL, context(post.settings))
    assert result.message_id == "<job-1.1@example.org>"
    assert (result.accepted, result.refused) == (["ann@example.org"], {})
    assert post.inbox.mails[0]["Message-ID"] == "<job-1.1@example.org>"
    assert post.inbox.mails[0]["From"] == "Hermes <hermes@example.org>"
    assert post.inbox.mails[0].get_content() == "text\r\n.\r\nmore\r\n"
    assert post.inbox.senders == ["hermes@example.org"]
    assert post.inbox.encrypted == [security != "none"]


def test_a_login_comes_before_the_mail(start_post: Any, context: Context) -> None:
    """A server that demands authentication takes the mail with the right password."""
    post = start_post(auth=True)
    send_email(MAIL, context(post.settings))
    assert len(post.inbox.mails) == 1


def test_a_wrong_password_is_permanent_and_not_told(start_post: Any, context: Context) -> None:
    """535 will not mend itself; the password is in no message."""
    post = start_post(auth=True)
    with pytest.raises(Permanent, match="535") as caught:
        send_email(MAIL, context(post.settings | {"password": "hush hush"}))
    assert "hush" not in str(caught.value)
    assert post.inbox.mails == []


def test_everybody_gets_the_mail_and_nobody_sees_the_blind_copy(
    start_post: Any, context: Context
) -> None:
    """To, Cc and Bcc are recipients; an attachment arrives as it was."""
    post = start_post()
    mail = EmailPayload(
        to=["ann@example.org", "Ben <ben@example.org>"],
        cc=["cy@example.org"],
        bcc=["dee@example.org"],
        sender="Other <other@example.net>",
        subject="Grüße",
        body="text",
        html="<p>text</p>",
        attachments=[Attachment(filename="a.bin", content=bytes(range(256)))],
    )
    send_email(mail, context(post.settings))
    received = post.inbox.mails[0]
    assert post.inbox.recipients[0] == [f"{x}@example.org" for x in ("ann", "ben", "cy", "dee")]
    assert post.inbox.senders == ["other@example.net"]
    assert "dee@" not in received.as_string()
    assert next(received.iter_attachments()).get_content() == bytes(range(256))


def test_a_second_attempt_repeats_the_message_id(start_post: Any, context: Context) -> None:
    """A new attempt is the same mail, a new run of the job is another one."""
    post = start_post()
    for fields in ({"attempt": 1}, {"attempt": 2}, {"attempt": 1, "run": 2}):
        send_email(MAIL, context(post.settings, **fields))
    assert [str(mail["Message-ID"]) for mail in post.inbox.mails] == [
        "<job-1.1@example.org>",
        "<job-1.1@example.org>",
        "<job-1.2@example.org>",
    ]


def test_some_refused_recipients_are_reported(start_post: Any, context: Context) -> None:
    """The others got the mail, so the job has succeeded."""
    post = start_post()
    post.inbox.refuse_recipient = {"ben@example.org": "550 no such user"}
    mail = EmailPayload(to=["ann@example.org", "ben@example.org"], subject="Hi", body="text")
    result = send_email(mail, context(post.settings))
    assert result.accepted == ["ann@example.org"]
    assert result.refused["ben@example.org"].code == 550
    assert result.refused["ben@example.org"].reason == "no such user"
    assert post.inbox.recipients == [["ann@example.org"]]


@pytest.mark.parametrize(
    ("answers", "expected"),
    [
        ({"ann@example.org": "550 no", "ben@example.org": "553 no"}, Permanent),
        ({"ann@example.org": "550 no", "ben@example.org": "451 later"}, Retry),
        ({"ann@example.org": "421 going away"}, Retry),
    ],
)
def test_a_mail_that_nobody_gets_fails(
    start_post: Any, context: Context, answers: dict[str, str], expected: type[Exception]
) -> None:
    """For good if every refusal is, else until later."""
    post = start_post()
    post.inbox.refuse_recipient = answers
    mail = EmailPayload(to=["ann@example.org", "ben@example.org"], subject="Hi", body="text")
    with pytest.raises(expected, match="every recipient was refused"):
        send_email(mail, context(post.settings))
    assert post.inbox.mails == []


@pytest.mark.parametrize("where", ["refuse_data", "refuse_sender"])
@pytest.mark.parametrize(("answer", "expected"), [("452 full", Retry), ("554 spam", Permanent)])
def test_a_refusal_counts_by_its_code(
    start_post: Any, context: Context, where: str, answer: str, expected: type[Exception]
) -> None:
    """4xx may pass later, 5xx will not."""
    post = start_post()
    setattr(post.inbox, where, answer)
    with pytest.raises(expected, match=f"answered {answer}"):
        send_email(MAIL, context(post.settings))


def test_a_failed_goodbye_does_not_repeat_the_mail(start_post: Any, context: Context) -> None:
    """The mail was taken before QUIT, so the job has succeeded."""
    post = start_post()
    post.inbox.quit_answer = "500 never heard of it"
    assert send_email(MAIL, context(post.settings)).accepted == ["ann@example.org"]
    assert len(post.inbox.mails) == 1


def test_a_server_that_is_not_there_is_retried(context: Context) -> None:
    """Nobody listens on the port."""
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        settings = {"host": "127.0.0.1", "port": unused.getsockname()[1], "sender": "a@b.org"}
        with pytest.raises(Retry, match="ConnectionRefusedError"):
            send_email(MAIL, context(settings))


def test_a_server_that_says_nothing_is_retried(context: Context) -> None:
    """The wait for its greeting is bounded."""
    with socket.create_server(("127.0.0.1", 0)) as silent:
        settings = {
            "host": "127.0.0.1",
            "port": silent.getsockname()[1],
            "sender": "a@b.org",
            "timeout_seconds": 0.2,
        }
        with pytest.raises(Retry, match="timed out"):
            send_email(MAIL, context(settings))


def test_a_certificate_for_another_name_is_not_trusted(start_post: Any, context: Context) -> None:
    """The mail and the password stay here."""
    post = start_post(name="other.example.org", auth=True)
    with pytest.raises(Retry, match=r"CertificateError|CertVerification"):
        send_email(MAIL, context(post.settings))
    assert post.inbox.mails == []


def test_verification_can_be_turned_off(start_post: Any, context: Context) -> None:
    """For trials with a certificate that nobody signed."""
    post = start_post(name="other.example.org")
    send_email(MAIL, context(post.settings | {"verify": False, "ca_file": ""}))
    assert len(post.inbox.mails) == 1


def test_a_server_without_starttls_gets_nothing(start_post: Any, context: Context) -> None:
    """There is no falling back to an open connection."""
    post = start_post("none")
    with pytest.raises(Retry, match="STARTTLS"):
        send_email(MAIL, context(post.settings | {"security": "starttls"}))
    assert post.inbox.mails == []


def test_an_address_beyond_ascii_needs_a_server_that_takes_it(
    start_post: Any, context: Context
) -> None:
    """Without SMTPUTF8 no attempt can succeed."""
    post = start_post()
    mail = EmailPayload(to="änne@example.org", subject="Hi", body="text")
    with pytest.raises(Permanent, match="SMTPUTF8"):
        send_email(mail, context(post.settings))


def test_a_cancelled_job_sends_nothing(start_post: Any, context: Context) -> None:
    """The last look is after the login, just before the mail."""
    post = start_post()
    with pytest.raises(Retry, match="cancelled"):
        send_email(MAIL, context(post.settings, is_cancelled=lambda: True))
    assert post.inbox.mails == []


@pytest.mark.parametrize(
    ("settings", "reason"),
    [
        ({"hots": "x"}, "hots"),
        ({"port": 70000}, "port"),
        ({"username": "u", "password": "schlüssel"}, "must be ASCII"),
        ({"host": "mail.example.org", "security": "none", "username": "u"}, "readable to all"),
        ({"sender": "a@b.org", "ca_file": "/nowhere.pem", "security": "tls"}, "ca_file"),
    ],
)
def test_a_wrong_setting_is_named(
    settings: dict[str, object], reason: str, context: Context
) -> None:
    """An operator's mistake is told as such."""
    with pytest.raises(Permanent, match=rf"plugins\.settings\.email.*{reason}"):
        send_email(MAIL, context(settings))


def test_a_mail_without_any_sender_is_refused(start_post: Any, context: Context) -> None:
    """Neither the payload nor the settings name one."""
    post = start_post()
    with pytest.raises(Permanent, match="not one mail address"):
        send_email(MAIL, context(post.settings | {"sender": ""}))


def test_line_breaks_in_a_header_are_permanent(context: Context) -> None:
    """No connection is made for them."""
    mail = EmailPayload(to="a@b.org", subject="Hi\r\nBcc: eve@example.org", body="text")
    with pytest.raises(Permanent, match="line break"):
        send_email(mail, context({"sender": "a@b.org"}))
