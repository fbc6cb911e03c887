"""The benchmark suite: `make bench` runs run.py, `make bench-peers` runs peers/.

    run ─► figures/ (one file a figure) ─► board (medians, ratios to the floors, JSON)
              │
              ├─► deployment: api and worker as processes (app.py, many workers: fleet.py)
              ├─► generator: the load, a process of its own
              └─► http_floor, store_floor: what the parts can do alone

Everything is measured on one machine, load generator included, with fsync on. Where a time goes
from one process to another it is the machine's monotonic clock.
"""
