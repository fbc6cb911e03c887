"""Messages go there and back, and what is none is refused with its place."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path
from typing import Any

import jsonschema_rs
import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from hermesd.core.errors import TooLarge
from hermesd.core.fleet import DispatchItem
from hermesd.core.job import ErrorInfo, Token
from hermesd.core.outcome import Outcome, OutcomeKind
from hermesd.queues.messages import (
    JobMessage,
    MessageCodec,
    OutcomeMessage,
    Stamp,
    Undecodable,
    stamp_of,
)

PROTO = Path(__file__).parents[2] / "proto"
EXAMPLE = re.compile(r"^```json\n(.*?)^```$", re.MULTILINE | re.DOTALL)
MAX_BYTES = 10_000

words = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=40)
numbers = st.integers(min_value=0, max_value=2**31 - 1)
seconds = st.floats(min_value=0, max_value=1e11, exclude_min=True)
texts = st.text(st.characters(exclude_categories=("Cs",)), max_size=40)
raws = st.recursive(
    st.none() | st.booleans() | st.floats(allow_nan=False, allow_infinity=False) | texts,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=5,
).map(msgspec.json.encode)
items = st.builds(
    DispatchItem,
    id=words,
    lease=st.integers(min_value=0, max_value=2**63 - 1),
    type=words,
    payload=raws.map(msgspec.Raw),
    queue=words,
    priority=st.integers(min_value=0, max_value=10),
    attempt=numbers,
    max_attempts=numbers,
    timeout=seconds,
    run=numbers,
    labels=st.dictionaries(words, texts, max_size=3),
    trace_context=st.none() | texts,
)
outcomes = st.builds(
    Outcome,
    token=st.builds(Token, words, numbers),
    kind=st.sampled_from(OutcomeKind),
    result=st.none() | raws,
    error=st.none() | st.builds(ErrorInfo, kind=words, message=texts, traceback=texts),
    delay_seconds=st.none() | seconds,
    started_at=seconds,
    finished_at=seconds,
)


@pytest.fixture(scope="module")
def codec() -> MessageCodec:
    """For the exchange `ns.jobs`."""
    return MessageCodec("ns.jobs", MAX_BYTES)


@pytest.fixture(scope="module")
def examples() -> list[dict[str, Any]]:
    """Those of proto/README.md: a job, and two outcomes."""
    return [json.loads(text) for text in EXAMPLE.findall((PROTO / "README.md").read_text())]


def schema(name: str) -> jsonschema_rs.Draft202012Validator:
    return jsonschema_rs.Draft202012Validator(
        json.loads((PROTO / "hermes" / "v1" / f"{name}_message.schema.json").read_text())
    )


@given(st.builds(JobMessage, store_id=words, enqueued_at=seconds, job=items))
def test_a_job_comes_back_as_it_went(codec: MessageCodec, message: JobMessage) -> None:
    """And fits the schema; its headers tell whose it is."""
    sent = codec.encode_job(message)
    read = codec.decode_job(sent.body)
    assert plain(read) == plain(message)
    assert bytes(read.job.payload) == bytes(message.job.payload)
    assert stamp_of(sent.headers) == Stamp(store_id=message.store_id, token=message.job.token)
    schema("job").validate(json.loads(sent.body))


@given(
    st.builds(OutcomeMessage, store_id=words, worker_id=words, incarnation=words, outcome=outcomes)
)
def test_an_outcome_comes_back_as_it_went(codec: MessageCodec, message: OutcomeMessage) -> None:
    """The result null is not the same as none."""
    sent = codec.encode_outcome(message)
    assert codec.decode_outcome(sent.body) == message
    assert sent.routing_key == "outcomes"
    assert stamp_of(sent.headers).token == message.outcome.token
    schema("outcome").validate(json.loads(sent.body))


def plain(message: JobMessage) -> Any:
    return msgspec.json.decode(msgspec.json.encode(message))


def test_a_job_goes_to_the_queue_of_its_band(
    codec: MessageCodec, examples: list[dict[str, Any]]
) -> None:
    """With all that an operator wants to see in the broker's own tools."""
    sent = codec.encode_job(codec.decode_job(json.dumps(examples[0]).encode()))
    assert (sent.exchange, sent.routing_key) == ("ns.jobs", "default.high")
    assert (sent.type, sent.message_id) == ("hermes.job", "0194f3c2.3")
    assert sent.headers == {
        "hermes-version": 1,
        "hermes-store-id": "b7d2e1",
        "hermes-job-id": "0194f3c2",
        "hermes-lease": 3,
        "hermes-type": "email.send.v1",
        "hermes-queue": "default",
        "hermes-priority": 7,
    }


def test_the_examples_of_the_contract_are_messages(
    codec: MessageCodec, examples: list[dict[str, Any]]
) -> None:
    """They fit the schemas, and encode to themselves."""
    job, succeeded, failed = examples
    schema("job").validate(job)
    read = codec.decode_job(json.dumps(job).encode())
    assert json.loads(codec.encode_job(read).body) == job
    for outcome in (succeeded, failed):
        schema("outcome").validate(outcome)
        told = codec.decode_outcome(json.dumps(outcome).encode())
        assert json.loads(codec.encode_outcome(told).body) == outcome


