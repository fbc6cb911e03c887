"""Load on a running deployment, and what came of it: what `hermesd bench` does.

    plan ─► load ─► senders (one a connection) ─► tally ─► report ─► table, JSON, svg
              │         │ a fault                    ▲
              │         └─► again after a pause ─────┤
              └─► tickets (whose turn, when)         └─ recorded (GET /stats until all have ended)

It is a client like any other: it knows the HTTP API, and nothing of the daemon.
"""

from hermesd.bench.load import measure
from hermesd.bench.plan import Mode, Plan, Share
from hermesd.bench.report import Report
from hermesd.bench.svg import latency_plot
from hermesd.bench.tally import Tally

__all__ = ["Mode", "Plan", "Report", "Share", "Tally", "latency_plot", "measure"]
