"""What is written to the wire reads back as what it was."""

from __future__ import annotations

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hermesd.core.backoff import Backoff, BackoffKind
from hermesd.core.fleet import (
    Deregistration,
    DispatchItem,
    FleetEntry,
    Heartbeat,
    HeartbeatAnswer,
    Load,
    Registration,
    RegistrationAnswer,
    SlotView,
    WorkerStatus,
    item_of,
)
from hermesd.core.job import ErrorInfo, Kind, Token
from hermesd.core.jobtype import JobType, TypeDefaults
from hermesd.core.notes import LEVELS, JobNotes, LogLine, NoteBatch, Progress
from hermesd.core.orders import OrderKind, WorkerOrder
from hermesd.core.outcome import Outcome, OutcomeKind
from hermesd.core.records import Claim, ClaimAnswer, ClaimVerdict, Report, ReportAnswer, Verdict
from hermesd.wire import claims, fleet, notes, outcomes
from hermesd.wire.gen.hermes.v1 import control_pb2 as pb

ids = st.text(st.characters(categories=["L", "N", "P", "S"]), min_size=1, max_size=40).filter(
    str.isprintable
)
texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=60)
counts = st.integers(0, 2**32 - 1)
numbers = st.integers(0, 2**64 - 1)
amounts = st.floats(0, 1e11, allow_nan=False)
tokens = st.builds(Token, ids, st.integers(0, 2**63 - 1))
held = st.lists(tokens, max_size=5).map(tuple)
slots = st.fixed_dictionaries({str(kind): st.integers(0, 1_000_000) for kind in Kind})
views = st.builds(SlotView, version=numbers, free=slots, last_batch=numbers)
loads = st.builds(
    Load,
    cpu=amounts,
    loop_lag_seconds=amounts,
    rss_bytes=numbers,
    running=counts,
    unreported=counts,
)
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=8,
)
backoffs = st.builds(
    Backoff,
    kind=st.sampled_from([BackoffKind.FIXED, BackoffKind.EXPONENTIAL]),
    seconds=st.floats(0, 1000),
    factor=st.floats(1, 10),
    jitter=st.floats(0, 1),
)
defaults = st.builds(
    TypeDefaults,
    queue=st.none() | ids,
    priority=st.none() | st.integers(0, 10),
    max_attempts=st.none() | st.integers(1, 1000),
    timeout=st.none() | st.floats(0.1, 1e6),
    backoff=st.none() | backoffs,
    crash_limit=st.none() | st.integers(1, 100),
)
types = st.builds(
    JobType,
    name=st.from_regex(r"[a-z_-]{1,9}(\.[a-z0-9]{1,9}){0,3}", fullmatch=True) | st.just("*"),
    kind=st.sampled_from(Kind),
    schema=st.dictionaries(texts, json_values, max_size=3),
    defaults=defaults,
    description=texts,
)
registrations = st.builds(
    Registration,
    worker_id=ids,
    incarnation=ids,
    address=st.just("worker.example:8082") | st.just("[::1]:1"),
    machine=ids | st.just(""),
    version=ids,
    slots=slots,
    types=st.lists(types, max_size=3).map(tuple),
    queues=st.lists(ids, max_size=3).map(tuple),
    held=held,
    labels=st.dictionaries(ids, ids, max_size=3),
    pulls=st.none() | st.booleans(),
    drain_seconds=st.none() | amounts,
)
heartbeats = st.builds(
    Heartbeat,
    incarnation=ids,
    api_boot=ids,
    number=numbers,
    view=views,
    held=held,
    load=loads,
    draining=st.booleans(),
    fenced_batch=numbers,
    paused=st.booleans(),
    since=amounts,
    reason=texts,
    order_taken=st.just("") | ids,
)
queues = st.lists(ids, max_size=3).map(tuple)
orders = st.none() | st.builds(
    WorkerOrder, id=ids, kind=st.sampled_from(OrderKind), reason=texts, at_once=st.booleans()
)
reported = st.builds(
    Outcome,
    token=tokens,
    kind=st.sampled_from(OutcomeKind),
    result=st.none() | st.binary(max_size=40),
    error=st.none() | st.builds(ErrorInfo, kind=ids, message=texts, traceback=texts),
    delay_seconds=st.none() | amounts,
    started_at=amounts,
    finished_at=amounts,
)
items = st.builds(
    DispatchItem,
    id=ids,
    lease=st.integers(1, 2**63 - 1),
    type=ids,
    payload=json_values.map(msgspec.json.encode).map(msgspec.Raw),
    queue=ids,
    priority=st.integers(0, 10),
    attempt=st.integers(1, 100),
    max_attempts=st.integers(1, 100),
    timeout=amounts,
    run=st.integers(1, 100),
    labels=st.dictionaries(texts, texts, max_size=3),
    trace_context=st.none() | texts,
)


