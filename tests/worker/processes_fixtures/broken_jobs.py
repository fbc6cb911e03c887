"""A module that a child cannot import."""

raise RuntimeError("no such luck")
