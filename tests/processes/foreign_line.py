"""The example worker's lines to an api: its calls over gRPC, and the address that is probed."""

from __future__ import annotations

import itertools
import json
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import grpc

sys.path.insert(0, str(Path(__file__).parents[2] / "proto"))
pb, services = grpc.protos_and_services("hermes/v1/control.proto")  # compiled as it is read

WORKER_ID = "foreign-1"
SLOTS = 8
CALL_SECONDS = 5.0
IDLE_SECONDS = 0.2

Token = tuple[str, int]  # job id, lease


def tell(event: str, **fields: Any) -> None:
    """A line for whoever looks on."""
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


class Line:
    """The line to an api (with several, one such each), and the heart that beats on it."""

    def __init__(self, endpoint: str, address: str, incarnation: str) -> None:
        self.worker_id = WORKER_ID
        self.incarnation = incarnation
        self.held: set[Token] = set()
        self.heard_at = time.monotonic()
        self.number = 0  # of the last heartbeat
        self.leaving = threading.Event()
        self.standing: dict[str, Any] = {"paused": False}  # as an operator has ordered
        self.paused_queues: frozenset[str] = frozenset()
        self._order_taken = ""
        self._address = address
        self._api_boot = ""
        self._interval = 0.0
        self._versions = itertools.count(1)
        options = [("grpc.max_reconnect_backoff_ms", 1000)]  # two minutes by default
        self._control = services.ControlStub(grpc.insecure_channel(endpoint, options))

    def ask(self, name: str, request: Any) -> Any:
        """The answer to a call, None where it has an unknown fate and is to be repeated."""
        try:
            answer = getattr(self._control, name)(request, timeout=CALL_SECONDS)
        except grpc.RpcError as error:
            # An api's own word, be it that its store is away, has this in its trailing metadata.
            if "hermes-error" in dict(error.trailing_metadata() or ()):
                self.heard_at = time.monotonic()
            if error.code() is grpc.StatusCode.INVALID_ARGUMENT:
                raise
            return None
        self.heard_at = time.monotonic()
        return answer

    def beat(self) -> None:
        """Register, then heartbeat until the end, in a thread of its own."""
        pause = 0.0
        while not self.leaving.wait(pause):
            pause = (self._heartbeat() if self._api_boot else self._register()) or IDLE_SECONDS

    def view(self) -> Any:
        """No free slot: what it runs it pulls."""
        return pb.SlotView(version=next(self._versions))

    def report(self, outcomes: list[Any]) -> None:
        """Hand over outcomes until each has a final verdict."""
        while outcomes:
            answer = self.ask(
                "Report",
                pb.ReportRequest(
                    incarnation=self.incarnation,
                    api_boot=self._api_boot,
                    view=self.view(),
                    outcomes=outcomes,
                ),
            )
            verdicts = [pb.VERDICT_RETRY] * len(outcomes) if answer is None else answer.verdicts
            again = []
            for outcome, verdict in zip(outcomes, verdicts, strict=True):
                if verdict == pb.VERDICT_RETRY:
                    again.append(outcome)
                else:
                    self.held.discard((outcome.token.job_id, outcome.token.lease))
                    tell("reported", job=outcome.token.job_id, verdict=pb.Verdict.Name(verdict))
            outcomes = again
            if outcomes:
                time.sleep(IDLE_SECONDS)

    def leave(self) -> None:
        """The last word, once nothing is held; an api that does not hear it notices the silence."""
        self.ask("Deregister", pb.DeregisterRequest(incarnation=self.incarnation, reason="done"))
        tell("left")

    def tokens(self) -> list[Any]:
        """All that is held."""
        return [pb.Token(job_id=job_id, lease=lease) for job_id, lease in self.held.copy()]

    def _register(self) -> float:
        answer = self.ask(
            "Register",
            pb.RegisterRequest(
                worker_id=self.worker_id,
                incarnation=self.incarnation,
                address=self._address,
                machine="elsewhere",
                version="1",
                slots=pb.Slots(thread=SLOTS),
                types=[pb.JobType(name="foreign.double", kind="thread")],
                queues=["default"],
                held=self.tokens(),
            ),
        )
        if answer is None:
            return 0.0
        if answer.fenced:
            tell("fenced")  # whoever started this may start it again, as a new incarnation
            self.leaving.set()
            return 0.0
        self._api_boot, self._interval = answer.api_boot, answer.heartbeat_seconds
        self.paused_queues = frozenset(answer.paused_queues)
        tell("registered", store_id=answer.store_id)
        return self._interval

    def _heartbeat(self) -> float:
        self.number += 1  # before `held` is read: a claim names the number after it has added to it
        answer = self.ask(
            "Heartbeat",
            pb.HeartbeatRequest(
                incarnation=self.incarnation,
                api_boot=self._api_boot,
                number=self.number,
                view=self.view(),
                held=self.tokens(),
                order_taken=self._order_taken,
                **self.standing,
            ),
        )
        if answer is None:
            return self._interval  # and what was told of queues counts still
        if answer.register_again or answer.fenced:
            self._api_boot = ""
            return self._interval
        self.paused_queues = frozenset(answer.paused_queues)
        if answer.HasField("order") and answer.order.id != self._order_taken:
            self._obey(answer.order)
            return 0.0  # so that the api hears of it soon
        return self._interval

    def _obey(self, order: Any) -> None:
        self._order_taken = order.id
        if order.kind == "drain":
            self.leaving.set()
        else:
            paused = order.kind == "pause"
            since = {"since_unix": time.time(), "reason": order.reason} if paused else {}
            self.standing = {"paused": paused, **since}
        tell("obeyed", order=order.kind)


def serve_probes(incarnation: str) -> ThreadingHTTPServer:
    """The dispatch address: it lives as long as the process, and answers who that is."""

    class Probe(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            about = {"incarnation": incarnation, "worker_id": WORKER_ID, "draining": False}
            body = json.dumps(about).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Nothing: probes come all the time."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Probe)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server
