"""The generated code is that of the .proto files."""

from __future__ import annotations

import runpy
from pathlib import Path

import hermesd.wire.gen

SCRIPT = Path(__file__).parents[2] / "proto" / "generate.py"


def test_the_checked_in_code_is_current(tmp_path):
    """Run `python proto/generate.py` where it is not."""
    script = runpy.run_path(str(SCRIPT))
    fresh = script["generated"]()
    assert "hermes/v1/control_pb2.py" in fresh
    assert script["outdated"](fresh, Path(hermesd.wire.gen.__path__[0])) == []
    assert script["outdated"](fresh, tmp_path) == sorted(fresh)
