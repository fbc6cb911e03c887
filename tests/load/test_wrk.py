"""What wrk prints, as wrk 4.1.0 of Debian printed it."""

from __future__ import annotations

import pytest

from tests.bench.wrk import Told, parsed

WENT_WELL = """\
Running 1s test @ http://127.0.0.1:9777/
  1 threads and 1 connections
  Thread Stats   Avg      Stdev     Max   +/- Stdev
    Latency     3.58ms    9.18ms  68.71ms   92.49%
    Req/Sec     1.10k   513.32     1.96k    70.00%
  Latency Distribution
     50%  355.00us
     75%    2.22ms
     90%    9.69ms
     99%    1.05s
  1102 requests in 1.01s, 119.46KB read
Requests/sec:   1095.44
Transfer/sec:    118.74KB
"""
REFUSED = "  Non-2xx or 3xx responses: 1480\n"


def test_requests_and_latencies_are_read_in_their_units() -> None:
    assert parsed(WENT_WELL) == Told(requests=1102, rate=1095.44, p50_ms=0.355, p99_ms=1050.0)


def test_a_run_with_refusals_is_no_figure() -> None:
    with pytest.raises(RuntimeError, match="2xx"):
        parsed(WENT_WELL + REFUSED)


def test_what_is_not_wrks_is_told() -> None:
    with pytest.raises(RuntimeError, match="wrk said nothing"):
        parsed("")
