"""A worker to be killed: starts a job that spins, given the pipe that the job tells its pid to."""

import sys

import trio

from hermesd.worker.processes import ProcessPool, ProcessTask


async def main(pipe: str) -> None:
    async with trio.open_nursery() as nursery, ProcessPool(nursery, size=1) as pool:
        payload = f'{{"how": "busy", "pipe": "{pipe}"}}'.encode()
        await pool.run(
            ProcessTask(
                reference="process_jobs:hang",
                handler_type="hang",
                type="hang",
                job_id="j",
                payload=payload,
            )
        )


trio.run(main, sys.argv[1])
