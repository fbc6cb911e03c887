"""What the child does: one piece of work after the other, in its main thread."""

from __future__ import annotations

import contextlib
import faulthandler
import io
import os
import socket
import sys
from typing import Any

import msgspec

import hermesd
from hermesd.core.outcome import OutcomeKind
from hermesd.handlers.context import JobContext
from hermesd.handlers.contract import Handler
from hermesd.handlers.endings import UnstorableResult
from hermesd.handlers.verdict import verdict_of
from hermesd.worker.child.frames import (
    HEADER,
    Began,
    Boot,
    Ended,
    ProcessReply,
    ProcessTask,
    Work,
    frame,
)
from hermesd.worker.child.notes import ChildNotes
from hermesd.worker.child.resolve import Resolver


def serve(channel_fd: int) -> None:
    """Reads Boot and then Work until the channel ends; what a handler does never ends the loop."""
    os.set_inheritable(channel_fd, False)
    channel = socket.socket(fileno=channel_fd)
    faulthandler.enable()  # a segfault leaves the Python stack in the crash report
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(line_buffering=True, errors="backslashreplace")
    first = _receive(channel)
    if first is None:
        return
    boot = msgspec.msgpack.decode(first, type=Boot)
    _adopt(boot)
    resolver = Resolver()
    decode = msgspec.msgpack.Decoder(Work).decode
    while (body := _receive(channel)) is not None:
        work = decode(body)
        channel.sendall(frame(Began(number=work.number)))
        notes = ChildNotes(channel, work.number)
        reply = _perform(work.task, resolver, boot.max_result_bytes, notes)
        notes.close()
        channel.sendall(frame(Ended(number=work.number, reply=reply)))


def _adopt(boot: Boot) -> None:
    sys.path[:] = boot.sys_path
    if boot.python_path is None:
        os.environ.pop("PYTHONPATH", None)
    else:
        os.environ["PYTHONPATH"] = boot.python_path


def _perform(
    task: ProcessTask, resolver: Resolver, max_result_bytes: int, notes: ChildNotes
) -> ProcessReply:
    me = os.getpid()
    try:
        handler = resolver.find(task.reference, task.handler_type)
        result = handler.encode_result(_run(handler, task, notes))
        if len(result) > max_result_bytes:
            raise UnstorableResult(
                f"the result has {len(result)} bytes, and the limit is {max_result_bytes}"
            )
        reply = ProcessReply(kind=OutcomeKind.SUCCEEDED, result=result)
    except BaseException as raised:  # also SystemExit: it ends the attempt and not the child
        _leave_if_forked(me, raised)
        verdict = verdict_of(raised)
        reply = ProcessReply(
            kind=verdict.kind, error=verdict.error, delay_seconds=verdict.delay_seconds
        )
    _leave_if_forked(me, None)
    _flush()
    return reply


def _run(handler: Handler, task: ProcessTask, notes: ChildNotes) -> Any:
    payload = handler.decode(task.payload)
    context = task.context(notes)
    with _trace_of(task):
        if not handler.is_async:
            return handler.invoke(payload, context)
        return _run_async(handler, payload, context)


def _trace_of(task: ProcessTask) -> contextlib.AbstractContextManager[None]:
    if not task.traced:
        return contextlib.nullcontext()
    from hermesd.observe import otel  # only here: where the worker traces it is installed

    return otel.continued(task.trace_context, task.traced, os.environ, hermesd.__version__)


def _run_async(handler: Handler, payload: Any, context: JobContext) -> Any:
    import trio  # only here: most handlers of this kind are plain functions

    async def run() -> Any:
        return await handler.invoke(payload, context)

    return trio.run(run)


def _leave_if_forked(child_pid: int, raised: BaseException | None) -> None:
    """A handler's own os.fork() that came back here must not reply for the child."""
    if os.getpid() == child_pid:
        return
    _flush()
    code = raised.code if isinstance(raised, SystemExit) else raised is not None
    os._exit(code if isinstance(code, int) else 1)


def _flush() -> None:
    for stream in (sys.stdout, sys.stderr):
        with contextlib.suppress(OSError, ValueError, AttributeError):  # closed, or replaced
            stream.flush()


def _receive(channel: socket.socket) -> bytes | None:
    """The next frame's body, or None when the worker has closed the channel."""
    header = _receive_exactly(channel, HEADER.size)
    return None if header is None else _receive_exactly(channel, HEADER.unpack(header)[0])


def _receive_exactly(channel: socket.socket, size: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < size:
        part = channel.recv(min(size - len(parts), 1 << 20))
        if not part:
            return None
        parts += part
    return bytes(parts)
