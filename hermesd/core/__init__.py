"""The pure core: values and decisions, no I/O, no clock, no randomness, no logging."""
