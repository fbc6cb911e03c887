"""Imports structlog without rich, whose tracebacks in colours no daemon writes.

structlog takes in rich wherever it is installed, as it is beside every hermesd for its commands
(measured: 4 MB of memory and 25 ms of a start).
"""

from __future__ import annotations

import importlib
import sys


def import_structlog() -> None:
    """Do so unless one of them is imported already; rich can be imported later as ever."""
    if "structlog" in sys.modules or "rich" in sys.modules:
        return
    sys.modules["rich"] = None  # type: ignore[assignment]  # what makes an import of it fail
    try:
        importlib.import_module("structlog")
    finally:
        del sys.modules["rich"]


import_structlog()
