"""Claims as structs of `core.records`; a granted job travels as POST /dispatch would carry it."""

from __future__ import annotations

import msgspec

from hermesd.core.errors import Broken
from hermesd.core.fleet import DispatchItem
from hermesd.core.job import Job, Owner
from hermesd.core.records import Claim, ClaimAnswer, ClaimVerdict
from hermesd.core.states import State
from hermesd.wire.fields import bad, short_text
from hermesd.wire.gen.hermes.v1 import control_pb2 as pb
from hermesd.wire.tokens import token_from_proto, token_to_proto


def claim_to_proto(claim: Claim) -> pb.ClaimRequest:
    """A worker asks for a job it pulled; `assigned_by` and `at` are the api's to fill in."""
    return pb.ClaimRequest(
        store_id=claim.store_id,
        token=token_to_proto(claim.token),
        worker_id=claim.worker_id,
        incarnation=claim.incarnation,
    )


def claim_from_proto(message: pb.ClaimRequest) -> Claim:
    """All four fields are required."""
    return Claim(
        store_id=short_text(message.store_id, "store_id"),
        token=token_from_proto(message.token, "token"),
        worker_id=short_text(message.worker_id, "worker_id"),
        incarnation=short_text(message.incarnation, "incarnation"),
    )


def claim_answer_to_proto(answer: ClaimAnswer) -> pb.ClaimResponse:
    """The verdict, and where granted the job; raises Broken for a grant without one."""
    if answer.verdict is not ClaimVerdict.GRANTED:
        return pb.ClaimResponse(verdict=answer.verdict)
    if answer.job is None:
        raise Broken("a claim was granted without its job")
    return pb.ClaimResponse(
        verdict=answer.verdict,
        lease=answer.job.lease,
        job_json=msgspec.json.encode(dispatch_item(answer.job)),
    )


def claim_answer_from_proto(message: pb.ClaimResponse) -> ClaimAnswer:
    """The verdict, and where granted the job as far as its worker needs it."""
    try:
        verdict = ClaimVerdict(message.verdict)
    except ValueError:
        raise bad("verdict", f"is none that is known: {message.verdict[:80]!r}") from None
    if verdict is not ClaimVerdict.GRANTED:
        return ClaimAnswer(verdict=verdict)
    try:
        item = msgspec.json.decode(message.job_json, type=DispatchItem)
    except (ValueError, RecursionError) as error:
        raise bad("job_json", f"is no job: {str(error)[:200]}") from None
    if item.lease != message.lease or not item.id:
        raise bad("job_json", "does not carry the granted job and lease")
    return ClaimAnswer(verdict=verdict, job=job_of(item))


def dispatch_item(job: Job) -> DispatchItem:
    """What a worker needs of a job to run it."""
    return DispatchItem(
        id=job.id,
        lease=job.lease,
        type=job.type,
        payload=job.payload,
        queue=job.queue,
        priority=job.priority,
        attempt=job.attempts,
        max_attempts=job.max_attempts,
        timeout=job.timeout,
        run=job.run,
        labels=job.labels,
        trace_context=job.trace_context,
    )


def job_of(item: DispatchItem) -> Job:
    """The running job that an item stands for; what a worker is not told has its default."""
    return Job(
        id=item.id,
        lease=item.lease,
        type=item.type,
        payload=item.payload,
        queue=item.queue,
        priority=item.priority,
        attempts=item.attempt,
        max_attempts=item.max_attempts,
        timeout=item.timeout,
        run=item.run,
        labels=dict(item.labels),
        trace_context=item.trace_context,
        state=State.RUNNING,
        owner=Owner.INCARNATION,
    )
