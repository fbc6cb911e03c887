"""The child process of a job of kind "process", from both sides of its channel.

In the child: `__main__` (leash, then program), `leash` (it dies with its parent), `program` (reads
work, runs handlers, replies), `resolve` (finds the handler). In the worker: `life` (start, watch,
kill, reap), `family` (the processes that a kill takes along), `output` (its stdout and stderr).
On both: `frames` (what goes over the channel). The child imports no trio unless a handler is async.
"""
