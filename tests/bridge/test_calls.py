"""Every call of the control line, over a real socket."""

from __future__ import annotations

import msgspec
import pytest
import trio

from hermesd.bridge.grpc_link import open_control_link
from hermesd.core.errors import (
    Broken,
    Conflict,
    InvalidValue,
    QueueFull,
    StoreUnavailable,
    TooLarge,
    Unavailable,
)
from hermesd.core.fleet import Deregistration, Heartbeat, Load, Registration, SlotView
from hermesd.core.job import ErrorInfo, Job, Kind, Token
from hermesd.core.jobtype import JobType, TypeDefaults
from hermesd.core.notes import JobNotes, LogLine, NoteBatch, Progress
from hermesd.core.outcome import Outcome, OutcomeKind
from hermesd.core.records import Claim, ClaimAnswer, ClaimVerdict, Report, Verdict
from hermesd.core.states import State

VIEW = SlotView(version=9, free={"async": 2, "thread": 1, "process": 0}, last_batch=3)


def outcome(job_id, **more):
    return Outcome(token=Token(job_id, 5), kind=OutcomeKind.SUCCEEDED, result=b"null", **more)


async def test_register_arrives_whole_and_its_answer_comes_back(link, service):
    """A registration with types, schemas and held leases reaches the service as it was sent."""
    registration = Registration(
        worker_id="w1",
        incarnation="i1",
        address="127.0.0.1:8082",
        machine="m",
        version="0.1",
        slots={"async": 8, "thread": 2, "process": 1},
        types=(
            JobType(
                name="demo.echo",
                kind=Kind.ASYNC,
                schema={"type": "object"},
                defaults=TypeDefaults(priority=7, timeout=3.5),
                description="echo",
            ),
            JobType(name="*", kind=Kind.PROCESS),
        ),
        queues=("default", "bulk"),
        held=(Token("job-1", 3), Token("job-2", 4)),
        labels={"zone": "a"},
    )
    answer = await link.register(registration)
    assert service.asked == [registration]
    assert (answer.api_name, answer.api_boot, answer.store_id) == ("a1", "boot-1", "store-1")
    assert answer.invalid == (Token("job-1", 3),)


async def test_heartbeat_brings_back_its_orders(link, service):
    """Held leases and the load arrive, cancels and the fence come back."""
    heartbeat = Heartbeat(
        incarnation="i1",
        api_boot="boot-1",
        number=12,
        view=VIEW,
        held=(Token("job-1", 3),),
        load=Load(cpu=0.5, loop_lag_seconds=0.01, rss_bytes=1 << 33, running=1, unreported=2),
        draining=True,
        fenced_batch=6,
    )
    answer = await link.heartbeat(heartbeat)
    assert service.asked == [heartbeat]
    assert (answer.cancels, answer.drain, answer.fence_batch) == ((Token("job-1", 3),), True, 7)


async def test_report_gets_one_verdict_for_each_outcome(link, service):
    """Outcomes of every shape arrive in order."""
    outcomes = (
        outcome("job-1", started_at=1.0, finished_at=2.0),
        Outcome(
            token=Token("job-2", 1),
            kind=OutcomeKind.FAILED,
            error=ErrorInfo(kind="error", message="naïve", traceback="Traceback"),
            delay_seconds=0.0,
        ),
    )
    report = Report(incarnation="i1", api_boot="boot-1", view=VIEW, outcomes=outcomes)
    answer = await link.report(report)
    assert service.asked == [report]
    assert answer.verdicts == (Verdict.RECORDED, Verdict.RECORDED)


async def test_a_lone_surrogate_in_an_error_message_is_escaped(link, service):
    """What Python calls a string and UTF-8 does not can still be reported."""
    failed = Outcome(
        token=Token("job-1", 1),
        kind=OutcomeKind.FAILED,
        error=ErrorInfo(kind="error", message="bad \udc80 byte"),
    )
    await link.report(Report(incarnation="i1", api_boot="b", view=VIEW, outcomes=(failed,)))
    assert service.asked[0].outcomes[0].error.message == "bad \\udc80 byte"


