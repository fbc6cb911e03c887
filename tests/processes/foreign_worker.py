"""A worker that pulls jobs from RabbitMQ and knows nothing of hermesd but its contract, proto/.

    python foreign_worker.py CONTROL_ENDPOINT AMQP_URL NAMESPACE TTL_SECONDS

It speaks gRPC with grpcio, AMQP with pika, runs the type `foreign.double`, and leaves on SIGTERM.
What it does is told on the standard output, a JSON object a line. It takes no jobs by POST
/dispatch: its views never have a free slot.
"""

from __future__ import annotations

import json
import signal
import sys
import threading
import time
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

import pika
import pika.exceptions

# Found beside this script, as which alone this is run.
from foreign_line import IDLE_SECONDS, SLOTS, Line, Token, pb, serve_probes, tell

BANDS = ("critical", "high", "normal", "background")  # the most urgent first
CONSUMER_TIMEOUT_SECONDS = 1800.0  # RabbitMQ's own: it takes back what is not acknowledged by then


def double(payload: dict[str, int]) -> dict[str, int]:
    """The handler."""
    return {"doubled": payload["n"] * 2}


class Pulling:
    """Rounds of pull, claim, acknowledge, run, report."""

    def __init__(self, line: Line, url: str, namespace: str, ttl_seconds: float) -> None:
        self._line = line
        self._namespace = namespace
        self._ttl_seconds = ttl_seconds
        self._url = url
        self._connect()
        self._pool = ThreadPoolExecutor(SLOTS)

    def run(self) -> None:
        """Until it is told to leave."""
        while not self._line.leaving.is_set():
            stands = self._line.standing["paused"] or "default" in self._line.paused_queues
            messages = [] if stands else self._pull_if_declared()
            for store_id in {message["store_id"] for _, message in messages}:
                self._round(
                    store_id, [each for each in messages if each[1]["store_id"] == store_id]
                )
            if not messages:
                self._connection.process_data_events(time_limit=IDLE_SECONDS)
        self._connection.close()

    def _connect(self) -> None:
        self._connection = pika.BlockingConnection(pika.URLParameters(self._url))
        self._channel = self._connection.channel()
        self._channel.confirm_delivery()  # so that basic_publish raises where it is not confirmed

    def _pull_if_declared(self) -> list[tuple[int, dict[str, Any]]]:
        """What was pulled. An absent queue closes the channel, one in the making the connection."""
        try:
            return self._pull()
        except (
            pika.exceptions.ChannelClosedByBroker,
            pika.exceptions.AMQPConnectionError,
        ) as error:
            tell("connects again", why=repr(error))
            if self._connection.is_open:
                self._connection.close()
            time.sleep(IDLE_SECONDS)
            self._connect()
            return []

    def _pull(self) -> list[tuple[int, dict[str, Any]]]:
        """As many messages as slots are free, with their delivery tags; the highest band first."""
        found: list[tuple[int, dict[str, Any]]] = []
        for band in BANDS:
            while len(found) < SLOTS:
                method, _, body = self._channel.basic_get(f"{self._namespace}.default.{band}")
                if method is None:
                    break
                try:
                    message = json.loads(body)
                    if message["version"] != 1 or message["job"]["type"] != "foreign.double":
                        raise ValueError("not for this worker")
                except (ValueError, KeyError, TypeError):
                    self._channel.basic_reject(method.delivery_tag, requeue=False)
                    tell("rejected")
                else:
                    found.append((method.delivery_tag, message))
        return found

    def _round(self, store_id: str, messages: list[tuple[int, dict[str, Any]]]) -> None:
        line = self._line
        # A heartbeat may overtake the answer to the claim: it must list what that may have granted.
        line.held.update(_claimed(message) for _, message in messages)
        request = pb.ClaimRequest(
            store_id=store_id,
            worker_id=line.worker_id,
            incarnation=line.incarnation,
            heartbeat=line.number,
            tokens=[
                pb.Token(job_id=message["job"]["id"], lease=message["job"]["lease"])
                for _, message in messages
            ],
            queues=[message["job"]["queue"] for _, message in messages],
        )
        while (response := line.ask("Claim", request)) is None:
            if time.monotonic() - line.heard_at > self._ttl_seconds:
                self._run_unclaimed(messages)
                return
            self._connection.process_data_events(time_limit=IDLE_SECONDS)
        tell("claimed", verdicts=[answer.verdict for answer in response.answers])
        # By token: a doubled message is granted twice and must run once.
        granted: dict[Token, dict[str, Any]] = {}
        for (tag, message), answer in zip(messages, response.answers, strict=True):
            if answer.verdict == "granted":
                granted[_claimed(message)] = json.loads(answer.job_json)
            else:
                line.held.discard(_claimed(message))
            if answer.verdict in ("fenced", "paused"):
                self._channel.basic_reject(tag, requeue=True)
            elif answer.verdict in ("unknown", "foreign-store"):
                self._channel.basic_reject(tag, requeue=False)
            else:
                self._channel.basic_ack(tag)
        line.report([outcome for _, outcome in self._run(list(granted.values()), _outcome)])

    def _run_unclaimed(self, messages: list[tuple[int, dict[str, Any]]]) -> None:
        """No api has answered for a TTL: each runs under its message, which is acked in the end."""
        runnable = {}
        for tag, message in messages:
            if message["job"]["timeout"] > CONSUMER_TIMEOUT_SECONDS:
                self._channel.basic_reject(tag, requeue=False)
                self._line.held.discard(_claimed(message))
            elif _claimed(message) in runnable:
                self._channel.basic_ack(tag)
            else:
                runnable[_claimed(message)] = (tag, message)
        jobs = [message["job"] for _, message in runnable.values()]
        for job, ended in self._run(jobs, _message_of_outcome):
            tag, message = runnable[job["id"], job["lease"] + 1]
            body = {
                "version": 1,
                "store_id": message["store_id"],
                "worker_id": self._line.worker_id,
                "incarnation": self._line.incarnation,
                **ended,
            }
            self._channel.basic_publish(
                f"{self._namespace}.jobs",
                "outcomes",
                json.dumps(body).encode(),
                pika.BasicProperties(
                    type="hermes.outcome",
                    delivery_mode=pika.DeliveryMode.Persistent,
                    headers={
                        "hermes-version": 1,
                        "hermes-store-id": message["store_id"],
                        "hermes-job-id": job["id"],
                        "hermes-lease": job["lease"],
                    },
                ),
                mandatory=True,
            )
            self._channel.basic_ack(tag)
            self._line.held.discard(_claimed(message))
            tell("ran unclaimed", job=job["id"])

    def _run(
        self, jobs: list[dict[str, Any]], ended: Callable[[dict[str, Any], float, Any], Any]
    ) -> list[tuple[dict[str, Any], Any]]:
        """Run jobs at the same time; each with what `ended` makes of its result or error."""
        begun = time.time()
        futures = [self._pool.submit(double, job["payload"]) for job in jobs]
        while wait(futures, timeout=0).not_done:
            self._connection.process_data_events(time_limit=0.05)  # AMQP's heartbeats go on
        found = [future.exception() or future.result() for future in futures]
        return [(job, ended(job, begun, each)) for job, each in zip(jobs, found, strict=True)]


