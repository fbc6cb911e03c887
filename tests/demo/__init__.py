"""What `make demo` runs: a daemon, real jobs, and a look at what came of them.

__main__ tells the story, act by act (acts.py). The daemons are processes (daemons.py), talked to
as a user would: by the command (command.py) and the Python client. mailbox.py and receiver.py are
the world that the jobs act on; screen.py is what a person sees.
"""
