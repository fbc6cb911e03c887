"""Real daemons for tests: processes, clients, proxies, and the check of a whole history."""
