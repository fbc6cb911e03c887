"""Generated code (hermesd.wire.gen)."""
