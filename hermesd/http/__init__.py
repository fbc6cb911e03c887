"""A thin ASGI 3.0 server on trio and httptools, and a lean client; nothing of jobs.

From the socket to the app: `server` accepts, `readiness` tells what can be read, `transport` reads
and writes, `parser` makes a `request` or knows it by its head (`heads`), `channel` puts deadlines
and refusals to both, `connection` takes one request after another, `exchange` is what the app
calls, `responses` renders what it says. `watch` enforces the deadlines of all connections, `limits`
are their sizes. `client` stands alone.
"""
