"""Write the JSON Schemas of what goes through the broker, beside control.proto.

    python proto/message_schemas.py           write what has changed
    python proto/message_schemas.py --check   write nothing; exit 1 and name what is not current

They are those of the structs in hermesd/queues/messages.py.
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import msgspec

from hermesd.queues.messages import JobBody, OutcomeBody

FOLDER = Path(__file__).resolve().parent / "hermes" / "v1"
BODIES = {"job_message.schema.json": JobBody, "outcome_message.schema.json": OutcomeBody}
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def main() -> int:
    """Run one of the two modes; the exit code of the process."""
    parser = argparse.ArgumentParser(description="Write the schemas of messages.")
    parser.add_argument("--check", action="store_true", help="only tell whether they are current")
    check = parser.parse_args().check
    stale = outdated()
    for name, text in stale.items():
        sys.stdout.write(f"{'not current' if check else 'written'}: {name}\n")
        if not check:
            (FOLDER / name).write_text(text, encoding="utf-8")
    return 1 if check and stale else 0


def outdated() -> dict[str, str]:
    """The text that each file should have, by its name, of those that have another."""
    texts = {
        name: json.dumps({"$schema": DIALECT, **msgspec.json.schema(body)}, indent=2) + "\n"
        for name, body in BODIES.items()
    }
    return {name: text for name, text in texts.items() if _read(FOLDER / name) != text}


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8") if path.exists() else ""


if __name__ == "__main__":
    sys.exit(main())
