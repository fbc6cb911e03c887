"""`hermesd doctor`: what of this machine, its configuration and its neighbours ails the daemon.

    command ─► examine (all checks at once, each bounded) ─► findings
                  └─ configuration, addresses, certificate, stores, broker, apis, plugins, machine

A check looks and never changes anything. It gives findings, each with what was seen and, where
that is not well, the command or the key that mends it.
"""
