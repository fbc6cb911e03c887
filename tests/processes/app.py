"""The daemon that fault tests start: `python app.py ROLE`, configured by HERMES_* variables.

Every handler first appends "job lease attempt pid" to the file RECORD_FILE, so that a double start
can be seen. Where CLOCK_FILE is set, the first eight bytes of that file (a double in native order)
are seconds that the wall clock of this process is off by. HANDLERS, where set, names the types of
the only handlers that it has; CONFIG_FILES the files that are read, at first and at SIGHUP. Where
PATIENT_NOTES is set, a worker waits for so many seconds until what a job told last is taken. Jobs
whose payload has `waits` end when the file RECORD_FILE.go is there.
"""

from __future__ import annotations

import ctypes
import mmap
import os
import signal
import struct
import sys
import time
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Annotated, Literal

import msgspec
import trio
from msgspec import Meta

from hermesd.config import load
from hermesd.core.backoff import Backoff, BackoffKind
from hermesd.daemon import run
from hermesd.handlers import JobContext, Permanent, Snooze, job
from hermesd.worker import notes

SOON = Backoff(kind=BackoffKind.FIXED, seconds=0.05, jitter=0.0)


def record(ctx: JobContext) -> None:
    """One line, whole, however many processes append."""
    line = f"{ctx.job_id} {ctx.lease} {ctx.attempt} {os.getpid()}\n"
    handle = os.open(os.environ["RECORD_FILE"], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
    try:
        os.write(handle, line.encode())
    finally:
        os.close(handle)


def has_to_wait(payload: Mapping[str, float]) -> bool:
    """Whether the job waits for a word, and that has not come."""
    return "waits" in payload and not Path(os.environ["RECORD_FILE"] + ".go").exists()


@job("note")
async def note(payload: dict[str, float], ctx: JobContext) -> str:
    """Sleeps `seconds` under trio."""
    record(ctx)
    await trio.sleep(payload.get("seconds", 0.0))
    while has_to_wait(payload):  # noqa: ASYNC110 - the word comes from another process
        await trio.sleep(0.05)
    return "noted"


@job("note.thread")
def note_in_thread(payload: dict[str, float], ctx: JobContext) -> str:
    """Sleeps `seconds` in a thread, and polls for its end."""
    record(ctx)
    ends_at = time.monotonic() + payload.get("seconds", 0.0)
    while time.monotonic() < ends_at:
        if ctx.cancel_requested():
            raise RuntimeError("asked to end")
        time.sleep(0.02)
    return "noted"


@job("note.process", kind="process")
def note_in_process(payload: dict[str, float], ctx: JobContext) -> str:
    """Sleeps `seconds` in a child process."""
    record(ctx)
    time.sleep(payload.get("seconds", 0.0))
    while has_to_wait(payload):
        time.sleep(0.05)
    return "noted"


@job("teller")
async def teller(payload: dict[str, int], ctx: JobContext) -> None:
    """Tells how far it is at each of `steps` steps of 50 ms, and logs `lines` lines at once."""
    for number in range(payload.get("lines", 0)):
        ctx.log(f"line {number}")
    for number in range(payload["steps"]):
        await trio.sleep(0.05)
        while number + 1 == payload["steps"] and has_to_wait(payload):  # noqa: ASYNC110 - as above
            await trio.sleep(0.05)
        await ctx.progress((number + 1) / payload["steps"], f"step {number + 1}")
    ctx.log("told all", level="warning")
    if ctx.attempt <= payload.get("failures", 0):
        raise RuntimeError("told and failed")


def tell(payload: dict[str, int], ctx: JobContext) -> None:
    """The same, not async."""
    for number in range(payload.get("lines", 0)):
        ctx.log(f"line {number}")
    for number in range(payload["steps"]):
        time.sleep(0.05)
        ctx.progress((number + 1) / payload["steps"], f"step {number + 1}")
    ctx.log("told all", level="warning")


@job("teller.thread")
def tell_in_thread(payload: dict[str, int], ctx: JobContext) -> None:
    """As `teller`, in a thread."""
    tell(payload, ctx)


@job("teller.process", kind="process")
def tell_in_process(payload: dict[str, int], ctx: JobContext) -> None:
    """As `teller`, in a child process."""
    tell(payload, ctx)


@job("fragile", backoff=SOON, max_attempts=5)
async def fragile(payload: dict[str, int], ctx: JobContext) -> int:
    """Fails `failures` times."""
    record(ctx)
    if ctx.attempt <= payload["failures"]:
        raise ValueError(f"attempt {ctx.attempt} fails")
    return ctx.attempt


@job("drowsy")
async def drowsy(payload: dict[str, int], ctx: JobContext) -> int:
    """Snoozes once."""
    record(ctx)
    if ctx.lease <= 2:
        raise Snooze(0.05, "not yet")
    return ctx.attempt


@job("hopeless", max_attempts=5)
async def hopeless(payload: dict[str, int], ctx: JobContext) -> None:
    """Must not be tried again."""
    record(ctx)
    raise Permanent("no use")


@job("bulky")
async def bulky(payload: dict[str, int], ctx: JobContext) -> str:
    """A result of `bytes` bytes."""
    record(ctx)
    return "x" * payload["bytes"]


@job("strange")
async def strange(payload: dict[str, str], ctx: JobContext) -> object:
    """A result that is hard to store: a NUL, a lone surrogate, an object without JSON."""
    record(ctx)
    results = {"nul": "a\x00b", "surrogate": "\ud800", "object": object()}
    found: object = results[payload["what"]]
    return found


@job("killer", crash_limit=2)
async def killer(payload: dict[str, int], ctx: JobContext) -> None:
    """Takes its worker with it."""
    record(ctx)
    os.kill(os.getpid(), signal.SIGKILL)
    await trio.sleep_forever()


@job("leave", kind="process", crash_limit=2, backoff=SOON)
def leave(payload: dict[str, int], ctx: JobContext) -> None:
    """Ends its own process."""
    record(ctx)
    os._exit(7)


@job("segfault", kind="process", crash_limit=2, backoff=SOON)
def segfault(payload: dict[str, int], ctx: JobContext) -> None:
    """Reads where nothing is."""
    record(ctx)
    ctypes.string_at(0)


@job("spin", kind="process", max_attempts=1)
def spin(payload: dict[str, int], ctx: JobContext) -> None:
    """Hears nothing and never ends."""
    record(ctx)
    while True:
        pass


@job("greedy", kind="process", max_attempts=1)
def greedy(payload: dict[str, int], ctx: JobContext) -> int:
    """Keeps `bytes` bytes for good."""
    record(ctx)
    hoard = bytearray(payload["bytes"])
    sys.modules["hoard"] = hoard  # type: ignore[assignment]  # anything that outlives the job
    return len(hoard)


@job("deaf", max_attempts=1)
async def deaf(payload: dict[str, float], ctx: JobContext) -> None:
    """Ignores its cancellation for `seconds`."""
    record(ctx)
    with trio.CancelScope(shield=True):
        await trio.sleep(payload["seconds"])


@job("stubborn", max_attempts=1)
def stubborn(payload: dict[str, float], ctx: JobContext) -> None:
    """A thread that looks at nothing for `seconds`."""
    record(ctx)
    time.sleep(payload["seconds"])


@job("blocker")
async def blocker(payload: dict[str, float], ctx: JobContext) -> str:
    """Blocks the worker's event loop for `seconds` the first time, as no handler should."""
    record(ctx)
    if ctx.lease <= 2:
        time.sleep(payload["seconds"])  # noqa: ASYNC251  # the fault that is tested
    return "blocked"


class Parcel(msgspec.Struct, forbid_unknown_fields=True):
    """A payload of many kinds of members."""

    to: str
    weight: Annotated[int, Meta(ge=1, le=30, description="Kilograms")]
    kind: Literal["letter", "box"] = "box"
    fragile: bool = False
    items: list[str] = []
    note: str | None = None


@job("parcel")
async def parcel(payload: Parcel, ctx: JobContext) -> dict[str, str]:
    """Tells where it went."""
    record(ctx)
    return {"sent_to": payload.to, "note": payload.note or ""}


@job("parrot")
async def parrot(payload: dict[str, str], ctx: JobContext) -> dict[str, str]:
    """Says what it hears: in its log, in its progress, and in its result, or as its `error`."""
    record(ctx)
    ctx.log(payload["says"])
    await ctx.progress(0.5, payload["says"])
    if "error" in payload:
        raise Permanent(payload["error"])
    return payload


@job("traced")
async def traced(payload: dict[str, str], ctx: JobContext) -> list[str]:
    """The trace that it belongs to."""
    record(ctx)
    return [ctx.traceparent, ctx.tracestate]


def bend_clock(path: str) -> None:
    """Let the wall clock of this process be off by what the file says."""
    with Path(path).open("rb") as opened:
        offset = mmap.mmap(opened.fileno(), 8, prot=mmap.PROT_READ)
    straight = time.time
    time.time = lambda: straight() + struct.unpack("d", offset[:8])[0]


HANDLERS = [
    note,
    note_in_thread,
    note_in_process,
    teller,
    tell_in_thread,
    tell_in_process,
    fragile,
    drowsy,
    hopeless,
    bulky,
    strange,
    killer,
    leave,
    segfault,
    spin,
    greedy,
    deaf,
    stubborn,
    blocker,
    traced,
    parcel,
    parrot,
]

if __name__ == "__main__":
    if "CLOCK_FILE" in os.environ:
        bend_clock(os.environ["CLOCK_FILE"])
    if "PATIENT_NOTES" in os.environ:
        notes.CALL_SECONDS = notes.LAST_WORDS_SECONDS = float(os.environ["PATIENT_NOTES"])  # type: ignore[misc]
    nowhere = Path("/nonexistent")
    wanted = os.environ.get("HANDLERS", "").split()
    extra = [each for each in HANDLERS if not wanted or each.type.name in wanted]
    files = [Path(path) for path in os.environ.get("CONFIG_FILES", "").split()]
    read = partial(load, files, os.environ, default_path=nowhere)
    sys.exit(run(read(), sys.argv[1], extra=extra, read=read if files else None))
