"""Real message brokers for tests."""
