"""Handlers of kind "process" that behave, and that misbehave in every way that a test needs."""

import ctypes
import os
import signal
import subprocess
import sys
import time
from typing import Any

import msgspec

from hermesd.handlers import JobContext, Permanent, Retry, Snooze, job

state: dict[str, Any] = {"calls": 0}


class Sum(msgspec.Struct):
    a: int
    b: int


@job("add", kind="process")
def add(payload: Sum) -> int:
    return payload.a + payload.b


@job("tell", kind="process")
def tell(payload: int, ctx: JobContext) -> None:
    for number in range(payload):
        ctx.progress(number / payload, f"step {number}")
        ctx.log(f"line {number}")
    if ctx.attempt > 1:
        time.sleep(1)


@job("tell.fork", kind="process")
def tell_from_a_fork(payload: Any, ctx: JobContext) -> None:
    ctx.log("the child")
    pid = os.fork()
    if not pid:
        ctx.log("its fork")
        ctx.progress(0.5)
        os._exit(0)
    os.waitpid(pid, 0)


@job("tell.late", kind="process")
def tell_late(payload: Any, ctx: JobContext) -> None:
    earlier = state.pop("ctx", None)
    if earlier is not None:
        earlier.log("too late")
        earlier.progress(0.9)
    state["ctx"] = ctx
    ctx.log("in time")


@job("about", kind="process")
def about(payload: Any, ctx: JobContext) -> dict[str, Any]:
    state["calls"] += 1
    return {
        "pid": os.getpid(),
        "calls": state["calls"],
        "type": ctx.type,
        "attempt": ctx.attempt,
        "labels": ctx.labels,
        "settings": ctx.settings,
        "cancelled": ctx.cancel_requested(),
        "modules": sorted(sys.modules),
        "python_path": os.environ.get("PYTHONPATH"),
        "session": os.getsid(0),
    }


@job("async.double", kind="process")
async def double(payload: int) -> int:
    import trio

    await trio.lowlevel.checkpoint()
    return payload * 2


@job("raise", kind="process")
def raise_(payload: str) -> None:
    if payload == "retry":
        raise Retry(after=7, reason="later")
    if payload == "permanent":
        raise Permanent("never")
    if payload == "snooze":
        raise Snooze(11)
    if payload == "exit":
        sys.exit(3)
    raise ZeroDivisionError("plain")


@job("result", kind="process")
def result(payload: int) -> Any:
    return "x" * payload if payload else object()


@job("die", kind="process")
def die(payload: str) -> None:
    sys.stderr.write(f"last words before {payload}\n")
    if payload == "exit":
        os._exit(9)
    if payload == "segfault":
        ctypes.string_at(0)
    if payload == "kill":
        os.kill(os.getpid(), signal.SIGKILL)
    if payload == "close":
        os.closerange(3, 64)


@job("forked", kind="process")
def forked(payload: Any) -> int:
    """Its fork returns from the handler too."""
    if os.fork() == 0:
        return 2
    return 1


@job("die.leaving", kind="process")
def die_leaving(payload: dict[str, str]) -> None:
    """Dies with a fork of it left, in its session or not, that holds the channel."""
    ready, done = os.pipe()
    pid = os.fork()
    if pid == 0:
        if payload["how"] == "another session":
            os.setsid()
        os.write(done, b"!")
        time.sleep(1000)
    os.read(ready, 1)
    _tell(payload["pipe"], pid)
    os._exit(9)


@job("hang", kind="process")
def hang(payload: dict[str, str]) -> None:
    """Writes the pids to end to payload["pipe"], then hangs as payload["how"] says."""
    how, pipe = payload["how"], payload["pipe"]
    if how == "grandchild":
        _tell(pipe, subprocess.Popen(["sleep", "1000"]).pid)
    if how == "grandchild in its own session":
        _tell(pipe, subprocess.Popen(["sleep", "1000"], start_new_session=True).pid)
    if not how.startswith("grandchild"):
        _tell(pipe, os.getpid())
    while how == "busy":
        pass
    if how == "in C":
        ctypes.PyDLL(None).sleep(1000)  # with the GIL held: no Python signal handler can run
    while how == "swallows":
        try:
            while True:
                time.sleep(1000)
        except BaseException:
            continue
    time.sleep(1000)


def _tell(pipe: str, *pids: int) -> None:
    with open(pipe, "w") as file:
        file.write(" ".join(map(str, (os.getpid(), *pids))))


@job("print", kind="process")
def print_(payload: int) -> None:
    for number in range(payload):
        sys.stdout.write(f"line {number}\n")
    sys.stdout.write("no newline")


@job("grow", kind="process")
def grow(payload: int) -> int:
    state["held"] = bytearray(os.urandom(1024)) * (payload // 1024)
    return os.getpid()


@job("signals", kind="process")
def signals(payload: Any) -> list[int]:
    """It survives what a terminal or a service manager sends; its own children do not."""
    os.kill(os.getpid(), signal.SIGTERM)
    os.kill(os.getpid(), signal.SIGINT)
    sleeper = subprocess.Popen(["sleep", "1000"])
    sleeper.terminate()
    return [sleeper.wait()]


@job("*", kind="process")
def anything(payload: Any, ctx: JobContext) -> str:
    return ctx.type
