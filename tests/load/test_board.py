"""What the suite makes of its values."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.bench.board import Board
from tests.bench.figures.growth import slope
from tests.bench.generator import requests_of
from tests.bench.peers.run import PEERS
from tests.bench.run import arguments


def test_a_line_has_its_median_and_its_ratio_to_the_floors_that_were_measured(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """On paper and in the JSON."""
    board = Board()
    board.head("6", "floors")
    board.put("floor", [100.0], "jobs/s")
    board.put("rate", [40.0, 60.0, 50.0], "jobs/s", "floor", "another floor")
    board.write(tmp_path / "figures.json")
    written = json.loads((tmp_path / "figures.json").read_text())
    assert written["lines"][1]["median"] == 50.0
    assert written["lines"][1]["ratios"] == {"floor": 0.5}
    assert "(40.00 to 60.00)  0.50 of floor" in capsys.readouterr().out


def test_the_slope_is_that_of_the_line_through_the_points() -> None:
    """And 0 through one."""
    assert slope([(0, 5.0), (10, 25.0), (20, 45.0)]) == pytest.approx(2.0)
    assert slope([(7, 5.0)]) == 0.0


@pytest.mark.parametrize("size", [100, 5000])
def test_a_payload_has_the_bytes_asked_for(size: int) -> None:
    """As JSON in the request."""
    head, body = requests_of("noop", size, 0)().split(b"\r\n\r\n", 1)
    assert f"Content-Length: {len(body)}".encode() in head
    payload = json.loads(body)["payload"]
    assert abs(len(json.dumps(payload)) - size) <= 1


def test_every_job_of_a_stamped_batch_says_when_it_was_sent() -> None:
    """A number, not the place for one."""
    body = requests_of("stamp", 100, 3)().split(b"\r\n\r\n", 1)[1]
    stamps = {job["payload"]["sent_ns"] for job in json.loads(body)["jobs"]}
    assert len(stamps) == 1
    assert stamps != {123456789}


def test_a_mixed_batch_has_all_priorities() -> None:
    """As evenly as its size allows."""
    body = requests_of("noop", 100, 22, mixed=True)().split(b"\r\n\r\n", 1)[1]
    assert [job["priority"] for job in json.loads(body)["jobs"]] == [*range(11)] * 2


@pytest.mark.parametrize("given", [["--only", "99"], ["--rounds", "0"], ["--scale", "0"]])
def test_a_run_that_makes_no_sense_is_refused(given: list[str]) -> None:
    """As any command does."""
    with pytest.raises(SystemExit):
        arguments().parse_args(given)


def test_every_peer_says_what_it_makes_durable() -> None:
    """And can be loaded where its library is not installed."""
    assert [peer.name for peer in PEERS][:2] == ["Celery", "Dramatiq"]
    assert all(peer.durable and peer.bulk and peer.packages for peer in PEERS)
