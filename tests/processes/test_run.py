"""What a run of tests has started does not outlive it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from processes.run import RUN

# A server in a session of its own that nobody ends, and one that does not listen.
STARTED = """\
import os, subprocess, sys
from processes.run import one_run, run_folder
with one_run(), one_run():
    open(os.path.join(run_folder(), "file"), "w").close()
    for ignored in ("", "trap '' TERM INT HUP; "):
        subprocess.Popen(["sh", "-c", ignored + "sleep 1000 & wait"], start_new_session=True)
    print(run_folder(), flush=True)
    sys.stdin.read()
"""


@pytest.mark.parametrize("killed", [True, False], ids=["killed", "ended"])
def test_nothing_is_left_of_a_run(killed: bool) -> None:
    """Neither a process nor a file, and before the run itself is over if nobody killed it."""
    environ = {name: value for name, value in os.environ.items() if name != RUN}
    environ["PYTHONPATH"] = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", STARTED]
    with subprocess.Popen(
        command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as run:
        assert run.stdout is not None
        folder = Path(run.stdout.readline().strip())
        assert (folder / "file").exists()
        if killed:
            run.kill()
        # Whoever is there holds the pipe, the warden too: this is the end of all of them.
        run.communicate()
    assert not folder.exists()
