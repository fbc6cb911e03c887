"""A run of tests takes along what it has started, however it ends: kill -9 of it, too.

As a program this is the run's warden: `python -IS run.py FOLDER` waits until the run is gone.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

# In the environment of all that a run starts: its folder, which goes with it.
RUN: Final = "TEST_RUN_FOLDER"
POLL_SECONDS: Final = 0.02
KILL_SECONDS: Final = 60.0  # what does not end by then hangs in the kernel


@contextmanager
def one_run() -> Iterator[None]:
    """Inside is one run, with a folder for its servers; within another run it is part of that.

    Whoever is started with RUN in its environment is killed at the end, or when this process dies.
    """
    if RUN in os.environ:
        yield
        return
    folder = tempfile.mkdtemp(prefix="hermesd-tests-")
    os.chmod(folder, 0o755)  # servers run as users of their own
    # A pipe that nobody else holds: it closes when this process ends, in whatever way.
    command = [sys.executable, "-IS", __file__, folder]
    warden = subprocess.Popen(command, stdin=subprocess.PIPE, start_new_session=True)
    os.environ[RUN] = folder
    try:
        yield
    finally:
        del os.environ[RUN]
        warden.communicate()


def run_folder() -> str:
    """Of the run that this is part of."""
    return os.environ[RUN]


def _watch(folder: str) -> None:
    sys.stdin.read()
    until = time.monotonic() + KILL_SECONDS
    while (left := _started_in(folder)) and time.monotonic() < until:
        for process in left:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
        time.sleep(POLL_SECONDS)  # they are not ours to wait for
    shutil.rmtree(folder, ignore_errors=True)


def _started_in(folder: str) -> list[int]:
    mark, found = f"{RUN}={folder}".encode(), []
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):  # it has ended, or is somebody else's
            if mark in path.read_bytes().split(b"\0"):
                found.append(int(path.parent.name))
    return found


if __name__ == "__main__":
    _watch(sys.argv[1])
