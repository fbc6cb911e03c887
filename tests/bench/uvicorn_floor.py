"""The trivial app of http_floor under uvicorn with httptools and uvloop, to compare with."""

from __future__ import annotations

from pathlib import Path

from tests.bench.venvs import NotInstallable, python_with

_SCRIPT = """
import sys, uvicorn

START = {"type": "http.response.start", "status": 200,
         "headers": [(b"content-type", b"text/plain"), (b"content-length", b"2")]}
BODY = {"type": "http.response.body", "body": b"ok"}

async def app(scope, receive, send):
    if scope["type"] == "http":
        await receive()
        await send(START)
        await send(BODY)

uvicorn.run(app, port=int(sys.argv[1]), loop="uvloop", http="httptools", lifespan="off",
            access_log=False, log_level="warning", ws="none")
"""


def installed(folder: Path) -> list[str] | None:
    """The command that serves on the port behind it; None where it cannot be installed."""
    try:
        python = python_with(folder / "venv", ["uvicorn", "httptools", "uvloop"])
    except NotInstallable:
        return None
    script = folder / "serve.py"
    script.write_text(_SCRIPT)
    return [python, str(script)]