def test_the_schemas_are_those_of_the_code() -> None:
    """Run `make proto` where they are not."""
    script = runpy.run_path(str(PROTO / "message_schemas.py"))
    assert script["outdated"]() == {}


def test_fields_of_a_later_hermesd_are_ignored(
    codec: MessageCodec, examples: list[dict[str, Any]]
) -> None:
    """As long as the version is the same."""
    job = examples[0]
    later = {**job, "colour": "blue", "job": {**job["job"], "weight": 3}}
    known = codec.decode_job(json.dumps(job).encode())
    assert plain(codec.decode_job(json.dumps(later).encode())) == plain(known)


@pytest.mark.parametrize(
    ("change", "where", "reason"),
    [
        ({"version": 2}, "$.version", "2 is none that is known here (1)"),
        ({"version": 2, "job": 5}, "$.version", "2 is none that is known here (1)"),
        ({"version": None}, "$.version", "Expected `int`, got `null`"),
        ({"store_id": ""}, "$.store_id", "Expected `str` of length >= 1"),
        ({"store_id": "x" * 257}, "$.store_id", "Expected `str` of length <= 256"),
        ({"store_id": "a\n"}, "$.store_id", "Expected `str` matching regex"),
        ({"enqueued_at": -1}, "$.enqueued_at", "Expected `float` >= 0"),
        ({"job": {}}, "$.job", "Object missing required field `id`"),
        ({"job.lease": 2**63}, "$.job.lease", "Expected `int` <= 9223372036854775807"),
        ({"job.lease": "1"}, "$.job.lease", "Expected `int`, got `str`"),
        ({"job.priority": 11}, "$.job.priority", "Expected `int` <= 10"),
        ({"job.timeout": 0}, "$.job.timeout", "Expected `float` > 0"),
        ({"job.labels": {"a": 1}}, "$.job.labels[...]", "Expected `str`, got `int`"),
    ],
)
def test_what_does_not_fit_is_told_with_its_place(
    codec: MessageCodec,
    examples: list[dict[str, Any]],
    change: dict[str, Any],
    where: str,
    reason: str,
) -> None:
    """Another version is told before all else."""
    message = json.loads(json.dumps(examples[0]))
    for key, value in change.items():
        table, _, name = key.rpartition(".")
        (message[table] if table else message)[name] = value
    with pytest.raises(Undecodable) as refusal:
        codec.decode_job(json.dumps(message).encode())
    assert refusal.value.extra == {"what": "hermes.job", "where": where}
    assert refusal.value.detail.startswith(f"no hermes.job: {where}: {reason}")


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"[]",
        b"\xff",
        b'{"version": 1} {}',
        b"[" * 100_000,
        b'{"version": 1, "x": "\xff"}',
        b'{"version": 1, "store_id": "\\ud800"}',
    ],
)
def test_what_is_no_json_of_ours_is_refused(codec: MessageCodec, body: bytes) -> None:
    """Whatever it is, it is Undecodable, and told in few words."""
    for decode in (codec.decode_job, MessageCodec("x", 10**6).decode_outcome):
        with pytest.raises(Undecodable) as refusal:
            decode(body)
        assert len(refusal.value.detail) < 300


@given(st.binary(max_size=200))
def test_noise_is_undecodable(codec: MessageCodec, body: bytes) -> None:
    """No other error comes out."""
    with pytest.raises(Undecodable):
        codec.decode_job(body)


def test_a_result_is_kept_raw_and_must_still_be_utf_8(
    codec: MessageCodec, examples: list[dict[str, Any]]
) -> None:
    """The store could not keep it."""
    body = json.dumps(examples[1]).encode().replace(b"true", b'"\xff"')
    with pytest.raises(Undecodable):
        codec.decode_outcome(body)


def test_no_message_is_over_its_limit(examples: list[dict[str, Any]]) -> None:
    """Neither one that is sent nor one that comes."""
    body = json.dumps(examples[0]).encode()
    message = MessageCodec("x", len(body)).decode_job(body)
    with pytest.raises(TooLarge, match=r"over queue\.max_message_bytes \(9\)"):
        MessageCodec("x", 9).encode_job(message)
    with pytest.raises(Undecodable, match=f"{len(body)} bytes, over {len(body) - 1}"):
        MessageCodec("x", len(body) - 1).decode_job(body)


@pytest.mark.parametrize(
    ("change", "where"),
    [
        ({"hermes-store-id": b"\xff"}, "$.hermes-store-id"),
        ({"hermes-job-id": ""}, "$.hermes-job-id"),
        ({"hermes-lease": "3"}, "$.hermes-lease"),
        ({"hermes-lease": True}, "$.hermes-lease"),
    ],
)
def test_headers_that_are_not_ours_are_undecodable(change: dict[str, Any], where: str) -> None:
    """Others, and what a broker adds, are ignored."""
    ours: dict[str, Any] = {
        "hermes-store-id": "s",
        "hermes-job-id": "j",
        "hermes-lease": 3,
        "x-death": [{"count": 1}],
    }
    assert stamp_of(ours) == Stamp(store_id="s", token=Token("j", 3))
    with pytest.raises(Undecodable) as refusal:
        stamp_of({**ours, **change})
    assert refusal.value.extra["where"] == where
    with pytest.raises(Undecodable, match="Object missing required field `hermes-store-id`"):
        stamp_of({})
