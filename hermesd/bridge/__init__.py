"""The only package where asyncio runs: trio_asyncio hosts grpclib and aiormq for everyone else.

Everything given out here is trio-flavoured and raises errors of `core.errors`. grpclib and aiormq
look up the running asyncio loop in their constructors, so their objects are made in functions that
run asyncio-flavoured (`await aio_as_trio(f)(*args)`), inside `open_bridge()`.
"""

import asyncio

import grpclib.utils
import trio_asyncio  # noqa: F401  # it puts a current_task of its own into asyncio

# grpclib keeps the one that it has found when it was imported. That of CPython 3.12 and later asks
# for asyncio's own running loop, of which there is none, and every stream of grpclib's fails.
grpclib.utils._current_task = asyncio.current_task