logged = st.builds(
    LogLine,
    line=texts.filter(lambda text: "\0" not in text),
    level=st.sampled_from(LEVELS),
    at=amounts,
)
job_notes = st.builds(
    JobNotes,
    token=tokens,
    progress=st.none()
    | st.builds(
        Progress,
        fraction=st.floats(0, 1),
        note=texts.filter(lambda text: "\0" not in text and len(text.encode()) <= 256),
        at=amounts,
    ),
    lines=st.lists(logged, max_size=3).map(tuple),
    dropped=counts,
    repeated=st.booleans(),
)


def resent(message):
    """The message after a journey over the wire."""
    return type(message).FromString(message.SerializeToString())


@given(registrations)
def test_a_registration(value):
    """With types, schemas, defaults and leases."""
    message = resent(fleet.registration_to_proto(value))
    assert fleet.registration_from_proto(message) == value


@given(ids, ids, ids, held, st.booleans(), st.floats(0.001, 3600), st.booleans(), queues)
def test_a_registration_answer(name, boot, store, invalid, fenced, interval, takes_notes, paused):
    """Whole."""
    value = RegistrationAnswer(
        api_name=name,
        api_boot=boot,
        store_id=store,
        invalid=invalid,
        fenced=fenced,
        heartbeat_seconds=interval,
        takes_notes=takes_notes,
        paused_queues=paused,
    )
    message = resent(fleet.registration_answer_to_proto(value))
    assert fleet.registration_answer_from_proto(message) == value


@given(heartbeats)
def test_a_heartbeat(value):
    """With view, load and leases."""
    assert fleet.heartbeat_from_proto(resent(fleet.heartbeat_to_proto(value))) == value


@given(st.booleans(), st.booleans(), held, st.booleans(), numbers, orders, queues)
def test_a_heartbeat_answer(again, fenced, cancels, drain, fence, order, paused):
    """All orders."""
    value = HeartbeatAnswer(
        register_again=again,
        fenced=fenced,
        cancels=cancels,
        drain=drain,
        fence_batch=fence,
        order=order,
        paused_queues=paused,
    )
    message = resent(fleet.heartbeat_answer_to_proto(value))
    assert fleet.heartbeat_answer_from_proto(message) == value


def test_an_order_of_a_newer_api_is_left_alone():
    """All else of its answer is read."""
    message = pb.HeartbeatResponse(order=pb.Order(id="o1", kind="dance"), paused_queues=["a"])
    answer = fleet.heartbeat_answer_from_proto(resent(message))
    assert (answer.order, answer.paused_queues) == (None, ("a",))


@given(ids, texts)
def test_a_deregistration(incarnation, reason):
    """With its reason."""
    value = Deregistration(incarnation=incarnation, reason=reason)
    assert fleet.deregistration_from_proto(resent(fleet.deregistration_to_proto(value))) == value


