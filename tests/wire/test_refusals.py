"""What a peer may not send; each refusal names the field."""

from __future__ import annotations

import math

import pytest

from hermesd.core.errors import InvalidValue
from hermesd.wire import claims, fleet, notes, outcomes
from hermesd.wire.gen.hermes.v1 import control_pb2 as pb

TOKEN = pb.Token(job_id="j", lease=1)
VIEW = pb.SlotView(version=1)


def registration(**changes):
    sound = {"worker_id": "w", "incarnation": "i", "address": "h:1"}
    return pb.RegisterRequest(**{**sound, **changes})


def with_type(**changes):
    return registration(types=[pb.JobType(**{"name": "a.b", "kind": "async", **changes})])


def report(**changes):
    sound = {"token": TOKEN, "kind": pb.OUTCOME_KIND_SUCCEEDED}
    return pb.ReportRequest(
        incarnation="i", view=VIEW, outcomes=[pb.Outcome(**{**sound, **changes})]
    )


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (registration(worker_id=""), "worker_id"),
        (registration(worker_id="w" * 300), "worker_id"),
        (registration(worker_id="w\0"), "worker_id"),
        (registration(incarnation=""), "incarnation"),
        (registration(address=""), "address"),
        (registration(address="host"), "address"),
        (registration(address="host:0"), "address"),
        (registration(address="host:٣"), "address"),
        (registration(address="::1:80"), "address"),
        (registration(slots=pb.Slots(thread=2_000_000)), "slots.thread"),
        (registration(queues=[""]), "queues"),
        (registration(labels={"": "x"}), "labels"),
        (registration(labels={str(n): "x" for n in range(65)}), "labels"),
        (registration(held=[pb.Token(lease=1)]), "held.job_id"),
        (registration(held=[pb.Token(job_id="j", lease=2**63)]), "held.lease"),
        (registration(held=[TOKEN] * 50_001), "held"),
        (registration(types=[pb.JobType(name="a", kind="async")] * 2_001), "types"),
        (with_type(name=""), "types[0].name"),
        (with_type(name="no good"), "types[0]"),
        (with_type(kind="fiber"), "types[0]"),
        (with_type(schema_json=b"[1]"), "types[0].schema_json"),
        (with_type(schema_json=b"{" * 5), "types[0].schema_json"),
        (with_type(schema_json=b'{"a":\xff}'), "types[0].schema_json"),
        (with_type(schema_json=b'{"a":' * 100_000), "types[0].schema_json"),
        (with_type(defaults_json=b'{"color":1}'), "types[0].defaults_json"),
        (with_type(defaults_json=b'{"priority":11}'), "types[0].defaults_json.priority"),
        (with_type(defaults_json=b'{"max_attempts":0}'), "types[0].defaults_json.max_attempts"),
        (with_type(defaults_json=b'{"timeout":-1}'), "types[0].defaults_json.timeout"),
        (with_type(defaults_json=b'{"timeout":0}'), "types[0].defaults_json.timeout"),
        (with_type(defaults_json=b'{"timeout":NaN}'), "types[0].defaults_json"),
        (with_type(defaults_json=b'{"backoff":{"jitter":2}}'), "types[0].defaults_json"),
        (with_type(description="d" * 4_001), "types[0].description"),
    ],
)
def test_a_bad_registration(message, field):
    """Ids, address, slots, names, labels, leases and types are all looked at."""
    with pytest.raises(InvalidValue) as caught:
        fleet.registration_from_proto(message)
    assert caught.value.extra["field"] == field
    assert field in caught.value.detail


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (pb.HeartbeatRequest(view=VIEW), "incarnation"),
        (pb.HeartbeatRequest(incarnation="i"), "view"),
        (
            pb.HeartbeatRequest(incarnation="i", view=VIEW, load=pb.Load(cpu=math.nan)),
            "load.cpu",
        ),
        (
            pb.HeartbeatRequest(incarnation="i", view=VIEW, load=pb.Load(loop_lag_seconds=-1)),
            "load.loop_lag_seconds",
        ),
        (pb.HeartbeatRequest(incarnation="i", view=VIEW, held=[pb.Token()]), "held.job_id"),
    ],
)
def test_a_bad_heartbeat(message, field):
    """NaN and negative numbers are none of ours."""
    with pytest.raises(InvalidValue) as caught:
        fleet.heartbeat_from_proto(message)
    assert caught.value.extra["field"] == field


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (report(token=pb.Token(lease=1)), "outcomes.token.job_id"),
        (report(kind=0), "outcomes.kind"),
        (report(kind=99), "outcomes.kind"),
        (report(delay_seconds=-0.1), "outcomes.delay_seconds"),
        (report(delay_seconds=math.inf), "outcomes.delay_seconds"),
        (report(started_at=math.nan), "outcomes.started_at"),
        (report(finished_at=-1), "outcomes.finished_at"),
        (report(error=pb.ErrorInfo()), "outcomes.error.kind"),
        (pb.ReportRequest(incarnation="i"), "view"),
    ],
)
def test_a_bad_report(message, field):
    """An outcome must say of which job and how it ended."""
    with pytest.raises(InvalidValue) as caught:
        outcomes.report_from_proto(message)
    assert caught.value.extra["field"] == field


