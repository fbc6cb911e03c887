"""The harness `processes` is imported by its own name, from here and from the fault tests."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))

from processes.fixtures import broker, deployment, ladder

__all__ = ["broker", "deployment", "ladder"]
