"""Figure 11: the dashboard over a large store, and under load in a real browser. It takes long."""

from __future__ import annotations

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Final
from urllib.request import Request, urlopen

from playwright.sync_api import Browser, CDPSession, Page

from tests.bench.deployment import Deployment, deployed
from tests.bench.load import Round, fill, submitted
from tests.bench.setting import Setting
from tests.dashboard.browser import CHROMIUM, open_browser

FINISHED: Final = 100_000
LOOKS: Final = 20
# What the views ask for when they are opened, and again with each piece of news.
ROUTES: Final = {
    "overview": "/stats/history?window=86400",
    "jobs": "/jobs?limit=50",
    "jobs that succeeded, of a type": "/jobs?state=succeeded&type=noop&limit=50",
    "jobs with a text in id or error": "/jobs?text=nothing-has-it&limit=50",
    "jobs with a label": "/jobs?label=customer:nobody&limit=50",
    "dead letters": "/dlq?limit=50",
    "dead letters by group": "/dlq/groups",
    "workers": "/workers",
    "queues": "/queues",
    "schedules": "/schedules",
    "types": "/types",
    "events": "/events?limit=200",
}
RATE: Final = 5_000
BATCH: Final = 50
LOADED_SECONDS: Final = 180.0
SAMPLES: Final = 12
VIEWS: Final = ("#/", "#/jobs", "#/events")
LONG_TASKS: Final = """
    window.longest = 0;
    new PerformanceObserver((list) => {
        for (const { duration } of list.getEntries()) {
            window.longest = Math.max(window.longest, duration);
        }
    }).observe({ type: "longtask", buffered: true });
"""


def measure(setting: Setting) -> None:
    """Both, each on a store of its own."""
    finished = setting.jobs(FINISHED)
    setting.board.head("11", f"dashboard: its requests with {finished:,} finished jobs")
    _requests(setting, finished)
    if not Path(CHROMIUM).exists():
        setting.board.note(f"there is no {CHROMIUM}: its pages under load are left out")
        return
    with open_browser() as browser:
        _loaded(setting, browser)


def _requests(setting: Setting, finished: int) -> None:
    """How long each answer takes; the first look is not counted, as the page's own is not."""
    folder = setting.place("dashboard-requests")
    with deployed(folder, {"HERMES_RETENTION__ENABLED": "false"}) as running:
        fill(running, finished)
        for name, route in ROUTES.items():
            url = f"http://127.0.0.1:{running.port}{route}"
            setting.board.put(name, [_answered_ms(url) for _ in range(LOOKS + 1)][1:], "ms")


def _answered_ms(url: str) -> float:
    request = Request(url, headers={"Accept": "application/json"})
    begun = time.perf_counter()
    with urlopen(request, timeout=60) as answer:
        answer.read()
    return (time.perf_counter() - begun) * 1000


def _loaded(setting: Setting, browser: Browser) -> None:
    """The longest task of each view, and its heap after a collection, from early to late."""
    seconds = max(LOADED_SECONDS * setting.scale, 10.0)
    setting.board.note(f"pages under load for {seconds:.0f} s, {RATE:,} jobs/s asked for:")
    with deployed(setting.place("dashboard-loaded")) as running, ThreadPoolExecutor(1) as pool:
        pages = {
            view: _opened(browser, f"http://127.0.0.1:{running.port}/{view}") for view in VIEWS
        }
        load = pool.submit(_load, running, int(seconds * RATE))
        heaps: dict[str, list[float]] = {view: [] for view in VIEWS}
        for _ in range(SAMPLES):
            time.sleep(seconds / SAMPLES)
            for view, (_, session) in pages.items():
                heaps[view].append(_heap_mb(session))
        reached = load.result()
        setting.board.put("reached meanwhile, accepted", [reached.accepted], "jobs/s")
        setting.board.put("reached meanwhile, run and recorded", [reached.recorded], "jobs/s")
        for view, (page, _) in pages.items():
            setting.board.put(f"longest task of {view}", [page.evaluate("longest")], "ms")
            setting.board.put(f"heap of {view}, the first third", heaps[view][: SAMPLES // 3], "MB")
            setting.board.put(f"heap of {view}, the last third", heaps[view][-SAMPLES // 3 :], "MB")


def _load(running: Deployment, jobs: int) -> Round:
    rate = ("--rate", str(RATE / BATCH))
    return submitted(running, jobs, *rate, connections=8, batch=BATCH)


def _opened(browser: Browser, url: str) -> tuple[Page, CDPSession]:
    context = browser.new_context(viewport={"width": 1280, "height": 860})
    page = context.new_page()
    page.add_init_script(LONG_TASKS)
    page.goto(url)
    return page, context.new_cdp_session(page)


def _heap_mb(session: CDPSession) -> float:
    send: Callable[..., Any] = session.send
    send("HeapProfiler.collectGarbage")
    found: float = send("Runtime.getHeapUsage")["usedSize"]
    return found / 1e6
