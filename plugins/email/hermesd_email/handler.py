"""The job type `email`: one mail per job, to all of its recipients in one SMTP session."""

from __future__ import annotations

from datetime import UTC, datetime

from hermesd.handlers import JobContext, Permanent, Retry, job
from hermesd_email.payload import EmailPayload, EmailResult
from hermesd_email.settings import settings_of


@job("email", kind="thread")
def send_email(payload: EmailPayload, ctx: JobContext) -> EmailResult:
    """Sends the mail; raises Retry where the server may take it later, else Permanent.

    The Message-ID is made of the job's id and run: an attempt after one whose fate was not seen
    sends the very same id, by which receivers can recognize the second copy.
    """
    # Only here: a worker that sends no mail need not hold the email packages.
    from hermesd_email.addresses import AddressFault
    from hermesd_email.delivery import deliver
    from hermesd_email.message import MessageFault, compose

    settings = settings_of(ctx.settings)
    try:
        envelope = compose(
            payload,
            default_sender=settings.sender,
            id_part=f"{ctx.job_id}.{ctx.run}",
            now=datetime.now(UTC),
            max_bytes=settings.max_attachment_bytes,
        )
    except (AddressFault, MessageFault) as error:
        raise Permanent(str(error)) from error
    delivery = deliver(envelope, settings, lambda: _stop_if_cancelled(ctx))
    if delivery.refused:
        ctx.log.warning(
            "recipients_refused", accepted=len(delivery.accepted), refused=len(delivery.refused)
        )
    return EmailResult(
        message_id=envelope.message_id, accepted=delivery.accepted, refused=delivery.refused
    )


def _stop_if_cancelled(ctx: JobContext) -> None:
    """Once the mail is on its way it cannot be called back, so the last look is just before."""
    if ctx.cancel_requested():
        raise Retry(reason="cancelled before the mail was sent")
