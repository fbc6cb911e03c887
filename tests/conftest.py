"""What all tests share: one broker a session. Its package is imported by its own name."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))

from brokers.rabbitmq import rabbitmq

__all__ = ["rabbitmq"]
