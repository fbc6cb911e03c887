"""The fixtures of tests that ask Prometheus."""

from __future__ import annotations

from scraping.daemons import promtool, scraped

__all__ = ["promtool", "scraped"]
