"""Other job systems on the same machine in the same run: `make bench-peers`.

    run ─► measure ─► one file a peer: what to install, what it makes durable, and the program that
              │       runs in its own throwaway environment as worker and as submitter
              └─► servers: a private RabbitMQ, PostgreSQL or Redis each

Files of peers import their library inside functions only, since both sides load them: the suite
for the `PEER` in them, the peer's own interpreter to run them.
"""
