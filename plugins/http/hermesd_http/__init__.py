"""hermesd-http: the job type `http`, a webhook call, and the address guard that it goes through.

plugin.py ─► handler.py ─► call.py ─► exchange.py ─► transport.py ─► addresses.py
               │             └─ headers.py, signature.py, retry_after.py
               └─ payload.py, settings.py
"""
