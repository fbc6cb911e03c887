"""hermesd-resize-image: the job type `resize-image`.

plugin.py ─► handler.py ─► source.py ─► beneath.py, fetch.py (through hermesd_http)
               ├─ image.py ─► geometry.py
               ├─ target.py ─► beneath.py
               └─ payload.py, settings.py
"""
