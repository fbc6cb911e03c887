"""The dashboard's files as browsers get them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import hermesd
from hermesd.api.routes.pages import prefers_html, read_pages

FOLDER = Path(hermesd.__file__).parent / "dashboard"
BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}
MOST_BYTES = 200 * 1024


async def test_browsers_get_the_dashboard_and_programs_the_json(world: Any) -> None:
    """At the same path; caches are told that it depends."""
    page = await world.client.get("/", headers=BROWSER)
    assert page.status_code == 200
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    assert page.content == (FOLDER / "index.html").read_bytes()
    told = await world.client.get("/")
    assert told.json()["name"] == "hermesd"
    assert page.headers["vary"] == told.headers["vary"] == "accept"


@pytest.mark.parametrize(
    ("accept", "html"),
    [
        ("", False),
        ("*/*", False),
        ("application/json, text/plain, */*", False),
        ("application/json", False),
        ("text/html, application/json", False),
        ("text/html;q=0.5, application/json;q=0.4", True),
        ("text/html;q=0.4, application/json;q=0.5", False),
        ("text/html", True),
        ("TEXT/HTML ; q=1.0", True),
        ("text/*", True),
        ("text/html;q=0, */*", False),
        ("*/*, application/json;q=0.1", True),
        ("text/html;q=x, application/json;q=0.1", False),
        (BROWSER["Accept"], True),
    ],
)
def test_who_wants_html(accept: str, html: bool) -> None:
    """Only those that want it more than JSON."""
    assert prefers_html(accept) is html


async def test_every_file_is_served_as_what_it_is(world: Any) -> None:
    """Each with its type, so that the browser need not guess, and may not."""
    names = [str(path.relative_to(FOLDER)) for path in FOLDER.rglob("*") if path.is_file()]
    assert {"index.html"} < set(names)
    assert set(names) == set(read_pages())
    kinds = {"html": "text/html; charset=utf-8", "js": "text/javascript; charset=utf-8"}
    kinds |= {"css": "text/css; charset=utf-8", "svg": "image/svg+xml"}
    for name in names:
        answer = await world.client.get(f"/ui/{name}")
        assert answer.status_code == 200, name
        assert answer.content == (FOLDER / name).read_bytes()
        kind = name.rpartition(".")[2]
        assert answer.headers["content-type"] == kinds.get(kind, answer.headers["content-type"])


def test_the_files_are_small() -> None:
    """No framework, and quick on any line."""
    assert sum(len(page.body) for page in read_pages().values()) <= MOST_BYTES


@pytest.mark.parametrize("path", ["/", "/ui/index.html"])
async def test_nothing_but_our_own_files_may_run(world: Any, path: str) -> None:
    """No script of a job's data, no frame around it, no word to others of where one came from."""
    headers = (await world.client.get(path, headers=BROWSER)).headers
    policy = dict(
        part.strip().split(" ", 1) for part in headers["content-security-policy"].split(";")
    )
    assert policy["script-src"] == policy["style-src"] == policy["connect-src"] == "'self'"
    for nothing in ("default-src", "object-src", "base-uri", "frame-ancestors", "form-action"):
        assert policy[nothing] == "'none'"
    assert "unsafe" not in headers["content-security-policy"]
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["referrer-policy"] == "no-referrer"


@pytest.mark.parametrize("path", ["/", "/ui/index.html"])
async def test_a_browser_that_has_it_is_not_sent_it_again(world: Any, path: str) -> None:
    """304 for the same strong ETag, by whatever name; it asks each time."""
    first = await world.client.get(path, headers=BROWSER)
    etag = first.headers["etag"]
    assert etag.startswith('"')
    assert first.headers["cache-control"] == "no-cache"
    for known in (etag, f'"other", {etag}', f"W/{etag}", "*"):
        again = await world.client.get(path, headers=BROWSER | {"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b""), known
        assert again.headers["etag"] == etag
        assert "content-security-policy" in again.headers
    changed = await world.client.get(path, headers=BROWSER | {"If-None-Match": '"other"'})
    assert (changed.status_code, changed.content) == (200, first.content)


async def test_head_tells_what_get_would(world: Any) -> None:
    """The same headers and no body."""
    for path in ("/", "/ui/index.html"):
        full = await world.client.get(path, headers=BROWSER)
        head = await world.client.head(path, headers=BROWSER)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers == full.headers


@pytest.mark.parametrize(
    "path",
    [
        "/ui/",
        "/ui",
        "/ui/nothing.js",
        "/ui/../__init__.py",
        "/ui/..%2f__init__.py",
        "/ui/%2e%2e/__init__.py",
        "/ui/..%5c__init__.py",
        "/ui//etc/passwd",
        "/ui/%2fetc/passwd",
        "/ui/index.html%00.js",
        "/ui/index.html/index.html",
        "/dashboard/index.html",
    ],
)
async def test_nothing_else_is_there(world: Any, path: str) -> None:
    """A file is found by its name in a list, never by a path."""
    answer = await world.client.get(path, headers=BROWSER)
    assert answer.status_code == 404, answer.content
    assert answer.headers["content-type"] == "application/problem+json"


async def test_pages_are_only_read(world: Any) -> None:
    """405 with Allow for anything else."""
    answer = await world.client.post("/ui/index.html")
    assert (answer.status_code, answer.headers["allow"]) == (405, "GET, HEAD, OPTIONS")
