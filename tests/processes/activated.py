"""What systemd does for a socket unit: `activated.py NAME:NAME FD,FD SCRIPT ARGUMENTS`.

The descriptors become 3 and what follows, and the script takes this process over
(sd_listen_fds(3)).
"""

from __future__ import annotations

import fcntl
import os
import sys

FIRST = 3
OUT_OF_THE_WAY = 100

if __name__ == "__main__":
    names, descriptors, *command = sys.argv[1:]
    given = [int(each) for each in descriptors.split(",")]
    aside = [fcntl.fcntl(each, fcntl.F_DUPFD, OUT_OF_THE_WAY) for each in given]
    for descriptor in given:
        os.close(descriptor)
    for place, descriptor in enumerate(aside):
        os.dup2(descriptor, FIRST + place)
        os.close(descriptor)
    os.environ |= {
        "LISTEN_PID": str(os.getpid()),
        "LISTEN_FDS": str(len(aside)),
        "LISTEN_FDNAMES": names,
    }
    os.execv(sys.executable, [sys.executable, *command])
