"""What goes wrong with a broker, as errors of the core; they name host and port, no password."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import trio
from aiormq import exceptions
from pamqp import commands

from hermesd.core.errors import AccessRefused, HermesError, Unavailable

ACCESS_REFUSED: Final = 403  # reply codes of AMQP 0-9-1, section 1.2
NOT_FOUND: Final = 404
RESOURCE_LOCKED: Final = 405
PRECONDITION_FAILED: Final = 406
NOT_ALLOWED: Final = 530  # of a virtual host

_REFUSALS: Final = (
    exceptions.AuthenticationError,
    exceptions.ProbableAuthenticationError,
    exceptions.ConnectionNotAllowed,
)
_LOST: Final = (asyncio.CancelledError, EOFError, StopAsyncIteration, RuntimeError)


class ClosedByBroker(Unavailable):
    """The broker answered a call by closing its channel; `code` and `text` are its own."""

    def __init__(self, where: str, code: int, text: str) -> None:
        super().__init__(f"{where}: {text}")
        self.code = code
        self.text = text


def closed_by(where: str, frame: commands.Channel.Close) -> HermesError:
    """What the broker's closing of a channel means to the call that it answers."""
    if frame.reply_code == ACCESS_REFUSED:
        return AccessRefused(f"{where}: {frame.reply_text}")
    return ClosedByBroker(where, frame.reply_code or 0, frame.reply_text)


def translated(where: str, error: BaseException) -> HermesError:
    """What an error of aiormq, asyncio or the socket means."""
    if isinstance(error, HermesError):
        return error
    refused = isinstance(error, _REFUSALS) or _code(error) in (ACCESS_REFUSED, NOT_ALLOWED)
    error_class = AccessRefused if refused else Unavailable
    return error_class(f"{where}: {_reason(error)}")


@contextmanager
def time_limit(where: str, seconds: float) -> Iterator[None]:
    """Unavailable where the block takes longer."""
    with trio.move_on_after(seconds) as scope:
        yield
    if scope.cancelled_caught:
        raise Unavailable(f"{where}: no answer within {seconds:g} s")


def _code(error: BaseException) -> object:
    """The reply code of a Connection.Close; None for anything else."""
    return error.args[0] if isinstance(error, exceptions.ConnectionClosed) and error.args else None


def _reason(error: BaseException) -> str:
    if isinstance(error, _LOST):
        return "the connection was lost"
    if isinstance(error, exceptions.ConnectionClosed) and len(error.args) > 1 and error.args[1]:
        return str(error.args[1])
    if isinstance(error, OSError) and not error.errno and error.__cause__ is not None:
        return _reason(error.__cause__)  # of a host with several addresses: those of each
    if isinstance(error, ExceptionGroup):
        return _reason(error.exceptions[0])
    if isinstance(error, ConnectionRefusedError):
        return "connection refused"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__
