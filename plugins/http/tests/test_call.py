"""The handler against a real server."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from typing import Any

import pytest
import trio
import trio.testing
from hermesd_http.handler import call_webhook
from hermesd_http.payload import HttpPayload

from hermesd.handlers import JobContext, Permanent, Retry

Context = Callable[..., JobContext]
Answer = Callable[..., bytes]


async def test_a_call_carries_what_a_receiver_needs(server: Any, context: Context) -> None:
    """Method, JSON body, own headers, and the job's identity; the answer is the result."""
    server.answers = [
        b"HTTP/1.1 201 Created\r\nContent-Type: text/plain\r\nContent-Length: 2\r\n"
        b"Set-Cookie: a=b\r\n\r\nok"
    ]
    payload = HttpPayload(url=server.url, json={"a": [1, "ü"]}, headers={"X-Mine": "yes"})
    result = await call_webhook(payload, context(attempt=2))
    request = server.received[0]
    assert request.line == "POST /hook HTTP/1.1"
    assert request.body == '{"a":[1,"ü"]}'.encode()
    assert request.headers["host"] == f"127.0.0.1:{server.port}"
    assert request.headers["content-type"] == "application/json"
    assert request.headers["x-mine"] == "yes"
    assert request.headers["idempotency-key"] == "job-1-1"
    assert request.headers["x-hermes-job-id"] == "job-1"
    assert request.headers["x-hermes-attempt"] == "2"
    assert "x-hermes-signature" not in request.headers
    assert (result.status, result.body, result.truncated) == (201, "ok", False)
    assert result.headers == {"content-type": "text/plain"}
    assert result.elapsed_ms >= 0


async def test_a_submitter_may_choose_the_idempotency_key(server: Any, context: Context) -> None:
    """A key in the payload's headers takes the place of the job's."""
    payload = HttpPayload(url=server.url, headers={"Idempotency-Key": "order-7"})
    await call_webhook(payload, context())
    assert server.received[0].headers["idempotency-key"] == "order-7"


async def test_a_secret_signs_the_call(server: Any, context: Context) -> None:
    """The signature fits the time and the very bytes that were sent."""
    settings = {"secret": "key", "allow_private_addresses": True}
    await call_webhook(HttpPayload(url=server.url, body="grüße"), context(**settings))
    request = server.received[0]
    message = request.headers["x-hermes-timestamp"].encode() + b"." + request.body
    expected = "sha256=" + hmac.new(b"key", message, hashlib.sha256).hexdigest()
    assert request.headers["x-hermes-signature"] == expected


async def test_a_503_is_retried_when_the_server_says(
    server: Any, context: Context, make_answer: Answer
) -> None:
    """The first attempt asks for the server's delay, the second one succeeds."""
    server.answers = [make_answer(503, retry_after="7"), make_answer(200)]
    with pytest.raises(Retry, match="answered 503") as caught:
        await call_webhook(HttpPayload(url=server.url), context())
    assert caught.value.after == 7.0
    assert (await call_webhook(HttpPayload(url=server.url), context(attempt=2))).status == 200
    keys = {request.headers["idempotency-key"] for request in server.received}
    assert keys == {"job-1-1"}


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 504])
async def test_a_passing_fault_leaves_the_delay_to_the_backoff(
    server: Any, context: Context, make_answer: Answer, status: int
) -> None:
    """Without a Retry-After the job's own backoff holds."""
    server.answers = [make_answer(status)]
    with pytest.raises(Retry) as caught:
        await call_webhook(HttpPayload(url=server.url), context())
    assert caught.value.after is None


@pytest.mark.parametrize("status", [302, 400, 401, 404, 410, 422])
async def test_a_lasting_fault_is_permanent(
    server: Any, context: Context, make_answer: Answer, status: int
) -> None:
    """Another attempt would get the same answer."""
    server.answers = [make_answer(status)]
    with pytest.raises(Permanent, match=f"answered {status}"):
        await call_webhook(HttpPayload(url=server.url), context())


