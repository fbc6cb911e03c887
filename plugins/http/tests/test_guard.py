"""The address guard: names, redirects, certificates."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import trustme
from hermesd_http.handler import call_webhook
from hermesd_http.payload import HttpPayload

from hermesd.handlers import JobContext, Permanent, Retry

Context = Callable[..., JobContext]
Answer = Callable[..., bytes]

STRICT: dict[str, object] = {"max_redirects": 3}


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.1", "2130706433", "0x7f.0.0.1", "0.0.0.0", "[::1]", "[::ffff:7f00:1]"],
)
async def test_no_spelling_of_loopback_gets_through(
    host: str, server: Any, context: Context
) -> None:
    """Also those that only the resolver understands; nothing is sent."""
    with pytest.raises(Permanent, match="only public ones may be called"):
        await call_webhook(HttpPayload(url=f"http://{host}:{server.port}/"), context(**STRICT))
    assert server.received == []


async def test_a_name_with_a_private_address_is_refused(
    server: Any, context: Context, names: Any
) -> None:
    """One look-up tells, and nothing is sent."""
    names.answers["hook.test"] = [["93.184.216.34", "127.0.0.1"]]
    with pytest.raises(Permanent, match=r"'hook\.test' has a loopback address"):
        await call_webhook(HttpPayload(url=f"http://hook.test:{server.port}/"), context(**STRICT))
    assert server.received == []


async def test_a_name_is_resolved_once_and_its_address_kept(
    server: Any, context: Context, names: Any
) -> None:
    """A second look-up would get another address (DNS rebinding); there is none."""
    names.answers["hook.test"] = [["127.0.0.1"], ["192.0.2.1"]]
    url = f"http://hook.test:{server.port}/"
    result = await call_webhook(HttpPayload(url=url), context(allowed_hosts=["hook.test"]))
    assert result.status == 200
    assert names.asked == ["hook.test"]
    assert server.received[0].headers["host"] == f"hook.test:{server.port}"


async def test_the_next_address_is_tried_where_one_refuses(
    server: Any, context: Context, names: Any
) -> None:
    """Nothing was sent to the first, so the second may have it."""
    names.answers["hook.test"] = [["127.0.0.9", "127.0.0.1"]]
    url = f"http://hook.test:{server.port}/"
    result = await call_webhook(HttpPayload(url=url), context(allowed_hosts=["hook.test"]))
    assert result.status == 200


async def test_an_unknown_name_is_retried(context: Context, names: Any) -> None:
    """A name server may be down for a while."""
    with pytest.raises(Retry, match=r"'gone\.test' does not resolve"):
        await call_webhook(HttpPayload(url="http://gone.test/"), context())


async def test_no_redirect_is_followed_by_default(
    server: Any, context: Context, make_answer: Answer
) -> None:
    """The answer is the redirect itself, which is not an expected status."""
    server.answers = [make_answer(307, location=server.url), make_answer(200)]
    with pytest.raises(Permanent, match="answered 307"):
        await call_webhook(HttpPayload(url=server.url), context())
    assert len(server.received) == 1


async def test_a_redirect_to_a_private_address_is_refused(
    server: Any, context: Context, names: Any, make_answer: Answer
) -> None:
    """The first host is allowed, the one it points to is not."""
    names.answers["hook.test"] = [["127.0.0.1"]]
    server.answers = [make_answer(307, location=f"http://127.0.0.1:{server.port}/admin")]
    settings = STRICT | {"allowed_hosts": ["hook.test"]}
    with pytest.raises(Permanent, match=r"'127\.0\.0\.1' has a loopback address"):
        await call_webhook(HttpPayload(url=f"http://hook.test:{server.port}/"), context(**settings))
    assert len(server.received) == 1


async def test_a_redirect_keeps_the_body_on_the_same_origin(
    server: Any, context: Context, make_answer: Answer
) -> None:
    """307 repeats the call with its body, headers and signature."""
    server.answers = [make_answer(307, location="/other"), make_answer(200)]
    settings = STRICT | {"allow_private_addresses": True, "secret": "key"}
    payload = HttpPayload(url=server.url, body="text", headers={"X-Key": "mine"})
    assert (await call_webhook(payload, context(**settings))).status == 200
    second = server.received[1]
    assert second.line == "POST /other HTTP/1.1"
    assert (second.body, second.headers["x-key"]) == (b"text", "mine")
    assert "x-hermes-signature" in second.headers


async def test_a_redirect_elsewhere_takes_no_secrets_along(
    server: Any, context: Context, names: Any, make_answer: Answer
) -> None:
    """The payload's own headers and the signature are for the first origin alone."""
    names.answers["other.test"] = [["127.0.0.1"]]
    url = f"http://other.test:{server.port}/"
    server.answers = [make_answer(307, location=url, set_cookie="a=b"), make_answer(200)]
    settings = STRICT | {"allow_private_addresses": True, "secret": "key"}
    headers = {"Authorization": "Bearer x", "X-Key": "mine", "Cookie": "c=d"}
    payload = HttpPayload(url=server.url, body="text", headers=headers)
    await call_webhook(payload, context(**settings))
    second = server.received[1].headers
    assert second["host"] == f"other.test:{server.port}"
    assert second["idempotency-key"] == "job-1-1"
    assert not {"authorization", "x-key", "cookie", "x-hermes-signature"} & set(second)


async def test_a_loop_of_redirects_ends(server: Any, context: Context, make_answer: Answer) -> None:
    """After the limit the redirect is the answer."""
    server.answers = [make_answer(307, location=server.url)]
    settings = STRICT | {"allow_private_addresses": True}
    with pytest.raises(Permanent, match="answered 307"):
        await call_webhook(HttpPayload(url=server.url), context(**settings))
    assert len(server.received) == 4


async def test_a_certificate_is_checked_against_the_name_in_the_url(
    tls_server: Any, context: Context, names: Any, tmp_path: Path
) -> None:
    """The connection goes to an address, SNI and certificate are those of the name."""
    authority = trustme.CA()
    served = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    authority.issue_cert("hook.test").configure_cert(served)
    shown: list[str | None] = []
    served.sni_callback = lambda _socket, name, _context: shown.append(name)
    server = await tls_server(served)
    ca_file = tmp_path / "ca.pem"
    authority.cert_pem.write_to_path(str(ca_file))
    names.answers = {"hook.test": [["127.0.0.1"]], "other.test": [["127.0.0.1"]]}
    settings = {"ca_file": str(ca_file), "allow_private_addresses": True}
    good = HttpPayload(url=f"https://hook.test:{server.port}/")
    assert (await call_webhook(good, context(**settings))).status == 200
    bad = HttpPayload(url=f"https://other.test:{server.port}/")
    with pytest.raises(Retry, match="ConnectError"):
        await call_webhook(bad, context(**settings))
    assert shown == ["hook.test", "other.test"]
    assert len(server.received) == 1


async def test_a_missing_ca_file_is_named(context: Context) -> None:
    """An operator's mistake is told as such."""
    with pytest.raises(Permanent, match=r"plugins\.settings\.http\.ca_file: No such file"):
        await call_webhook(HttpPayload(url="https://a.test"), context(ca_file="/nowhere.pem"))


async def test_proxies_of_the_environment_are_not_used(
    server: Any, context: Context, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A proxy would resolve names by itself, past the guard."""
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:9")
    assert (await call_webhook(HttpPayload(url=server.url), context())).status == 200
