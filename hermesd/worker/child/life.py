"""One child process, seen from its worker: started, given work, watched, killed, reaped."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable
from typing import Any, Final

import msgspec
import trio

from hermesd.worker.child.family import kill_family
from hermesd.worker.child.frames import (
    HEADER,
    REPLY_OVERHEAD_BYTES,
    Began,
    Boot,
    Ended,
    Noted,
    ProcessReply,
    ProcessTask,
    Work,
    frame,
)
from hermesd.worker.child.output import Output

REAP_SECONDS: Final = 5.0  # a killed process that is not gone by then hangs in the kernel
LEAVE_SECONDS: Final = 1.0  # for a child to end by itself after its channel
_READ_BYTES: Final = 64 * 1024
_ENDING_READS: Final = 16  # of what a dead child has left in its pipe


class ChildLost(Exception):
    """The channel ended before the reply; `began` tells whether the job had."""

    def __init__(self, *, began: bool) -> None:
        super().__init__("the channel to the child process ended")
        self.began = began


class ReplyTooLarge(Exception):
    """The child announced a frame of `size` bytes, over the limit."""

    def __init__(self, size: int) -> None:
        super().__init__(f"a reply of {size} bytes")
        self.size = size


class Child:
    """A warm child with its channel; `watch` must run as long as the process does.

    Made on the thread that the worker lives on, for the kernel kills the child when the thread that
    started it ends. Raises OSError where no process can be started.
    """

    def __init__(self, max_result_bytes: int, logger: Any) -> None:
        self.jobs = 0
        self.gone = trio.Event()
        self._max_frame_bytes = max_result_bytes + REPLY_OVERHEAD_BYTES
        self._decode = msgspec.msgpack.Decoder(Began | Ended | Noted).decode
        ours, theirs = socket.socketpair()
        output, printed = os.pipe()
        try:
            self._process, self._pidfd = _start(theirs.fileno(), printed)
        except BaseException:
            ours.close()
            os.close(output)
            raise
        finally:
            theirs.close()
            os.close(printed)
        self.pid = self._process.pid
        self._printed_fd = output
        os.set_blocking(output, False)
        self._output = Output(logger, self.pid)
        self._channel = trio.SocketStream(trio.socket.from_stdlib_socket(ours))
        self._received = bytearray()
        boot = Boot(
            sys_path=list(sys.path),
            python_path=os.environ.get("PYTHONPATH"),
            max_result_bytes=max_result_bytes,
        )
        self._unsent = frame(boot)

    @property
    def returncode(self) -> int | None:
        """As subprocess has it, once the child is gone: minus a signal, or an exit status."""
        return self._process.returncode

    def tail(self) -> str:
        """The end of what it printed during its last job."""
        return self._output.tail()

    async def perform(self, task: ProcessTask, noted: Callable[[Noted], None]) -> ProcessReply:
        """Runs one task; `noted` is called with all that its handler tells meanwhile.

        Raises ChildLost or ReplyTooLarge, after which the child must be ended. So must it be when
        this is cancelled: the child is then still at it.
        """
        self.jobs += 1
        self._output.begin(task.job_id)
        data = self._unsent + frame(Work(number=self.jobs, task=task))
        self._unsent = b""
        began = False
        try:
            await self._channel.send_all(data)
            while True:
                message = self._decode(await self._receive())
                if message.number != self.jobs:
                    raise ChildLost(began=True)
                if isinstance(message, Ended):
                    return message.reply
                if isinstance(message, Noted):
                    noted(message)
                began = True
        except (trio.BrokenResourceError, trio.EndOfChannel, msgspec.MsgspecError) as error:
            raise ChildLost(began=began) from error

    async def watch(self) -> None:
        """Reads what it prints until the process ends, then ends its group and reaps it.

        Cancelled, it kills the child first, so that none outlives the nursery this runs in.
        """
        try:
            async with trio.open_nursery() as nursery:
                nursery.start_soon(self._drain)
                await trio.lowlevel.wait_readable(self._pidfd)
                nursery.cancel_scope.cancel()
        finally:
            self.kill()
            with trio.move_on_after(REAP_SECONDS, shield=True):
                await trio.lowlevel.wait_readable(self._pidfd)
            self._reap()

    def kill(self) -> None:
        """SIGKILL to the child, its process group and its descendants; does not wait."""
        if not self.gone.is_set():
            kill_family(self.pid)

    async def end(self) -> None:
        """Kills it and waits, bounded and shielded, until it has been reaped."""
        self.kill()
        with trio.move_on_after(REAP_SECONDS, shield=True):
            await self.gone.wait()
        await trio.aclose_forcefully(self._channel)

    async def retire(self) -> None:
        """Lets it end by itself, exit handlers and all, for a moment; then ends it."""
        try:
            with trio.move_on_after(LEAVE_SECONDS), contextlib.suppress(trio.BrokenResourceError):
                await self._channel.send_eof()
                await self.gone.wait()
        finally:
            with trio.CancelScope(shield=True):
                await self.end()

    def _reap(self) -> None:
        self._process.poll()
        for _ in range(_ENDING_READS):
            if not self._read_printed():
                break
        self._output.close()
        os.close(self._printed_fd)
        os.close(self._pidfd)
        # A forked grandchild may hold the other end: make the channel end here. What the child
        # wrote before it died can still be read.
        with contextlib.suppress(OSError, trio.ClosedResourceError):
            self._channel.socket.shutdown(socket.SHUT_RD)
        self.gone.set()

    async def _drain(self) -> None:
        while True:
            await trio.lowlevel.wait_readable(self._printed_fd)
            if not self._read_printed():
                return

    def _read_printed(self) -> bool:
        """Reads once; whether there may be more."""
        try:
            data = os.read(self._printed_fd, _READ_BYTES)
        except BlockingIOError:
            return False
        self._output.feed(data, trio.current_time())
        return bool(data)

    async def _receive(self) -> bytes:
        header = await self._receive_exactly(HEADER.size)
        size: int = HEADER.unpack(header)[0]
        if size > self._max_frame_bytes:
            raise ReplyTooLarge(size)
        return await self._receive_exactly(size)

    async def _receive_exactly(self, size: int) -> bytes:
        while len(self._received) < size:
            part = await self._channel.receive_some(_READ_BYTES)
            if not part:
                raise trio.EndOfChannel
            self._received += part
        data = bytes(self._received[:size])
        del self._received[:size]
        return data


def _start(channel_fd: int, printed_fd: int) -> tuple[subprocess.Popen[bytes], int]:
    """Starts the program in a session of its own; the process, and a pidfd to wait for it.

    PYTHONPATH lets the child import hermesd from wherever the worker has it.
    """
    process = subprocess.Popen(
        [sys.executable, "-P", "-m", "hermesd.worker.child", str(channel_fd), str(os.getpid())],
        stdin=subprocess.DEVNULL,
        stdout=printed_fd,
        stderr=printed_fd,
        pass_fds=(channel_fd,),
        start_new_session=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    try:
        return process, os.pidfd_open(process.pid)
    except BaseException:  # out of file descriptors
        kill_family(process.pid)
        process.wait()
        raise


def describe_exit(returncode: int | None) -> str:
    """How a child ended, for people."""
    if returncode is None:
        return "the child process cannot be reaped: it hangs in the kernel"
    if returncode >= 0:
        return f"the child process exited with status {returncode}"
    try:
        name = signal.Signals(-returncode).name
    except ValueError:
        name = f"signal {-returncode}"
    hint = " (out of memory, or killed from outside)" if -returncode == signal.SIGKILL else ""
    return f"the child process was ended by {name}{hint}"
