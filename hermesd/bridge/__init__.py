"""The only package where asyncio runs: trio_asyncio hosts grpclib and aiormq for everyone else.

Everything given out here is trio-flavoured and raises errors of `core.errors`. grpclib and aiormq
look up the running asyncio loop in their constructors, so their objects are made in functions that
run asyncio-flavoured (`await aio_as_trio(f)(*args)`), inside `open_bridge()`.
"""
