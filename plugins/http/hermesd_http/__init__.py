"""hermesd-http: the job type `http`, a webhook call, and the address guard that it goes through.

plugin.py ─► handler.py ─► exchange.py ─► transport.py ─► addresses.py
               │  └─ headers.py, signature.py
               └─ payload.py, settings.py, retry_after.py
"""
