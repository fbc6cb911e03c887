"""`hermesd dlq` where a broker is configured: the api is scripted, the RabbitMQ is real."""

from __future__ import annotations

import itertools
import json
import os
import pty
import signal
import subprocess
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import pytest
import structlog
import trio
from brokers.declaring import declare

from hermesd.bridge.amqp_line import BrokerLine, LineTerms, open_broker_line
from hermesd.bridge.loop import open_bridge
from hermesd.core.amqp_names import NamePatterns, Names
from hermesd.core.broker import Message, PublishFate
from hermesd.queues.topology import topology_of

PATIENCE_SECONDS = 150.0
AnswerT = TypeVar("AnswerT")
_numbers = itertools.count()


@dataclass
class Poisoned:
    """A namespace whose dead-letter queue can be filled, and looked at."""

    url: str
    namespace: str

    @property
    def names(self) -> Names:
        return Names.of(self.namespace, NamePatterns())

    @property
    def env(self) -> dict[str, str]:
        keys = {"kind": "amqp", "url": self.url, "namespace": self.namespace}
        return {f"HERMES_QUEUE__{key.upper()}": value for key, value in keys.items()}

    def kill(self, *job_ids: str, job_type: str = "email") -> None:
        """Dead messages of these jobs: a worker rejected them, and then an api."""
        names = self.names

        async def fill(line: BrokerLine) -> None:
            messages = [self._message(job_id, job_type) for job_id in job_ids]
            fates = await line.publish(messages)
            assert set(fates) == {PublishFate.CONFIRMED}
            for queue in (names.queue_of("default", "high"), names.returned):
                for _ in job_ids:
                    delivery = await arrival(line, queue)
                    await delivery.reject()
            await holds(line, names.dead_letter_queue, len(job_ids), at_least=True)

        self.do(fill)

    def litter(self, body: bytes, **headers: str | int) -> None:
        """A dead message that is nobody's."""

        async def fill(line: BrokerLine) -> None:
            message = Message(
                exchange="", routing_key=self.names.dead_letter_queue, body=body, headers=headers
            )
            assert await line.publish([message]) == [PublishFate.CONFIRMED]

        self.do(fill)

    def bodies(self, queue: str) -> list[str]:
        """The jobs' ids of what a queue holds, in its order; nothing is taken away."""

        async def look(line: BrokerLine) -> list[str]:
            deliveries = []
            while (delivery := await line.get(queue)) is not None:
                deliveries.append(delivery)
            for delivery in deliveries:
                await delivery.requeue()
            await holds(line, queue, len(deliveries))
            return [
                str(delivery.headers.get("hermes-job-id", delivery.body)) for delivery in deliveries
            ]

        return self.do(look)

    def headers(self, queue: str) -> dict[str, object]:
        """Those of the first message of a queue."""

        async def look(line: BrokerLine) -> dict[str, object]:
            delivery = await arrival(line, queue)
            await delivery.requeue()
            await holds(line, queue, 1, at_least=True)
            return dict(delivery.headers)

        return self.do(look)

    def do(self, work: Callable[[BrokerLine], Awaitable[AnswerT]]) -> AnswerT:
        """Run `work` with a line that serves."""

        async def run() -> AnswerT:
            terms = LineTerms(call_timeout_seconds=PATIENCE_SECONDS)
            async with (
                open_bridge(),
                open_broker_line(self.url, terms, log=structlog.get_logger()) as line,
            ):
                with trio.fail_after(PATIENCE_SECONDS):
                    while not line.status.serving:
                        await line.changed()
                    return await work(line)

        return trio.run(run)

    def _message(self, job_id: str, job_type: str) -> Message:
        job = {"id": job_id, "lease": 4, "type": job_type, "payload": {"to": "ada"}}
        job |= {"queue": "default", "priority": 7, "attempt": 1, "max_attempts": 3, "timeout": 9.0}
        body = {"version": 1, "store_id": "s", "enqueued_at": 1.0, "job": job}
        return Message(
            exchange=self.names.exchange,
            routing_key="default.high",
            body=json.dumps(body).encode(),
            headers={
                "hermes-version": 1,
                "hermes-store-id": "s",
                "hermes-job-id": job_id,
                "hermes-lease": 4,
                "hermes-type": job_type,
                "hermes-queue": "default",
                "hermes-priority": 7,
            },
            message_id=f"{job_id}.4",
            type="hermes.job",
        )


