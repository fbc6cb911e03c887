"""Claims as structs of `core.records`; a granted job travels as POST /dispatch would carry it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from hermesd.core.errors import Broken
from hermesd.core.fleet import DispatchItem, item_of
from hermesd.core.job import Job, Owner
from hermesd.core.records import Claim, ClaimAnswer, ClaimVerdict
from hermesd.core.states import State
from hermesd.wire.fields import MAX_CLAIMS, at_most, bad, short_text
from hermesd.wire.gen.hermes.v1 import control_pb2 as pb
from hermesd.wire.tokens import token_from_proto, tokens_to_proto


def claims_to_proto(claims: Sequence[Claim]) -> pb.ClaimRequest:
    """Claims that differ in token and queue alone; what the api fills in is left out."""
    first = claims[0]
    return pb.ClaimRequest(
        store_id=first.store_id,
        worker_id=first.worker_id,
        incarnation=first.incarnation,
        tokens=tokens_to_proto(claim.token for claim in claims),
        heartbeat=first.heartbeat,
        queues=[claim.queue for claim in claims],
    )


def claims_from_proto(message: pb.ClaimRequest) -> tuple[Claim, ...]:
    """A claim for each token, from 1 to MAX_CLAIMS; `heartbeat` and `queues` may be absent."""
    store_id = short_text(message.store_id, "store_id")
    worker_id = short_text(message.worker_id, "worker_id")
    incarnation = short_text(message.incarnation, "incarnation")
    if not message.tokens:
        raise bad("tokens", "must not be empty")
    queues = list(message.queues) or [""] * len(message.tokens)
    if len(queues) != len(message.tokens):
        raise bad("queues", f"must be as many as tokens ({len(message.tokens)}), are {len(queues)}")
    return tuple(
        Claim(
            store_id=store_id,
            token=token_from_proto(token, f"tokens[{place}]"),
            worker_id=worker_id,
            incarnation=incarnation,
            heartbeat=message.heartbeat,
            queue=queues[place],
        )
        for place, token in enumerate(at_most(message.tokens, "tokens", MAX_CLAIMS))
    )


def claim_answers_to_proto(answers: Iterable[ClaimAnswer]) -> pb.ClaimResponse:
    """The answers, in order; raises Broken for a grant without its job."""
    return pb.ClaimResponse(answers=[_answer_to_proto(answer) for answer in answers])


def claim_answers_from_proto(message: pb.ClaimResponse) -> tuple[ClaimAnswer, ...]:
    """The answers, in order; a granted job is as far as its worker needs it."""
    return tuple(_answer_from_proto(answer) for answer in message.answers)


def _answer_to_proto(answer: ClaimAnswer) -> pb.ClaimAnswer:
    if answer.verdict is not ClaimVerdict.GRANTED:
        return pb.ClaimAnswer(verdict=answer.verdict)
    if answer.job is None:
        raise Broken("a claim was granted without its job")
    return pb.ClaimAnswer(
        verdict=answer.verdict,
        lease=answer.job.lease,
        job_json=msgspec.json.encode(item_of(answer.job)),
    )


def _answer_from_proto(message: pb.ClaimAnswer) -> ClaimAnswer:
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
