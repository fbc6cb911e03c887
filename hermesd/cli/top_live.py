"""`hermesd top` on a terminal: draws what is known, and does what keys and signals ask for."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from typing import Final

import trio

from hermesd.cli import exits
from hermesd.cli.said import said
from hermesd.cli.top_feed import TIMEOUT_SECONDS, Bell, Feed
from hermesd.cli.top_known import Known
from hermesd.cli.top_screen import screen
from hermesd.cli.top_terminal import Terminal
from hermesd.cli.top_view import Order, View
from hermesd.client import AsyncClient

DRAW_SECONDS: Final = 0.25  # at the least between two pictures
TICK_SECONDS: Final = 1.0  # ages grow without news too
_ENDS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_SIGNALS: Final = (*_ENDS, signal.SIGTSTP, signal.SIGWINCH)


def watch(url: str) -> int:
    """Until q or a signal; the exit code."""
    return trio.run(_watch, url)


async def _watch(url: str) -> int:
    async with AsyncClient(url, timeout_seconds=TIMEOUT_SECONDS, retries=0) as client:
        with trio.open_signal_receiver(*_SIGNALS) as signals, Terminal.opened() as terminal:
            return await Session(url, client, terminal).run(signals)


class Session:
    """One run: a feed, a view, and the tasks between them and the terminal."""

    def __init__(self, url: str, client: AsyncClient, terminal: Terminal) -> None:
        self._known = Known(url, datetime.now(UTC))
        self._view = View()
        self._news = Bell()
        self._feed = Feed(client, self._known, self._news)
        self._terminal = terminal
        self._ordering = False
        self._exit_code = exits.OK

    async def run(self, signals: AsyncIterator[int]) -> int:
        """The exit code, when somebody has quit."""
        async with trio.open_nursery() as nursery:
            nursery.start_soon(self._feed.run)
            nursery.start_soon(self._draw, nursery.cancel_scope)
            nursery.start_soon(self._obey_signals, signals, nursery.cancel_scope)
            nursery.start_soon(self._obey_keys, nursery)
        return self._exit_code

    async def _draw(self, scope: trio.CancelScope) -> None:
        while True:
            try:
                size = self._terminal.size()
                self._terminal.draw(screen(self._known, self._view, datetime.now(UTC), *size), size)
            except OSError:  # the terminal is gone
                scope.cancel()
            await trio.sleep(DRAW_SECONDS)
            await self._news.wait(TICK_SECONDS - DRAW_SECONDS)

    async def _obey_signals(self, signals: AsyncIterator[int], scope: trio.CancelScope) -> None:
        async for number in signals:
            if number in _ENDS:
                self._exit_code = 128 + number
                scope.cancel()
            elif number == signal.SIGTSTP:
                self._terminal.suspend()
            self._news.ring()

    async def _obey_keys(self, nursery: trio.Nursery) -> None:
        async for key in self._terminal.keys():
            order = self._view.pressed(key, self._known)
            self._feed.open(self._view.opened)
            if order:
                self._begin(order, nursery)
            if self._view.ended:
                break
            self._news.ring()
        nursery.cancel_scope.cancel()

    def _begin(self, order: Order, nursery: trio.Nursery) -> None:
        if self._ordering:
            self._view.note = "the order before is not answered yet: try again then"
            return
        self._ordering = True
        self._view.note = f"{order.text} …"
        nursery.start_soon(self._carry_out, order)

    async def _carry_out(self, order: Order) -> None:
        self._view.note = await self._feed.carry_out(order, said(None))
        self._ordering = False
        self._news.ring()