async def arrival(line: BrokerLine, queue: str) -> Any:
    """The next message of a queue, when there is one."""
    with trio.fail_after(PATIENCE_SECONDS):
        while (delivery := await line.get(queue)) is None:
            await trio.lowlevel.checkpoint()
    return delivery


async def holds(line: BrokerLine, queue: str, count: int, *, at_least: bool = False) -> None:
    """Wait until so many messages are ready in a queue."""
    with trio.fail_after(PATIENCE_SECONDS):
        while True:
            facts = await line.depth(queue)
            assert facts is not None
            if facts.messages == count or (at_least and facts.messages > count):
                return


@pytest.fixture
def poisoned(rabbitmq: Any) -> Poisoned:
    """A namespace of this test's own."""
    made = Poisoned(rabbitmq.url(), f"dlq{os.getpid()}-{next(_numbers)}")
    made.do(lambda line: declare(line, topology_of(made.names, ["default"])))
    return made


@pytest.fixture
def dlq(
    command: Callable[..., subprocess.Popen[str]], poisoned: Poisoned
) -> Callable[..., tuple[int, str, str]]:
    """Runs `hermesd dlq` as a process: its code, stdout and stderr."""

    def dlq(*args: str, **options: Any) -> tuple[int, str, str]:
        env = {**poisoned.env, **options.pop("env", {})}
        process = command("dlq", *args, env=env, **options)
        stdout, stderr = process.communicate(timeout=120)
        return process.returncode, stdout, stderr

    return dlq


def rows(stdout: str) -> list[list[str]]:
    """Of a table for a pipe, without the heading."""
    return [line.split("\t") for line in stdout.splitlines()[1:]]


def test_dead_messages_are_listed_beside_dead_jobs(
    dlq: Any, api: Any, job: Any, poisoned: Poisoned
) -> None:
    """With the way that they took, and looking takes nothing away."""
    poisoned.kill("j7")
    error = {"kind": "timeout", "message": "took too long"}
    for _ in range(2):
        api.json({"jobs": [job("j1", state="failed", error=error)], "next_cursor": None})
        code, stdout, stderr = dlq("list")
        assert (code, stderr) == (0, "")
        heading = stdout.splitlines()[0].split("\t")
        assert heading == ["WHERE", "ID", "TYPE", "QUEUE", "RUN", "FAILED", "ERROR"]
        of_store, of_broker = rows(stdout)
        assert of_store[:2] == ["store", "j1"]
        assert of_broker[:5] == ["broker", "j7.4", "email", "default", ""]
        ns = poisoned.namespace
        assert of_broker[6] == f"rejected in {ns}.returned, after rejected in {ns}.default.high"
    assert poisoned.bodies(poisoned.names.dead_letter_queue) == ["j7"]


def test_the_list_as_json_has_both(dlq: Any, api: Any, job: Any, poisoned: Poisoned) -> None:
    """Filters of jobs alone leave the messages out."""
    poisoned.kill("a", "b", "c")
    api.json({"jobs": [job("j1", state="failed")], "next_cursor": None})
    told = json.loads(dlq("list", "--json", "--limit", "2")[1])
    assert [each["id"] for each in told["jobs"]] == ["j1"]
    assert [(each["id"], each["where"]) for each in told["messages"]] == [
        ("a.4", "broker"),
        ("b.4", "broker"),
    ]
    assert not told["messages_complete"]
    assert told["messages"][0]["routing_key"] == "default.high"
    assert told["messages"][0]["died_at"]
    api.json({"jobs": [], "next_cursor": None})
    assert "messages" not in json.loads(dlq("list", "--json", "--error-kind", "timeout")[1])
    told = json.loads(dlq("list", "--json", "--where", "broker", "--type", "other")[1])
    assert (told["jobs"], told["messages"]) == ([], [])


