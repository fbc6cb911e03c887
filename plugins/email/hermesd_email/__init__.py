"""hermesd-email: the job type `email`, mail over SMTP.

plugin.py ─► handler.py ─► delivery.py (the SMTP session)
               ├─ message.py ─► addresses.py
               └─ payload.py, settings.py
"""
