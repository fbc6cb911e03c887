"""A worker's dispatch port whose words are a test's: real sockets, no handlers."""

from __future__ import annotations

import socket
from collections.abc import Awaitable, Callable, Iterable, Mapping
from typing import Any

import msgspec
import structlog
import trio

from agents.world import TYPES, Api, until
from hermesd.core.fleet import (
    Acceptance,
    DispatchAnswer,
    DispatchBatch,
    Heartbeat,
    HeartbeatAnswer,
    ProbeAnswer,
    Registration,
    SlotView,
)
from hermesd.core.job import Token
from hermesd.core.outcome import Outcome, OutcomeKind
from hermesd.core.records import Report, ReportAnswer
from hermesd.http.limits import HttpLimits
from hermesd.http.server import adopt_listeners, serve

Reply = DispatchAnswer | ProbeAnswer | int  # a number: that status, with an empty body
Script = Callable[[DispatchBatch], Awaitable[Reply]]


class ScriptedWorker:
    """Accepts what fits its slots, unless a `script` says what it does with the next batch."""

    def __init__(self, name: str = "w1", *, slots: Mapping[str, int] | None = None) -> None:
        self.worker_id = name
        self.incarnation = f"{name}.1"
        self.address = ""
        self.slots = dict(slots or {"async": 4, "thread": 2, "process": 0})
        self.types = TYPES
        self.queues: tuple[str, ...] = ("default",)
        self.pulls: bool | None = None
        self.held: dict[Token, str] = {}
        self.batches: list[DispatchBatch] = []
        self.probes = 0
        self.scripts: list[Script] = []
        self.number = 0
        self.last_batch = 0
        self.fence = 0
        self.boot = "boot-1"
        self._version = 0
        self._scope: trio.CancelScope | None = None

    async def open(self, nursery: trio.Nursery) -> None:
        """Serve the dispatch port, which is nobody else's until the nursery is cancelled."""
        held = socket.socket()
        held.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        held.bind(("127.0.0.1", 0))
        self.address = f"127.0.0.1:{held.getsockname()[1]}"
        await nursery.start(self._serve, held)

    def close(self) -> None:
        """Nothing listens from here on."""
        assert self._scope is not None
        self._scope.cancel()

    def free(self) -> dict[str, int]:
        """Free slots by kind."""
        kinds = list(self.held.values())
        return {kind: total - kinds.count(kind) for kind, total in self.slots.items()}

    def view(self) -> SlotView:
        """The next view."""
        self._version += 1
        return SlotView(version=self._version, free=self.free(), last_batch=self.last_batch)

    def registration(self) -> Registration:
        """How it presents itself."""
        return Registration(
            worker_id=self.worker_id,
            incarnation=self.incarnation,
            address=self.address,
            machine="m",
            version="0",
            slots=self.slots,
            types=self.types,
            queues=self.queues,
            held=tuple(self.held),
            pulls=self.pulls,
        )

    async def join(self, api: Api) -> None:
        """Register, heartbeat, and wait to be routable."""
        self.boot = api.state.boot
        answer = await api.agents.control.register(self.registration())
        assert not answer.fenced
        await self.beat(api)
        await until(lambda: api.view(self.incarnation).routable, "the worker to be routable")

    def keep_beating(self, api: Api) -> None:
        """Heartbeat from now on as a worker does."""
        api.nursery.start_soon(self._beats, api)

    async def beat(self, api: Api, **members: Any) -> HeartbeatAnswer:
        """One heartbeat, obeyed as to fences."""
        self.number += 1
        heartbeat = Heartbeat(
            incarnation=self.incarnation,
            api_boot=self.boot,
            number=self.number,
            view=self.view(),
            held=tuple(self.held),
            fenced_batch=self.fence,
        )
        answer = await api.agents.control.heartbeat(msgspec.structs.replace(heartbeat, **members))
        self.fence = max(self.fence, answer.fence_batch)
        return answer

    async def report(self, api: Api, *outcomes: Outcome) -> ReportAnswer:
        """The handlers have ended, and their outcomes are reported."""
        for outcome in outcomes:
            self.held.pop(outcome.token, None)
        report = Report(
            incarnation=self.incarnation, api_boot=self.boot, view=self.view(), outcomes=outcomes
        )
        return await api.agents.control.report(report)

    def outcome(self, token: Token, kind: OutcomeKind = OutcomeKind.SUCCEEDED) -> Outcome:
        """What became of a job."""
        return Outcome(token=token, kind=kind, started_at=1.0, finished_at=2.0)

    def take(self, batch: DispatchBatch) -> DispatchAnswer:
        """The ordinary answer: what fits is accepted."""
        words = []
        kinds = {known.name: str(known.kind) for known in self.types}
        for item in batch.jobs:
            kind = kinds.get(item.type)
            if kind is None:
                words.append(Acceptance.UNKNOWN_TYPE)
            elif self.free()[kind] <= 0:
                words.append(Acceptance.FULL)
            else:
                self.held[item.token] = kind
                words.append(Acceptance.ACCEPTED)
        return self.answer(batch, words)

    def answer(self, batch: DispatchBatch, words: Iterable[Acceptance]) -> DispatchAnswer:
        """An answer with these words."""
        self.last_batch = batch.number
        return DispatchAnswer(
            incarnation=self.incarnation,
            number=batch.number,
            heartbeat=self.number,
            view=self.view(),
            items=tuple(words),
        )

    def who(self, incarnation: str = "") -> ProbeAnswer:
        """Who answers here."""
        return ProbeAnswer(incarnation=incarnation or self.incarnation, worker_id=self.worker_id)

    async def hang(self, batch: DispatchBatch) -> Reply:
        """A script: the batch arrives and is never answered."""
        await trio.sleep_forever()
        raise AssertionError

    async def take_and_hang(self, batch: DispatchBatch) -> Reply:
        """A script: the batch is taken, and the answer lost."""
        self.take(batch)
        return await self.hang(batch)

    async def _beats(self, api: Api) -> None:
        while True:
            await trio.sleep(5)
            await self.beat(api)

    async def _serve(
        self, held: socket.socket, task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED
    ) -> None:
        with held:
            listening = socket.socket()
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
            listening.bind(held.getsockname())
            listening.listen()
            with trio.CancelScope() as self._scope:
                await serve(
                    self._app,
                    adopt_listeners([listening]),
                    HttpLimits,
                    stopping=trio.Event(),
                    drain_seconds=lambda: 0,
                    log=structlog.get_logger(),
                    task_status=task_status,
                )
            # Another test's worker on this port would answer the probes that are to be refused.
            await trio.sleep_forever()

    async def _app(self, scope: Any, receive: Any, send: Any) -> None:
        body = b""
        while True:
            message = await receive()
            body += message.get("body", b"")
            if not message.get("more_body"):
                break
        if scope["path"] == "/probe":
            self.probes += 1
            reply: Reply = self.who()
            status = 200
        else:
            batch = msgspec.json.decode(body, type=DispatchBatch)
            self.batches.append(batch)
            reply = await (self.scripts.pop(0)(batch) if self.scripts else self._ordinary(batch))
            status = 200 if isinstance(reply, DispatchAnswer) else 409
        content = b"{}"
        if isinstance(reply, int):
            status = reply
        else:
            content = msgspec.json.encode(reply)
        length = [(b"content-length", str(len(content)).encode())]
        await send({"type": "http.response.start", "status": status, "headers": length})
        await send({"type": "http.response.body", "body": content})

    async def _ordinary(self, batch: DispatchBatch) -> Reply:
        if batch.number <= max(self.last_batch, self.fence):
            return self.who()
        return self.take(batch)
