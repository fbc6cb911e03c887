"""The handler as a worker runs it: in a child process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
import trio
from hermesd_resize_image.handler import resize_image
from hermesd_resize_image.payload import ResizeResult

from hermesd.core.outcome import OutcomeKind
from hermesd.worker.processes import ProcessPool, ProcessTask


def task(payload: dict[str, Any], **settings: object) -> ProcessTask:
    return ProcessTask(
        reference=resize_image.reference,
        handler_type="resize-image",
        payload=msgspec.json.encode(payload),
        job_id="job-1",
        type="resize-image",
        settings=settings,
    )


async def test_a_child_resizes_fetches_and_refuses(
    site: Any, make_image: Callable[..., bytes]
) -> None:
    """Settings, results and endings go through the process's border; one child does it all."""
    site.serve("/in.png", make_image())
    fetched = {"source_url": site.url("/in.png"), "width": 100}
    with trio.fail_after(120):
        async with trio.open_nursery() as nursery, ProcessPool(nursery, size=1) as pool:
            given = await pool.run(task({"source_base64": make_image(), "width": 100}))
            gotten = await pool.run(task(fetched, allow_private_addresses=True))
            refused = await pool.run(task(fetched))
            bad = await pool.run(task({"width": 100}))
    for reply in (given, gotten):
        assert reply.kind is OutcomeKind.SUCCEEDED
        assert msgspec.json.decode(reply.result or b"", type=ResizeResult).height == 50
    assert refused.kind is OutcomeKind.PERMANENT
    assert "only public ones" in (refused.error.message if refused.error else "")
    assert bad.kind is OutcomeKind.PERMANENT
    assert "exactly one" in (bad.error.message if bad.error else "")
