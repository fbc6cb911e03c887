"""Reports on a stream that stays open: what it saves, and what ends it."""

from __future__ import annotations

import pytest
import trio

from hermesd.bridge.grpc_link import open_control_link
from hermesd.core.errors import Broken, InvalidValue, StoreUnavailable, TooLarge, Unavailable
from hermesd.core.fleet import SlotView
from hermesd.core.job import Token
from hermesd.core.outcome import Outcome, OutcomeKind
from hermesd.core.records import Report, Verdict

VIEW = SlotView(version=9, free={"async": 2, "thread": 1, "process": 0}, last_batch=3)


def report_of(count: int = 1, size: int = 4) -> Report:
    """A report of so many outcomes, with results of so many bytes."""
    outcomes = tuple(
        Outcome(token=Token(f"job-{n}", 1), kind=OutcomeKind.SUCCEEDED, result=b"1" * size)
        for n in range(count)
    )
    return Report(incarnation="i1", api_boot="b", view=VIEW, outcomes=outcomes)


def streams_of(link) -> int:
    """How many streams the link's connection has begun; two streams differ by two numbers."""
    return link._channel.connected().http2.highest_outbound_stream_id // 2 + 1


async def test_reports_share_one_stream(link, service):
    """Each has its own answer."""
    for count in (1, 3, 2):
        answer = await link.report(report_of(count))
        assert answer.verdicts == (Verdict.RECORDED,) * count
    assert streams_of(link) == 1
    assert [len(report.outcomes) for report in service.asked] == [1, 3, 2]


async def test_a_report_beside_another_is_a_call_of_its_own(link, service):
    """Nobody waits for the answer to another."""
    both = trio.Event()

    async def wait_for_both() -> None:
        if len(service.asked) == 2:
            both.set()
        await both.wait()

    service.before = wait_for_both
    with trio.fail_after(60):
        async with trio.open_nursery() as nursery:
            nursery.start_soon(link.report, report_of())
            nursery.start_soon(link.report, report_of())
    assert streams_of(link) == 2


async def test_more_than_the_windows_hold_goes_through(link, service):
    """What was read is acknowledged, be the messages small or large."""
    with trio.fail_after(120):
        for size in [12_000] * 400 + [200_000] * 20 + [10] * 3:
            await link.report(report_of(size=size))
    assert sum(len(each.outcomes[0].result) for each in service.asked) > 2 * 4 * 1024 * 1024
    assert streams_of(link) == 1


@pytest.mark.parametrize(
    ("raised", "expected"),
    [
        (StoreUnavailable("locked", retry_after_seconds=0.5), StoreUnavailable),
        (TooLarge("huge"), TooLarge),
        (InvalidValue("no"), InvalidValue),
        (RuntimeError("secret"), Broken),
    ],
)
@pytest.mark.parametrize("before", [0, 1])
async def test_a_refused_report_ends_the_stream_and_the_next_one_opens_another(
    link, service, raised, expected, before
):
    """The error is the same one, be it the first answer of the stream or a later one."""

    async def fail() -> None:
        service.before = None
        raise raised

    for _ in range(before):
        await link.report(report_of())
    service.before = fail
    with pytest.raises(expected) as caught:
        await link.report(report_of())
    assert type(caught.value) is expected
    for _ in range(2):
        assert (await link.report(report_of(2))).verdicts == (Verdict.RECORDED,) * 2
    assert streams_of(link) == 2


async def test_a_report_over_the_limit_is_too_large(link, service, max_message_bytes):
    """In the middle of a stream too, and the line lives on."""
    await link.report(report_of())
    with pytest.raises(TooLarge, match="over the limit"):
        await link.report(report_of(size=max_message_bytes * 40))
    await link.report(report_of())
    assert len(service.asked) == 2


async def test_a_report_without_an_answer_is_given_up_and_the_late_answer_is_nobodys(
    server, service
):
    """The api carries it through; the next report gets its own answer."""
    may_go, done = trio.Event(), trio.Event()

    async def wait() -> None:
        service.before = None
        await may_go.wait()
        done.set()

    async with open_control_link(f"127.0.0.1:{server.port}", call_timeout_seconds=0.5) as link:
        await link.report(report_of())
        service.before = wait
        with pytest.raises(Unavailable, match=r"no answer within 0\.5 s"):
            await link.report(report_of(3))
        may_go.set()
        await done.wait()
        assert (await link.report(report_of(2))).verdicts == (Verdict.RECORDED,) * 2
    assert service.cancelled == 0


async def test_an_idle_stream_keeps_no_server_and_is_opened_again(serve):
    """The server leaves at once, though it would wait for a call; the link finds the next one."""
    closing, closed = trio.Event(), trio.Event()

    async def first_life(task_status: trio.TaskStatus[int]) -> None:
        async with serve(drain_seconds=600) as bound:
            task_status.started(bound.port)
            await closing.wait()
        closed.set()

    async with trio.open_nursery() as nursery:
        port = await nursery.start(first_life)
        async with open_control_link(f"127.0.0.1:{port}", call_timeout_seconds=20) as link:
            await link.report(report_of())
            closing.set()
            with trio.fail_after(60):
                await closed.wait()
            with pytest.raises(Unavailable):
                await link.report(report_of())
            async with serve(port):
                assert (await link.report(report_of())).verdicts == (Verdict.RECORDED,)


async def test_a_report_under_way_is_answered_before_the_server_leaves(serve, service):
    """And no other is taken."""
    entered, may_go = trio.Event(), trio.Event()
    answers = []

    async def wait() -> None:
        entered.set()
        await may_go.wait()

    async with trio.open_nursery() as nursery, serve(drain_seconds=60) as bound:

        async def ask() -> None:
            endpoint = f"127.0.0.1:{bound.port}"
            async with open_control_link(endpoint, call_timeout_seconds=20) as link:
                await link.report(report_of())
                service.before = wait
                answers.append(await link.report(report_of(2)))
                with pytest.raises(Unavailable):
                    await link.report(report_of(3))

        nursery.start_soon(ask)
        await entered.wait()
        may_go.set()
    assert [len(answer.verdicts) for answer in answers] == [2]
    assert len(service.asked) == 2
