"""The jobs of the demo, an act each: submit it, see it through, and look at what it did."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import msgspec
from PIL import Image

from hermesd.client import Client, JobView
from hermesd.client.answers import JobAnswer
from hermesd.core.states import State
from tests.demo.command import Command
from tests.demo.mailbox import Mailbox
from tests.demo.receiver import Receiver
from tests.demo.screen import Screen, must

WAIT_SECONDS: Final = 30.0
LATE_SUBJECT: Final = "Better late"
LATE_BODY: Final = "No worker was there at first.\n"


class Told(msgspec.Struct, frozen=True):
    """One job of the final table: how the answer to its submit said it was routed."""

    job_id: str
    routed: str


def send_mail(screen: Screen, client: Client, mailbox: Mailbox) -> Told:
    """A mail, submitted by the Python client and read back from the server."""
    subject, body = "Grüße from hermesd", "It works.\nTwo lines, ünïcode.\n"
    screen.line('  >>> client.submit("email", {"to": "ann@example.org", "subject": …})')
    submission = client.submit(
        "email", {"to": "Ann <ann@example.org>", "subject": subject, "body": body}
    )
    must(submission.routed == "direct", f"the mail was not routed directly: {submission.note}.")
    screen.holds(f"202, routed: direct, worker_id: {submission.worker_id}")
    _succeeded(client.wait(submission.job.id, WAIT_SECONDS), attempts=1)
    screen.holds("the job succeeded")
    _check_mail(mailbox, 1, subject, body)
    screen.holds(f'the server has one mail "{subject}", its text is the same, STARTTLS and login')
    return Told(submission.job.id, submission.routed)


def resize_image(screen: Screen, command: Command, images: Path) -> Told:
    """An image, submitted by the command, which waits for the job's end."""
    source, target = images / "large.png", images / "small.webp"
    Image.linear_gradient("L").resize((640, 480)).convert("RGB").save(source)
    payload = {"source_path": str(source), "output_path": str(target), "format": "webp"}
    text = json.dumps({"width": 320, "height": 320, **payload})
    said = command.text("submit", "resize-image", text, f"--wait={WAIT_SECONDS:.0f}", "--json")
    job = msgspec.json.decode(said, type=JobAnswer).job
    _succeeded(job, attempts=1)
    screen.holds(f"the job succeeded in a process of its own, on {job.worker_id}")
    with Image.open(target) as image:
        image.load()
        made = (image.size, image.format)
    must(made == ((320, 240), "WEBP"), f"the image has become {made}, not 320x240 in WebP.")
    screen.holds("640x480 in PNG has become 320x240 in WebP, says Pillow")
    must(job.rung == "push", f"the image came to the worker by {job.rung}, not by push.")
    return Told(job.id, "direct")


def call_webhook(screen: Screen, command: Command, client: Client, receiver: Receiver) -> Told:
    """A webhook whose receiver is overloaded at first; its history shows the second attempt."""
    payload = {"url": receiver.url, "json": {"event": "paid", "order": 7}}
    told = command.json("submit", "http", json.dumps(payload), "--label", "order=7")
    must(told["routed"] == "direct", f"the webhook was not routed directly: {told.get('note')}.")
    job_id: str = told["job"]["id"]
    job = client.wait(job_id, WAIT_SECONDS)
    _succeeded(job, attempts=2)
    statuses = [status for status, _ in receiver.calls]
    must(statuses == [503, 200], f"the receiver answered {statuses}, not 503 and then 200.")
    bodies = [json.loads(body) for _, body in receiver.calls]
    must(bodies == [payload["json"]] * 2, f"the receiver got {bodies}.")
    screen.holds("the receiver got the same call twice: it answered 503, Retry-After: 1, then 200")
    history = command.json("jobs", "events", job_id)["events"]
    for event in history:
        screen.line(
            f"      {event['time'][11:23]}  {event['kind']:<10} {event['message']}".rstrip()
        )
    must("retry" in [event["kind"] for event in history], "its events show no retry.")
    screen.holds("the job's events show the retry")
    return Told(job_id, told["routed"])


def submit_without_worker(screen: Screen, command: Command) -> Told:
    """A mail that nobody can send yet."""
    payload = {"to": "ann@example.org", "subject": LATE_SUBJECT, "body": LATE_BODY}
    told = command.json("submit", "email", json.dumps(payload), "--priority", "high")
    must(told["routed"] == "queue", f"without a worker it was routed {told['routed']}.")
    must(told.get("note"), "the answer does not say why the job waits.")
    must(told["job"]["state"] == "queued", f"the job is {told['job']['state']}, not queued.")
    screen.holds(f"202, routed: queue, note: {told['note']}")
    return Told(told["job"]["id"], told["routed"])


def late_mail_runs(screen: Screen, client: Client, mailbox: Mailbox, told: Told) -> None:
    """The worker has come, and the mail goes out."""
    _succeeded(client.wait(told.job_id, WAIT_SECONDS), attempts=1)
    _check_mail(mailbox, 2, LATE_SUBJECT, LATE_BODY)
    screen.holds("the job that waited has run, and the mail is there")


def _check_mail(mailbox: Mailbox, number: int, subject: str, body: str) -> None:
    must(len(mailbox.mails) == number, f"the server has {len(mailbox.mails)} mails, not {number}.")
    mail = mailbox.mails[-1]
    must(mail.message["subject"] == subject, f"its subject reads {mail.message['subject']!r}.")
    text = mail.message.get_content().replace("\r\n", "\n")
    must(text.rstrip("\n") == body.rstrip("\n"), f"its text reads {text!r}.")
    must(mail.encrypted, "the mail came over an open connection.")
    must(mail.authenticated, "the mail came without a login.")
    must(mail.recipients == ["ann@example.org"], f"it went to {mail.recipients}.")


def _succeeded(job: JobView, *, attempts: int) -> None:
    why = f": {job.error.kind}: {job.error.message}" if job.error else ""
    must(job.state is State.SUCCEEDED, f"job {job.id} ({job.type}) has {job.state}{why}.")
    must(
        job.attempts == attempts,
        f"job {job.id} ({job.type}) took {job.attempts} attempts, not {attempts}.",
    )


def result_text(job: JobView) -> str:
    """The result in a few words."""
    result: Any = job.result
    if job.type == "email":
        return f"accepted by the server for {', '.join(result['accepted'])}"
    if job.type == "resize-image":
        return f"{result['width']}x{result['height']} {result['format']}, {result['bytes']} bytes"
    return f"status {result['status']}"