def test_a_requeued_message_is_as_it_was_published(dlq: Any, api: Any, poisoned: Poisoned) -> None:
    """Under its first routing key, without the marks of its death; the others stay."""
    poisoned.kill("a", "b", "c")
    names = poisoned.names
    code, stdout, stderr = dlq("requeue", "b", "--where", "broker")
    assert (code, stdout, stderr) == (0, "1 message of the broker requeued\n", "")
    assert poisoned.bodies(names.queue_of("default", "high")) == ["b"]
    assert sorted(poisoned.bodies(names.dead_letter_queue)) == ["a", "c"]
    headers = poisoned.headers(names.queue_of("default", "high"))
    assert headers["hermes-lease"] == 4
    assert not [name for name in headers if name.startswith("x-death")]
    assert api.requests == []


def test_one_order_goes_to_both(dlq: Any, api: Any, poisoned: Poisoned) -> None:
    """The store's jobs by the api, and as many messages as were counted."""
    poisoned.kill("a", "b")
    api.json({"matched": 2, "requeued": 2})
    code, stdout, _ = dlq("requeue", "--all", "--json")
    assert code == 0
    assert json.loads(stdout) == {
        "matched": 2,
        "requeued": 2,
        "broker": {"matched": 2, "requeued": 2, "kept": {}, "complete": True},
    }
    assert api.requests[0].json == {"all": True}
    assert poisoned.bodies(poisoned.names.dead_letter_queue) == []
    assert poisoned.bodies(poisoned.names.queue_of("default", "high")) == ["a", "b"]


def test_a_dry_run_only_counts_in_both(dlq: Any, api: Any, poisoned: Poisoned) -> None:
    """By a filter that fits messages too, and by one that does not."""
    poisoned.kill("a", "b")
    poisoned.kill("c", job_type="sms")
    api.json({"matched": 1})
    code, stdout, _ = dlq("purge", "--type", "email", "--dry-run")
    assert (code, stdout.splitlines()) == (
        0,
        ["1 job would be deleted", "2 messages of the broker would be deleted"],
    )
    api.json({"matched": 1})
    assert "0 messages" in dlq("purge", "--error-kind", "timeout", "--dry-run")[1]
    assert poisoned.bodies(poisoned.names.dead_letter_queue) == ["a", "b", "c"]


def test_a_purge_drops_what_was_chosen(dlq: Any, poisoned: Poisoned) -> None:
    """A message by its own id, and then all of them."""
    poisoned.kill("a", "b", "c")
    poisoned.litter(b"\xff no job")
    code, stdout, _ = dlq("purge", "b.4", "--where", "broker", "--json")
    assert (code, json.loads(stdout)["broker"]["purged"]) == (0, 1)
    dead = poisoned.names.dead_letter_queue
    assert sorted(poisoned.bodies(dead))[:2] == ["a", "b'\\xff no job'"]
    assert dlq("purge", "--all", "--where", "broker")[1] == "3 messages of the broker deleted\n"
    assert poisoned.bodies(dead) == []


def test_what_cannot_go_back_stays(dlq: Any, poisoned: Poisoned) -> None:
    """Nobody's message, and one whose queue is gone: told by id with the reason, exit code 1."""
    poisoned.litter(b"no job")
    poisoned.litter(b"{}", **{"hermes-queue": "gone", "hermes-priority": 7})
    poisoned.kill("a")
    names = poisoned.names
    code, stdout, stderr = dlq("requeue", "--all", "--where", "broker")
    assert (code, stdout) == (1, "1 message of the broker requeued\n")
    nobodys, homeless = stderr.splitlines()
    assert nobodys.startswith("hermesd: body-")
    assert nobodys.endswith("it does not tell where it was published to")
    assert homeless.endswith("no queue takes gone.high")
    assert poisoned.bodies(names.queue_of("default", "high")) == ["a"]
    assert len(poisoned.bodies(names.dead_letter_queue)) == 2


def test_one_message_is_shown_whole(dlq: Any, api: Any, job: Any, poisoned: Poisoned) -> None:
    """With its job where the store has it, and with what is wrong with it."""
    poisoned.kill("a")
    api.problem(404, "not-found", "no such job")
    code, stdout, stderr = dlq("show", "a")
    assert (code, stderr) == (0, "")
    shown = dict(line.split("\t", 1) for line in stdout.splitlines())
    assert (shown["where"], shown["id"], shown["lease"]) == ("broker", "a.4", "4")
    assert shown["routing key"] == "default.high"
    assert json.loads(shown["body"])["job"]["payload"] == {"to": "ada"}
    poisoned.litter(b"no job")
    listed = json.loads(dlq("list", "--where", "broker", "--json")[1])["messages"]
    api.json({"job": job("a", state="failed")})
    told = json.loads(dlq("show", "a", "--json")[1])
    assert (told["job"]["id"], told["messages"][0]["message"]["id"]) == ("a", "a.4")
    code, stdout, _ = dlq("show", listed[1]["id"], "--where", "broker")
    assert code == 0
    assert "no hermes.job" in stdout
    api.problem(404, "not-found", "no such job")
    assert dlq("show", "other")[0] == 1


