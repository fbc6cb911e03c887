"""`python -m hermesd.worker.child CHANNEL_FD WORKER_PID`, started by the worker's process pool."""

from __future__ import annotations

import sys

from hermesd.worker.child import leash


def main(channel_fd: int, worker_pid: int) -> None:
    """Serves work until the channel ends."""
    leash.put_on(worker_pid)
    from hermesd.worker.child import program  # after the leash: the slow imports come with it

    program.serve(channel_fd)


if __name__ == "__main__":
    main(int(sys.argv[1]), int(sys.argv[2]))
