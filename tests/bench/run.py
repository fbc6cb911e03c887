"""The benchmark suite: `make bench`, or `python -m tests.bench.run --help`.

Every figure is the median of its rounds, with the least and the greatest; rates are jobs a second
from the first submit until the last job is recorded, with their ratio to the floors of this run.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from collections.abc import Set as AbstractSet
from contextlib import ExitStack
from dataclasses import replace
from functools import partial
from pathlib import Path

from tests.bench.board import Board
from tests.bench.databases import databases
from tests.bench.figures import (
    batches,
    broker,
    dashboard,
    delays,
    drain,
    floors,
    growth,
    latency,
    singles,
    start,
)
from tests.bench.setting import Setting
from tests.bench.turns import Turns

LONG = frozenset({8, 11})
FIGURES = tuple(range(1, 12))
OF_SQLITE = frozenset({9, 11})  # of the broker and the pages
PRIVATE_SERVER = (
    "PostgreSQL: private, reached by its socket, with fsync and synchronous_commit on and a log of "
    "1 GB that is used again (min_wal_size; max_wal_size is 4 GB); a database a deployment"
)


def arguments() -> argparse.ArgumentParser:
    """What it can be told."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.run", description=__doc__)
    parser.add_argument("--only", type=_figures, metavar="1,2,...", help="figures to measure")
    parser.add_argument("--growth", action="store_true", help="8 and 11 too: they take long")
    parser.add_argument("--rounds", type=_positive, default=3, help="of each (default: 3)")
    parser.add_argument(
        "--scale", type=_share, default=1.0, help="times the usual jobs, to try out"
    )
    parser.add_argument("--uvicorn", action="store_true", help="install uvicorn to compare with")
    parser.add_argument(
        "--peers", action="store_true", help="install Celery and aio-pika to compare figure 9 with"
    )
    parser.add_argument(
        "--postgresql", action="store_true", help="keep the jobs in a private PostgreSQL server"
    )
    parser.add_argument(
        "--turns", action="store_true", help="on both stores in turns, to compare the two"
    )
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every value there too")
    return parser


def _figures(text: str) -> frozenset[int]:
    chosen = frozenset(int(part) for part in text.split(","))
    if not chosen <= set(FIGURES):
        raise ValueError(text)
    return chosen


def _positive(text: str) -> int:
    if not 1 <= int(text) <= 100:
        raise ValueError(text)
    return int(text)


def _share(text: str) -> float:
    if not 0 < float(text) <= 10:
        raise ValueError(text)
    return float(text)


def main(given: Sequence[str]) -> int:
    """Measure what was asked for; the floors first, so that the rest has its ratios."""
    told = arguments().parse_args(given)
    begun = time.monotonic()
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="hermesd-bench-")))
        board = Board("PostgreSQL" if told.postgresql and not told.turns else "SQLite")
        setting = Setting(folder, board, told.rounds, told.scale)
        chosen = told.only or frozenset(FIGURES) - (frozenset() if told.growth else LONG)
        written: Board | Turns = board
        if told.postgresql or told.turns:
            folder.chmod(0o755)  # the server may run as a user of its own
            print(PRIVATE_SERVER)
            found = stack.enter_context(databases(folder / "postgresql", by_socket=True))
            chosen = _without(board, chosen, OF_SQLITE | ({6} if told.turns else set()))
        if told.turns:
            written = Turns(setting, found)
        elif told.postgresql:
            setting = replace(setting, databases=found)
        try:
            for figure, measured in _measures(told):
                if figure not in chosen:
                    continue
                if isinstance(written, Turns):
                    written.measure(figure, measured)
                else:
                    measured(setting)
        finally:  # what was measured before a failure counts
            if told.json is not None:
                written.write(told.json)
    print(f"\ntook {time.monotonic() - begun:,.0f} s")
    return 0


def _without(board: Board, chosen: frozenset[int], left: AbstractSet[int]) -> frozenset[int]:
    """What is chosen but for those, which are named."""
    for figure in sorted(chosen & left):
        board.note(f"figure {figure} is measured on SQLite only: left out")
    return chosen - left


def _measures(told: argparse.Namespace) -> list[tuple[int, Callable[[Setting], None]]]:
    """What measures each figure, in the order in which they are shown."""
    return [
        (6, partial(floors.measure, uvicorn=told.uvicorn)),
        (1, singles.measure),
        (2, batches.measure),
        (3, drain.measure),
        (4, latency.measure_idle),
        (5, latency.measure_loaded),
        (7, start.measure),
        (8, growth.measure),
        (9, partial(broker.measure, peers=told.peers)),
        (10, delays.measure),
        (11, dashboard.measure),
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