@pytest.mark.parametrize(("answer", "left"), [(b"y\n", 0), (b"n\n", 2)])
def test_on_a_terminal_a_requeue_asks_too(
    dlq: Any, api: Any, poisoned: Poisoned, answer: bytes, left: int
) -> None:
    """Where there are messages of the broker; a no changes nothing anywhere."""
    poisoned.kill("a", "b")
    api.json({"matched": 3})
    if not left:
        api.json({"matched": 3, "requeued": 3})
    terminal, stdin = pty.openpty()
    os.write(terminal, answer)
    code, _, stderr = dlq("requeue", "--all", stdin=stdin)
    os.close(stdin)
    os.close(terminal)
    assert "Requeue 3 jobs and 2 messages of the broker?" in stderr
    assert code == (1 if left else 0)
    assert len(poisoned.bodies(poisoned.names.dead_letter_queue)) == left


def test_a_broker_that_is_away_is_told_after_the_jobs(
    dlq: Any, api: Any, job: Any, unused_port: int
) -> None:
    """A list shows what is known; nothing is requeued in the store either."""
    env = {"HERMES_QUEUE__URL": f"amqp://127.0.0.1:{unused_port}"}
    api.json({"jobs": [job("j1", state="failed")], "next_cursor": None})
    code, stdout, stderr = dlq("list", env=env)
    assert code == 69
    assert "j1" in stdout
    assert stderr == f"hermesd: 127.0.0.1:{unused_port}: connection refused\n"
    assert dlq("requeue", "--all", env=env)[0] == 69
    assert len(api.requests) == 1


def test_interrupted_half_way_nothing_is_lost(
    command: Any, poisoned: Poisoned, rabbitmq: Any
) -> None:
    """kill -9 in the midst of a requeue: each message is in one queue or in both."""
    ids = [f"j{number:04}" for number in range(600)]
    poisoned.kill(*ids)
    names = poisoned.names
    process = command("dlq", "requeue", "--all", "--where", "broker", env=poisoned.env)

    async def some_have_moved(line: BrokerLine) -> None:
        await holds(line, names.queue_of("default", "high"), 1, at_least=True)

    poisoned.do(some_have_moved)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=PATIENCE_SECONDS)
    moved = poisoned.bodies(names.queue_of("default", "high"))

    async def all_are_back(line: BrokerLine) -> None:
        await holds(line, names.dead_letter_queue, len(ids) - len(moved), at_least=True)

    poisoned.do(all_are_back)
    left = poisoned.bodies(names.dead_letter_queue)
    assert moved
    assert set(moved) | set(left) == set(ids)


def test_without_a_broker_there_is_the_store_alone(run: Any, api: Any, job: Any) -> None:
    """As ever; and to ask for the broker is a fault of the configuration."""
    api.json({"jobs": [job("j1", state="failed")], "next_cursor": None})
    assert run("dlq", "list").stdout.startswith("ID\t")
    api.json({"job": job("j1", state="failed")})
    assert run("dlq", "show", "j1").stdout.startswith("id\tj1\n")
    assert run("dlq", "list", "--where", "broker").exit_code == 78


def test_where_the_url_tells_the_api_no_configuration_is_needed(
    run: Any, api: Any, job: Any
) -> None:
    """One that cannot be read is told, and the store is all there is."""
    api.json({"jobs": [job("j1", state="failed")], "next_cursor": None})
    result = run("-c", "/no/such/file.toml", "dlq", "list")
    assert (result.exit_code, result.stdout.startswith("ID\t")) == (0, True)
    assert result.stderr.startswith("the store alone: /no/such/file.toml")
    assert run("-c", "/no/such/file.toml", "dlq", "list", "--where", "broker").exit_code == 78
