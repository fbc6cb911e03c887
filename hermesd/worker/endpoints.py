"""Keeps one link to every address of every configured endpoint; names are resolved again."""

from __future__ import annotations

from typing import Final

import trio

from hermesd.core.endpoints import Line, is_address, plan, split_endpoint
from hermesd.core.errors import HermesError, Unavailable
from hermesd.ports import Resolver
from hermesd.signal import Signal
from hermesd.worker.link import Link, OpenLink
from hermesd.worker.state import WorkerState

RESOLVE_SECONDS: Final = 30.0
RESOLVE_TIMEOUT_SECONDS: Final = 5.0
LEAST_SECONDS: Final = 1.0  # between two looks, however many links are lost


class Endpoints:
    """The agent that starts and ends the links; they run in `run`'s own nursery."""

    def __init__(self, state: WorkerState, open_link: OpenLink, resolver: Resolver):
        self._state = state
        self._open_link = open_link
        self._resolver = resolver
        self._links: dict[str, trio.CancelScope] = {}
        self._absent_since: dict[str, float] = {}
        self._addresses: dict[str, tuple[str, ...]] = {}  # by endpoint: as last resolved
        self._failing: set[str] = set()
        self._refused: tuple[str, ...] = ()
        self._lost = Signal()

    async def run(self) -> None:
        """Look every RESOLVE_SECONDS, and at once when a link is lost, for ever."""
        async with trio.open_nursery() as nursery:
            while True:
                await self.run_once(nursery)
                await trio.sleep(LEAST_SECONDS)
                await self._lost.wait(self._pause())

    async def run_once(self, nursery: trio.Nursery) -> None:
        """Resolve all names, then start and end links."""
        endpoints = self._state.config.control.endpoints
        async with trio.open_nursery() as resolving:
            for endpoint in endpoints:
                resolving.start_soon(self._resolve, endpoint)
        self._addresses = {
            each: self._addresses[each] for each in endpoints if each in self._addresses
        }
        wanted = {address for found in self._addresses.values() for address in found}
        decided = plan(sorted(wanted), self._lines(wanted))
        for address in decided.end:
            self._state.log.info("endpoint is gone", endpoint=address)
            self._links.pop(address).cancel()
            del self._absent_since[address]
        for address in decided.start:
            self._links[address] = trio.CancelScope()
            nursery.start_soon(self._run_link, address, self._links[address])
        if decided.refused and decided.refused != self._refused:
            self._state.log.error("too many apis", left_out=decided.refused)
        self._refused = decided.refused

    def look_again(self) -> None:
        """The endpoints are others than they were."""
        self._lost.set()

    def _pause(self) -> float:
        """Until the next look: sooner where a name has not been resolved, or a link is to end."""
        hurried = self._absent_since or not self._links
        return self._state.config.control.retry_max_seconds if hurried else RESOLVE_SECONDS

    async def _resolve(self, endpoint: str) -> None:
        """Note the addresses of an endpoint; a failure leaves what was noted before."""
        host, port = split_endpoint(endpoint)
        if is_address(host):
            self._addresses[endpoint] = (endpoint,)
            return
        try:
            with trio.fail_after(RESOLVE_TIMEOUT_SECONDS):
                found = await self._resolver.addresses(host, port)
        except trio.TooSlowError:
            self._failed(endpoint, f"no answer within {RESOLVE_TIMEOUT_SECONDS:g} s")
        except Unavailable as error:
            self._failed(endpoint, error.detail)
        else:
            self._failing.discard(endpoint)
            if found:
                self._addresses[endpoint] = tuple(found)

    def _failed(self, endpoint: str, why: str) -> None:
        """Say it once for as long as it lasts."""
        if endpoint not in self._failing:
            self._failing.add(endpoint)
            self._state.log.warning("cannot resolve the endpoint", endpoint=endpoint, why=why)

    def _lines(self, wanted: set[str]) -> list[Line]:
        state, now = self._state, self._state.clock.monotonic()
        busy = {run.api_name for run in state.leases.running.values()}
        busy |= {api_name for _, api_name in state.leases.unsettled.values()}
        live = {s.link.endpoint: s.api_name for s in state.sessions.values() if s.live}
        lines = []
        for address in self._links:
            if address in wanted:
                self._absent_since.pop(address, None)
            since = now if address in wanted else self._absent_since.setdefault(address, now)
            lines.append(
                Line(
                    address=address,
                    live=address in live,
                    busy=live.get(address) in busy,
                    absent_seconds=now - since,
                )
            )
        return lines

    async def _run_link(self, address: str, scope: trio.CancelScope) -> None:
        with scope:
            try:
                await Link(self._state, address, self._open_link, self._lost.set).run()
            except HermesError as error:  # an address that cannot be dialled at all
                self._state.log.error("endpoint is of no use", endpoint=address, why=error.detail)
                await trio.sleep_forever()
