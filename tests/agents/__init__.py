"""The agents of both roles in one event loop, on a clock that jumps over every idle wait."""