async def test_expected_statuses_replace_the_2xx(
    server: Any, context: Context, make_answer: Answer
) -> None:
    """What is listed is success, and 200 is not, unless it is listed."""
    server.answers = [make_answer(404), make_answer(200)]
    payload = HttpPayload(url=server.url, expected_statuses=[404])
    assert (await call_webhook(payload, context())).status == 404
    with pytest.raises(Permanent, match="answered 200"):
        await call_webhook(payload, context())


async def test_an_oversized_answer_is_cut(
    server: Any, context: Context, make_answer: Answer
) -> None:
    """The call was made, so it is a success; of the body the limit is kept, and no more read."""
    server.answers = [make_answer(200, b"x" * 3_000_000)]
    settings = {"max_response_bytes": 1000, "allow_private_addresses": True}
    result = await call_webhook(HttpPayload(url=server.url), context(**settings))
    assert (result.body, result.truncated) == ("x" * 1000, True)


async def test_a_compressed_answer_is_not_unpacked(
    server: Any, context: Context, make_answer: Answer
) -> None:
    """It was not asked for, and could be a bomb."""
    server.answers = [make_answer(200, b"\x1f\x8b junk", content_encoding="gzip")]
    result = await call_webhook(HttpPayload(url=server.url), context())
    assert server.received[0].headers["accept-encoding"] == "identity"
    assert (result.body, result.truncated) == ("", True)


async def test_a_body_that_is_no_text_still_makes_a_storable_result(
    server: Any, context: Context, make_answer: Answer
) -> None:
    """NULs and broken UTF-8 are replaced, whatever charset is claimed."""
    server.answers = [make_answer(200, b"a\0b\xff", content_type="text/plain; charset=rot13")]
    result = await call_webhook(HttpPayload(url=server.url), context())
    assert result.body == "a\N{REPLACEMENT CHARACTER}b\N{REPLACEMENT CHARACTER}"


async def test_a_slow_body_ends_at_the_timeout(
    server: Any, context: Context, mock_clock: trio.testing.MockClock
) -> None:
    """The deadline spans the whole call, also one whose answer has begun."""
    server.answers = [b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"]
    server.then_hang = True

    async def jump_when_half_is_sent() -> None:
        await server.hung.wait()
        mock_clock.jump(30)

    async with trio.open_nursery() as nursery:
        nursery.start_soon(jump_when_half_is_sent)
        with pytest.raises(Retry, match="no answer within 30 s"):
            await call_webhook(HttpPayload(url=server.url), context())


@pytest.mark.parametrize(
    "garbage", [b"", b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", b"?\r\n\r\n"]
)
async def test_a_broken_answer_is_retried(server: Any, context: Context, garbage: bytes) -> None:
    """A connection that is closed early, or speaks no HTTP."""
    server.answers = [garbage]
    with pytest.raises(Retry, match=r"ProtocolError|ReadError"):
        await call_webhook(HttpPayload(url=server.url), context())


async def test_a_refused_connection_is_retried(context: Context) -> None:
    """Nobody listens; the reason names the host and no more of the URL."""
    with trio.socket.socket() as unused:
        await unused.bind(("127.0.0.1", 0))
        url = f"http://user:hush@127.0.0.1:{unused.getsockname()[1]}/?token=hush"
        with pytest.raises(Retry, match=r"127\.0\.0\.1: ConnectError") as caught:
            await call_webhook(HttpPayload(url=url), context())
    assert "hush" not in str(caught.value)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://example.org/",
        "/relative",
        "http:///nohost",
        "http://[::1",
        "http://a b/",
        "http://a:99999/",
        "http://[fe80::1%25eth0]/",
    ],
)
async def test_a_url_that_cannot_be_called_is_permanent(url: str, context: Context) -> None:
    """Other schemes, no host, or no URL at all."""
    with pytest.raises(Permanent):
        await call_webhook(HttpPayload(url=url), context())


async def test_an_unknown_setting_is_named(context: Context) -> None:
    """A misspelt key stops the job with its name."""
    with pytest.raises(Permanent, match=r"plugins\.settings\.http: .*max_redirect"):
        await call_webhook(HttpPayload(url="http://a"), context(max_redirect=1))