def noted(**changes):
    return pb.NoteRequest(incarnation="i", notes=[pb.JobNotes(**{"token": TOKEN, **changes})])


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (pb.NoteRequest(notes=[pb.JobNotes(token=TOKEN)]), "incarnation"),
        (pb.NoteRequest(incarnation="i", notes=[pb.JobNotes(token=TOKEN)] * 1001), "notes"),
        (noted(token=pb.Token(lease=1)), "notes[0].token.job_id"),
        (noted(progress=pb.Progress(fraction=1.01)), "notes[0].progress.fraction"),
        (noted(progress=pb.Progress(fraction=math.nan)), "notes[0].progress.fraction"),
        (noted(progress=pb.Progress(at=-1)), "notes[0].progress.at"),
        (noted(progress=pb.Progress(note="ü" * 129)), "notes[0].progress.note"),
        (noted(progress=pb.Progress(note="a\0")), "notes[0].progress.note"),
        (noted(lines=[pb.LogLine(level="loud")]), "notes[0].lines[0].level"),
        (noted(lines=[pb.LogLine(level="info", line="ü" * 2049)]), "notes[0].lines[0].line"),
        (noted(lines=[pb.LogLine(level="info", line="\0")]), "notes[0].lines[0].line"),
        (noted(lines=[pb.LogLine(level="info", at=math.inf)]), "notes[0].lines[0].at"),
        (noted(lines=[pb.LogLine(level="info")] * 1001), "notes[0].lines"),
    ],
)
def test_bad_notes(message, field):
    """Which job's and which line is told."""
    with pytest.raises(InvalidValue) as caught:
        notes.notes_from_proto(message)
    assert caught.value.extra["field"] == field


def claim(**changes):
    sound = {"store_id": "s", "tokens": [TOKEN], "worker_id": "w", "incarnation": "i"}
    return pb.ClaimRequest(**{**sound, **changes})


@pytest.mark.parametrize("field", ["store_id", "worker_id", "incarnation"])
def test_a_claim_without_a_name(field):
    """All of them are required."""
    with pytest.raises(InvalidValue, match=field):
        claims.claims_from_proto(claim(**{field: ""}))


@pytest.mark.parametrize(
    ("tokens", "field"),
    [
        ([], "tokens"),
        ([TOKEN] * 201, "tokens"),
        ([TOKEN, TOKEN, pb.Token(lease=1)], "tokens[2].job_id"),
        ([TOKEN, pb.Token(job_id="j", lease=2**63)], "tokens[1].lease"),
    ],
)
def test_claims_of_no_token_of_too_many_and_of_a_bad_one(tokens, field):
    """Which one is bad is told, so that the others can be claimed without it."""
    with pytest.raises(InvalidValue) as caught:
        claims.claims_from_proto(claim(tokens=tokens))
    assert caught.value.extra["field"] == field


def test_queues_of_claims_are_as_many_as_tokens():
    """Else nobody knows which belongs to which."""
    with pytest.raises(InvalidValue, match="queues must be as many as tokens"):
        claims.claims_from_proto(claim(tokens=[TOKEN, TOKEN], queues=["a"]))


def test_as_many_claims_as_are_allowed():
    """Two hundred."""
    assert len(claims.claims_from_proto(claim(tokens=[TOKEN] * 200))) == 200


@pytest.mark.parametrize(
    "message",
    [
        pb.ClaimAnswer(verdict="perhaps"),
        pb.ClaimAnswer(verdict="granted", lease=2),
        pb.ClaimAnswer(verdict="granted", lease=2, job_json=b"{}"),
        pb.ClaimAnswer(
            verdict="granted",
            lease=2,
            job_json=b'{"id":"j","lease":3,"type":"a","payload":{},"queue":"q","priority":1,'
            b'"attempt":1,"max_attempts":1,"timeout":1}',
        ),
    ],
)
def test_an_answer_that_grants_nothing_sound(message):
    """A worker never runs what it cannot read."""
    with pytest.raises(InvalidValue):
        claims.claim_answers_from_proto(pb.ClaimResponse(answers=[message]))


def test_an_answer_with_an_unknown_verdict():
    """A newer api's verdict is not guessed at."""
    with pytest.raises(InvalidValue, match="verdicts"):
        outcomes.report_answer_from_proto(pb.ReportResponse(verdicts=[77]))