@given(ids, ids, views, st.lists(reported, max_size=5).map(tuple))
def test_a_report(incarnation, boot, view, sent):
    """Every kind of outcome; an absent result is not an empty one."""
    value = Report(incarnation=incarnation, api_boot=boot, view=view, outcomes=sent)
    assert outcomes.report_from_proto(resent(outcomes.report_to_proto(value))) == value


@given(st.lists(st.sampled_from(Verdict), max_size=9).map(tuple), st.booleans())
def test_a_report_answer(verdicts, again):
    """Every verdict, in order."""
    value = ReportAnswer(verdicts=verdicts, register_again=again)
    message = resent(outcomes.report_answer_to_proto(value))
    assert outcomes.report_answer_from_proto(message) == value


@given(
    ids, st.lists(st.tuples(tokens, ids), min_size=1, max_size=9), ids, ids, numbers, st.booleans()
)
def test_claims(store, claimed, worker, incarnation, heartbeat, says):
    """Any number, in order; what the api fills in stays at its default.

    A worker of before does not say the queues.
    """
    common = {"store_id": store, "worker_id": worker, "incarnation": incarnation}
    values = tuple(
        Claim(token=token, heartbeat=heartbeat, queue=queue if says else "", **common)
        for token, queue in claimed
    )
    message = resent(claims.claims_to_proto(values))
    if not says:
        del message.queues[:]
    assert claims.claims_from_proto(message) == values


@given(items)
def test_a_granted_claim(item):
    """The job is what a dispatch of it would be."""
    value = ClaimAnswer(verdict=ClaimVerdict.GRANTED, job=claims.job_of(item))
    (read,) = claims.claim_answers_from_proto(resent(claims.claim_answers_to_proto([value])))
    assert read.verdict is ClaimVerdict.GRANTED
    assert read.job is not None
    assert item_of(read.job) == item


@given(st.lists(st.sampled_from([verdict for verdict in ClaimVerdict if verdict != "granted"])))
def test_refused_claims(verdicts):
    """The reasons, in order, and no job."""
    values = tuple(ClaimAnswer(verdict=verdict) for verdict in verdicts)
    assert claims.claim_answers_from_proto(resent(claims.claim_answers_to_proto(values))) == values


@given(ids, amounts, loads, slots, slots, st.sampled_from(WorkerStatus))
def test_a_worker_of_the_fleet_as_a_client_sees_it(worker_id, seen, load, total, free, status):
    """Every field of an entry has its place in the message."""
    entry = FleetEntry(
        worker_id=worker_id,
        incarnation="i1",
        address="h:1",
        machine="m",
        last_seen_unix=seen,
        load=load,
        slots=total,
        free=free,
        status=status,
        types=("a.b",),
        queues=("default",),
        version="1",
        breaker="half-open",
        labels={"zone": "a"},
        since_unix=seen,
        reason="why",
    )
    [worker] = resent(fleet.workers_to_proto([entry])).workers
    names = ("worker_id", "incarnation", "address", "machine", "version", "breaker", "status")
    assert [getattr(worker, name) for name in names] == [getattr(entry, name) for name in names]
    assert (worker.last_seen_unix, worker.load.cpu) == (seen, load.cpu)
    assert (worker.since_unix, worker.reason) == (seen, "why")
    assert {kind: getattr(worker.free, kind) for kind in free} == free
    assert {kind: getattr(worker.slots, kind) for kind in total} == total
    assert (list(worker.types), list(worker.queues)) == (["a.b"], ["default"])
    assert dict(worker.labels) == {"zone": "a"}


@given(ids, st.lists(job_notes, max_size=3).map(tuple))
def test_notes(incarnation, jobs):
    """Whole."""
    batch = NoteBatch(incarnation=incarnation, notes=jobs)
    assert notes.notes_from_proto(resent(notes.notes_to_proto(batch))) == batch


@given(st.lists(st.booleans(), max_size=5).map(tuple))
def test_answers_to_notes(taken):
    """In order."""
    assert notes.note_answers_from_proto(resent(notes.note_answers_to_proto(taken))) == taken
