"""Dialogues with apis and workers that are not of this release, or not ours."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from queue import SimpleQueue

import grpc
import pytest
import trio
from grpclib.const import Cardinality, Handler
from grpclib.server import Server, Stream
from trio_asyncio import aio_as_trio

from hermesd.bridge.grpc_link import open_control_link
from hermesd.core.fleet import Registration, SlotView
from hermesd.core.job import Token
from hermesd.core.outcome import Outcome, OutcomeKind
from hermesd.core.records import Report, Verdict
from hermesd.wire.gen.hermes.v1 import control_pb2 as pb
from hermesd.wire.outcomes import report_to_proto

VIEW = SlotView(version=9, free={"async": 2, "thread": 1, "process": 0}, last_batch=3)
REPORTS = "/hermes.v1.Control/Reports"


def report_of(count: int = 1) -> Report:
    """A report of so many outcomes."""
    outcomes = tuple(
        Outcome(token=Token(f"job-{n}", 1), kind=OutcomeKind.SUCCEEDED) for n in range(count)
    )
    return Report(incarnation="i1", api_boot="b", view=VIEW, outcomes=outcomes)


async def test_an_api_before_this_call_gets_unary_reports(bridge):
    """A refused stream costs one try in each registration; here the api is updated in between."""
    asked: list[str] = []
    with foreign_api(asked, dialogue=False) as (port, methods):
        async with open_control_link(f"127.0.0.1:{port}", call_timeout_seconds=20) as link:
            for _ in range(2):
                assert (await link.report(report_of(2))).verdicts == (Verdict.RECORDED,) * 2
            assert asked == ["Report", "Report"]
            methods["dialogue"] = True
            await link.register(registration())
            for _ in range(2):
                assert (await link.report(report_of(2))).verdicts == (Verdict.RECORDED,) * 2
    assert asked == ["Report", "Report", "Register", "Reports", "Reports"]


async def test_an_api_that_is_served_by_grpclib_and_lacks_this_call_gets_unary_reports(bridge):
    """Such were the earlier ones of ours: they refuse an unknown call without a content-type."""
    asked: list[int] = []

    async def report(stream: Stream[pb.ReportRequest, pb.ReportResponse]) -> None:
        request = await stream.recv_message()
        asked.append(len(request.outcomes))
        await stream.send_message(pb.ReportResponse(verdicts=[pb.VERDICT_RECORDED] * asked[-1]))

    class Earlier:
        def __mapping__(self) -> dict[str, Handler]:
            kinds = (Cardinality.UNARY_UNARY, pb.ReportRequest, pb.ReportResponse)
            return {"/hermes.v1.Control/Report": Handler(report, *kinds)}

    async def start() -> Server:
        server = Server([Earlier()])
        await server.start("127.0.0.1", 0)
        return server

    async def stop() -> None:
        server.close()
        await server.wait_closed()

    server = await aio_as_trio(start)()
    port = server._server.sockets[0].getsockname()[1]
    try:
        async with open_control_link(f"127.0.0.1:{port}", call_timeout_seconds=20) as link:
            for count in (2, 3):
                answer = await link.report(report_of(count))
                assert answer.verdicts == (Verdict.RECORDED,) * count
    finally:
        await aio_as_trio(stop)()
    assert asked == [2, 3]


async def test_the_c_implementation_of_grpc_holds_a_dialogue(server, service):
    """Each message is answered, and the end of the questions is the end of the answers."""

    def talk(channel: grpc.Channel) -> list[int]:
        questions: SimpleQueue[bytes | None] = SimpleQueue()
        answers = channel.stream_stream(
            REPORTS, response_deserializer=pb.ReportResponse.FromString
        )(iter(questions.get, None), timeout=30)
        counts = []
        for count in (1, 3, 2):
            questions.put(report_to_proto(report_of(count)).SerializeToString())
            counts.append(len(next(answers).verdicts))
        questions.put(None)
        assert list(answers) == []
        assert answers.code() is grpc.StatusCode.OK
        return counts

    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        assert await trio.to_thread.run_sync(talk, channel) == [1, 3, 2]
        nothing = channel.stream_stream(REPORTS)
        answers = await trio.to_thread.run_sync(lambda: list(nothing(iter(()), timeout=30)))
    assert answers == []
    assert len(service.asked) == 3


async def test_a_message_before_the_answer_to_the_last_is_refused(server, service):
    """What waits in the api is bounded; what was begun is carried through."""
    entered, may_go = trio.Event(), trio.Event()

    async def wait() -> None:
        entered.set()
        await may_go.wait()

    service.before = wait
    message = report_to_proto(report_of()).SerializeToString()
    with grpc.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        answers = channel.stream_stream(REPORTS)(iter([message, message]), timeout=30)
        with pytest.raises(grpc.RpcError) as caught:
            await trio.to_thread.run_sync(lambda: list(answers))
    assert caught.value.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "before the answer" in caught.value.details()
    with trio.fail_after(60):
        await entered.wait()
    may_go.set()
    assert len(service.asked) == 1
    assert service.cancelled == 0


def registration() -> Registration:
    return Registration(
        worker_id="w1",
        incarnation="i1",
        address="127.0.0.1:8082",
        machine="m",
        version="1",
        slots={"async": 1},
        types=(),
        queues=("default",),
        held=(),
    )


@contextmanager
def foreign_api(asked: list[str], *, dialogue: bool) -> Iterator[tuple[int, dict[str, bool]]]:
    """Another implementation of gRPC that notes which call it gets; its port, and what it has."""
    has = {"dialogue": dialogue}

    def answer(name: str, request: pb.ReportRequest) -> pb.ReportResponse:
        asked.append(name)
        return pb.ReportResponse(verdicts=[pb.VERDICT_RECORDED] * len(request.outcomes))

    def register(request: pb.RegisterRequest, _: object) -> pb.RegisterResponse:
        asked.append("Register")
        return pb.RegisterResponse(api_name="a1", api_boot="b", store_id="s", heartbeat_seconds=5)

    def method(kind, call, request, reply):
        return kind(
            call,
            request_deserializer=request.FromString,
            response_serializer=reply.SerializeToString,
        )

    report = (pb.ReportRequest, pb.ReportResponse)
    methods = {
        "Register": method(
            grpc.unary_unary_rpc_method_handler, register, pb.RegisterRequest, pb.RegisterResponse
        ),
        "Report": method(
            grpc.unary_unary_rpc_method_handler, lambda each, _: answer("Report", each), *report
        ),
        "Reports": method(
            grpc.stream_stream_rpc_method_handler,
            lambda requests, _: (answer("Reports", each) for each in requests),
            *report,
        ),
    }

    class Methods(grpc.GenericRpcHandler):
        def service(self, details):
            name = details.method.rpartition("/")[2]
            return methods[name] if has["dialogue"] or name != "Reports" else None

    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool, handlers=[Methods()])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        try:
            yield port, has
        finally:
            server.stop(None).wait()