async def test_a_granted_claim_carries_the_job_and_its_new_lease(link, service, claim):
    """The job comes as far as a worker needs it."""
    (answer,) = await link.claim([claim])
    assert service.asked == [(claim,)]
    assert answer.verdict is ClaimVerdict.GRANTED
    assert answer.job is not None
    assert answer.job.token == Token("job-1", 5)
    assert msgspec.json.decode(answer.job.payload) == {"n": 1}


def claims_of(claim: Claim, count: int, **changes: str) -> list[Claim]:
    """Claims of jobs that differ, by the same worker."""
    return [
        msgspec.structs.replace(claim, token=Token(f"job-{number}", number), **changes)
        for number in range(count)
    ]


async def test_claims_of_one_store_are_one_call_and_answered_in_order(link, service, claim):
    """As many as a call may have; none ask nothing."""
    claims = claims_of(claim, 200)
    answers = await link.claim(claims)
    assert service.asked == [tuple(claims)]
    assert [answer.job.token for answer in answers] == [
        Token(each.token.job_id, each.token.lease + 1) for each in claims
    ]
    assert list(await link.claim([])) == []
    assert len(service.asked) == 1


async def test_claims_of_another_store_are_a_call_of_their_own(link, service, claim):
    """Messages of a store that was restored from a backup lie among those of the one before."""
    own, others = claims_of(claim, 2), claims_of(claim, 1, store_id="store-0")
    service.answer_claim = lambda each: ClaimAnswer(
        verdict=ClaimVerdict.FOREIGN_STORE if each in others else ClaimVerdict.STALE
    )
    answers = await link.claim([*own, *others, *own])
    assert service.asked == [tuple(own), tuple(others), tuple(own)]
    assert [answer.verdict for answer in answers] == ["stale"] * 2 + ["foreign-store"] + [
        "stale"
    ] * 2


async def test_more_claims_than_a_call_may_have_are_refused(link, service, claim):
    """The service is not asked at all."""
    with pytest.raises(InvalidValue, match="at most 200"):
        await link.claim(claims_of(claim, 201))
    assert service.asked == []


async def test_jobs_that_do_not_fit_into_one_answer_are_too_large(link, service, claim):
    """They are asked for again in smaller parts: a claim is idempotent."""
    payload = msgspec.Raw(b'"' + b"p" * 6_000_000 + b'"')

    def grant(asked: Claim) -> ClaimAnswer:
        job = Job(
            id=asked.token.job_id, type="demo.echo", payload=payload, state=State.RUNNING, lease=9
        )
        return ClaimAnswer(verdict=ClaimVerdict.GRANTED, job=job)

    service.answer_claim = grant
    claims = claims_of(claim, 3)
    with pytest.raises(TooLarge):
        await link.claim(claims)
    assert [answer.job.id for answer in await link.claim(claims[:2])] == ["job-0", "job-1"]


@pytest.mark.parametrize("wrong", [lambda answers: answers[1:], lambda answers: answers[::-1]])
async def test_answers_to_other_claims_are_not_believed(link, service, claim, wrong):
    """One too few, and two that were exchanged."""
    service.confused = wrong
    with pytest.raises(Unavailable, match=r"answers to 2 claims|another job"):
        await link.claim(claims_of(claim, 2))


NOTES = NoteBatch(
    incarnation="i1",
    notes=(
        JobNotes(
            token=Token("job-1", 5),
            progress=Progress(fraction=0.5, note="größer", at=12.5),
            lines=(LogLine(line="a\tline", level="debug", at=1.25), LogLine(line="", at=2.0)),
            dropped=7,
            repeated=True,
        ),
        JobNotes(token=Token("job-2", 4)),
    ),
)


async def test_notes_arrive_whole_and_each_is_answered(link, service):
    """In order; a job without a progress has none there either."""
    assert list(await link.note(NOTES)) == [True, False]
    assert service.asked == [NOTES]


async def test_too_few_answers_to_notes_are_not_believed(link, service):
    """They may have been taken, or not."""
    service.taken = lambda answers: answers[1:]
    with pytest.raises(Unavailable, match="1 answers to notes of 2 jobs"):
        await link.note(NOTES)


async def test_deregister_is_the_last_word(link, service):
    """A reason goes along."""
    await link.deregister(Deregistration(incarnation="i1", reason="drained"))
    assert service.asked == [Deregistration(incarnation="i1", reason="drained")]


