"""What ties a child to its worker, before anything slow is imported."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
from types import FrameType
from typing import Final

_PR_SET_PDEATHSIG: Final = 1  # prctl(2)
_OOM_SCORE_ADJ: Final = "300"  # of 1000: when memory runs out, a child goes before its worker


def put_on(worker_pid: int) -> None:
    """The kernel now kills this process when the thread that started it ends (prctl(2)).

    Ends the process at once where its worker has died meanwhile. SIGTERM and SIGINT do nothing
    from here on: the worker decides. A handler function, and not SIG_IGN, which the handlers'
    own children would inherit.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
    if os.getppid() != worker_pid:
        os._exit(1)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _do_nothing)
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:
        file.write(_OOM_SCORE_ADJ)


def _do_nothing(number: int, frame: FrameType | None) -> None:
    pass