def _claimed(message: dict[str, Any]) -> Token:
    """The token that a grant of this message carries."""
    return message["job"]["id"], message["job"]["lease"] + 1


def _outcome(job: dict[str, Any], begun: float, ended: Any) -> Any:
    """As Report carries it."""
    outcome = pb.Outcome(
        token=pb.Token(job_id=job["id"], lease=job["lease"]),
        started_at=begun,
        finished_at=time.time(),
    )
    if isinstance(ended, BaseException):
        outcome.kind = pb.OUTCOME_KIND_FAILED
        outcome.error.CopyFrom(pb.ErrorInfo(kind="error", message=repr(ended)))
    else:
        outcome.kind, outcome.result = pb.OUTCOME_KIND_SUCCEEDED, json.dumps(ended).encode()
    return outcome


def _message_of_outcome(job: dict[str, Any], begun: float, ended: Any) -> dict[str, Any]:
    """As a message to the queue of outcomes carries it."""
    about = {
        "job_id": job["id"],
        "lease": job["lease"],
        "started_at": begun,
        "finished_at": time.time(),
    }
    if isinstance(ended, BaseException):
        return {**about, "kind": "failed", "error": {"kind": "error", "message": repr(ended)}}
    return {**about, "kind": "succeeded", "result": ended}


def main(endpoint: str, url: str, namespace: str, ttl_seconds: str) -> None:
    """Until SIGTERM."""
    incarnation = uuid.uuid4().hex
    server = serve_probes(incarnation)
    line = Line(endpoint, f"127.0.0.1:{server.server_port}", incarnation)
    signal.signal(signal.SIGTERM, lambda *_: line.leaving.set())
    heart = threading.Thread(target=line.beat, daemon=True)
    heart.start()
    Pulling(line, url, namespace, float(ttl_seconds)).run()
    heart.join()
    line.leave()


if __name__ == "__main__":
    main(*sys.argv[1:])