async def test_pokes_are_delivered_and_leaving_tells_the_api(link, service):
    """Each poke is one item, and the service's context ends with the worker's."""
    async with link.pokes("i1") as pokes:
        for _ in range(3):
            await service.poke.send(None)
        for _ in range(3):
            assert await anext(pokes) is None
    with trio.fail_after(60):
        await service.left.wait()


async def test_fifty_claims_run_at_once(link, service):
    """No call waits for another: the service sees all fifty before it answers one."""
    everybody = trio.Event()

    async def wait_for_all() -> None:
        if len(service.asked) == 50:
            everybody.set()
        await everybody.wait()

    service.before = wait_for_all
    granted = []

    async def ask(number: int) -> None:
        token = Token(f"job-{number}", 1)
        claim = Claim(store_id="s", token=token, worker_id="w1", incarnation="i1")
        (answer,) = await link.claim([claim])
        granted.append(answer.job.id)

    with trio.fail_after(30):
        async with trio.open_nursery() as nursery:
            for number in range(50):
                nursery.start_soon(ask, number)
    assert sorted(granted) == sorted(f"job-{number}" for number in range(50))


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (Conflict("no"), Conflict),
        (QueueFull("full", retry_after_seconds=2.5), QueueFull),
        (StoreUnavailable("locked", retry_after_seconds=0.5), StoreUnavailable),
        (TooLarge("huge"), TooLarge),
    ],
)
async def test_an_error_of_the_core_comes_out_as_the_same_error(
    link, service, claim, raised, expected
):
    """Class, reason and retry-after cross the line."""

    async def fail() -> None:
        raise raised

    service.before = fail
    with pytest.raises(expected, match=raised.detail) as caught:
        await link.claim([claim])
    assert type(caught.value) is expected
    wanted = getattr(raised, "retry_after_seconds", None)
    assert getattr(caught.value, "retry_after_seconds", None) == wanted


async def test_any_other_error_is_internal_and_tells_nothing(link, service, claim):
    """A defect of the api shows neither its message nor a traceback."""

    async def fail() -> None:
        raise RuntimeError("secret")

    service.before = fail
    with pytest.raises(Broken) as caught:
        await link.claim([claim])
    assert "secret" not in caught.value.detail


async def test_a_bad_value_is_refused_with_its_field(link, service):
    """The service is not asked at all."""
    nameless = Claim(store_id="", token=Token("job-1", 1), worker_id="w", incarnation="i")
    with pytest.raises(InvalidValue, match="store_id"):
        await link.claim([nameless])
    assert service.asked == []


async def test_what_cannot_be_encoded_is_an_invalid_value(link, claim):
    """A negative lease never leaves the worker."""
    with pytest.raises(InvalidValue, match="cannot be sent"):
        await link.claim([msgspec.structs.replace(claim, token=Token("job-1", -1))])


async def test_a_message_over_the_limit_is_refused_and_the_line_lives_on(
    link, service, claim, max_message_bytes
):
    """The refusal is TooLarge, and the next call on the same connection works."""
    huge = outcome("job-1")
    huge = msgspec.structs.replace(huge, result=b"0" * (max_message_bytes * 40))
    with pytest.raises(TooLarge, match="over the limit"):
        await link.report(Report(incarnation="i1", api_boot="b", view=VIEW, outcomes=(huge,)))
    assert service.asked == []
    await link.claim([claim])
    assert service.asked == [(claim,)]


async def test_a_call_of_a_cancelled_worker_is_carried_through(link, service, claim):
    """The worker's task leaves at once; the service is never cut off in the middle."""
    entered, may_go, done = trio.Event(), trio.Event(), trio.Event()

    async def work() -> None:
        entered.set()
        await may_go.wait()
        done.set()

    service.before = work
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.claim, [claim])
            await entered.wait()
            nursery.cancel_scope.cancel()
        may_go.set()
        await done.wait()
    assert service.cancelled == 0
    service.before = None
    await link.claim([claim])


async def test_a_slow_api_is_unavailable_after_the_time_limit(server, service, claim):
    """The reason names the endpoint and the limit."""
    service.before = trio.sleep_forever
    endpoint = f"127.0.0.1:{server.port}"
    async with open_control_link(endpoint, call_timeout_seconds=0.2) as link:
        with pytest.raises(Unavailable, match=rf"{endpoint}: no answer within 0\.2 s"):
            await link.claim([claim])
