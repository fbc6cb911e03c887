"""A journal for tests: a socket that reads what systemd-journald would, and daemons that write."""
