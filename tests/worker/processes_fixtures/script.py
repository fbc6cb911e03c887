"""A script that is its own plugin: it runs its handler in a child and prints the result."""

import sys

import trio

from hermesd.handlers import job
from hermesd.worker.processes import ProcessPool, ProcessTask


@job("greet", kind="process")
def greet(payload: str) -> str:
    return f"hello {payload} from {__name__}"


async def main() -> None:
    async with trio.open_nursery() as nursery, ProcessPool(nursery, size=1) as pool:
        reply = await pool.run(
            ProcessTask(
                reference=greet.reference,
                handler_type="greet",
                type="greet",
                job_id="j",
                payload=b'"you"',
            )
        )
    sys.stdout.write(f"{(reply.result or b'').decode()} {reply.error}\n")


if __name__ == "__main__":
    trio.run(main)
