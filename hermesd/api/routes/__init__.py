"""The HTTP routes by resource, with what each takes and answers; collected by `api/app.py`."""
