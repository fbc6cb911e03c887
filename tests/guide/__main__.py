"""Writes the generated parts of the operator's guide: `python -m tests.guide`."""

from __future__ import annotations

from .parts import GUIDE, renewed

GUIDE.write_text(renewed(GUIDE.read_text(encoding="utf-8")), encoding="utf-8")
