"""Tells the apis what running jobs tell: in rounds, one call to an api for all jobs.

A round follows news at once, and the next one no sooner than half a second later, so that clients
see at most two updates of a job a second. Only what a job said last is sent out of turn, before its
outcome; that waits for it no longer than a moment.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from math import inf
from typing import Final

import trio

from hermesd.core.errors import HermesError, Rejected
from hermesd.core.job import Token
from hermesd.core.notes import JobNotes, NoteBatch
from hermesd.signal import Signal
from hermesd.worker.notebook import Notebook
from hermesd.worker.state import Session, WorkerState

ROUND_SECONDS: Final = 0.5
CALL_SECONDS: Final = 2.0  # a round waits for an api no longer than this
LAST_WORDS_SECONDS: Final = 0.5  # what an outcome waits for the last words of its job


class NoteSender:
    """The agent that sends; it outlives the jobs. To be made under trio."""

    def __init__(self, state: WorkerState) -> None:
        self._state = state
        self._wake = Signal()
        self._trio = trio.lowlevel.current_trio_token()
        self.book = Notebook(state.leases, state.clock, self._news)
        self._ending: dict[Token, None] = {}
        self._sent = trio.Event()
        self._failed = False

    async def run(self) -> None:
        """A round whenever there is news, for ever; idle it waits."""
        next_round = -inf
        while True:
            pause = next_round - trio.current_time()
            if self._ending:
                wanted, self._ending = self._ending, {}
                await self._send(self.book.take(wanted))
            elif self.book.due and pause <= 0:
                next_round = trio.current_time() + ROUND_SECONDS
                await self._send(self.book.take())
            else:
                await self._wake.wait(pause if self.book.due else None)

    async def last_words(self, token: Token) -> None:
        """Return when all that an ended job has told is taken, or given up, in a moment."""
        with trio.move_on_after(LAST_WORDS_SECONDS, shield=True):
            self._failed = False
            while self.book.owes(token) and self._takers() and not self._failed:
                self._ending[token] = None
                self._wake.set()
                await self._sent.wait()

    def _news(self) -> None:
        """Called from the thread of a handler."""
        with suppress(trio.RunFinishedError):
            self._trio.run_sync_soon(self._wake.set, idempotent=True)

    def _takers(self) -> Mapping[str, Session]:
        """The apis that answer and know what notes are."""
        sessions = self._state.sessions.items()
        return {name: one for name, one in sessions if one.live and one.takes_notes}

    async def _send(self, notes: Sequence[JobNotes]) -> None:
        """One call an api: the one that gave the job out, else any."""
        takers = self._takers()
        if not takers:
            await self._nobody_takes(notes)
        else:
            shares: dict[str, list[JobNotes]] = {}
            for note in notes:
                run = self._state.leases.running.get(note.token)
                name = run.api_name if run is not None else None
                anybody = name if name in takers else next(iter(takers))
                shares.setdefault(anybody or "", []).append(note)
            async with trio.open_nursery() as nursery:
                for name, share in shares.items():
                    nursery.start_soon(self._call, takers[name], share)
        self._sent.set()
        self._sent = trio.Event()

    async def _nobody_takes(self, notes: Sequence[JobNotes]) -> None:
        """They wait for an api that comes back; where all are too old for them nobody does."""
        live = [one for one in self._state.sessions.values() if one.live]
        if live:
            self.book.done(notes)
        else:
            self.book.put_back(notes)
        self._failed = True
        await trio.lowlevel.checkpoint()

    async def _call(self, session: Session, notes: Sequence[JobNotes]) -> None:
        batch = NoteBatch(incarnation=self._state.incarnation, notes=tuple(notes))
        why = f"no answer within {CALL_SECONDS:g} s"
        with trio.move_on_after(CALL_SECONDS):
            try:
                await session.link.note(batch)
                return self.book.done(notes)
            except Rejected as error:
                log = self._state.log
                log.error("notes refused", jobs=len(notes), why=error.detail)
                return self.book.done(notes)
            except HermesError as error:
                why = error.detail
        self._state.log.info("cannot tell notes yet", api=session.api_name, why=why)
        self.book.put_back(notes)
        self._failed = True
        return None
