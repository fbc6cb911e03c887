"""A run of trio with asyncio inside, for commands that call a broker themselves."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import TypeVar

import trio

from hermesd.bridge.loop import open_bridge
from hermesd.core.errors import HermesError

AnswerT = TypeVar("AnswerT")


def run_bridged(ask: Callable[[], Awaitable[AnswerT]]) -> AnswerT:
    """What `ask` answers, run inside `open_bridge()`; raises its HermesError, KeyboardInterrupt."""
    answers = trio.run(_answers, ask)
    if not answers:
        raise KeyboardInterrupt
    answer = answers[0]
    if isinstance(answer, HermesError):
        raise answer
    return answer


async def _answers(ask: Callable[[], Awaitable[AnswerT]]) -> list[AnswerT | HermesError]:
    """None at Ctrl-C, since a KeyboardInterrupt in the midst of asyncio's code can be lost."""
    answers: list[AnswerT | HermesError] = []
    with trio.open_signal_receiver(signal.SIGINT) as interrupts:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(_cancel_at_first, interrupts, nursery.cancel_scope)
            async with open_bridge():
                try:
                    answers.append(await ask())
                except HermesError as error:
                    answers.append(error)  # raised here, it would come out in a group
            nursery.cancel_scope.cancel()
    return answers


async def _cancel_at_first(interrupts: AsyncIterator[int], scope: trio.CancelScope) -> None:
    async for _ in interrupts:
        scope.cancel()
        return
