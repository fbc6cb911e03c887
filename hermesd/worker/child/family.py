"""Kills a process with all that it has started."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Iterator
from pathlib import Path


def kill_family(leader_pid: int) -> None:
    """SIGKILL to the process group of `leader_pid`, and to the groups that its children made.

    `leader_pid` leads its own session and must not have been reaped, so that its number cannot
    belong to another process. Descendants in sessions of their own are found by their parents
    (/proc/PID/task/*/children, proc(5)) and killed first of all, while they still have them;
    one whose parent has ended before is out of reach.
    """
    own_group = os.getpgrp()
    groups = {leader_pid}
    for pid in _descendants(leader_pid):
        with contextlib.suppress(ProcessLookupError, PermissionError):
            groups.add(os.getpgid(pid))
    for group in groups - {own_group, 0, 1}:
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(group, signal.SIGKILL)


def _descendants(pid: int) -> Iterator[int]:
    waiting = [pid]
    while waiting:
        for child in _children(waiting.pop()):
            yield child
            waiting.append(child)


def _children(pid: int) -> Iterator[int]:
    with contextlib.suppress(OSError):  # it has ended, or the kernel keeps no such list
        for task in Path(f"/proc/{pid}/task").iterdir():
            yield from map(int, (task / "children").read_text().split())


def resident_bytes(pid: int) -> int:
    """The resident set of a process, 0 where it cannot be read (proc(5), statm)."""
    try:
        fields = Path(f"/proc/{pid}/statm").read_text().split()
    except OSError:
        return 0
    return int(fields[1]) * os.sysconf("SC_PAGE_SIZE")
