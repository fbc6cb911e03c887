"""The api role: its agents as a nursery tree whose nesting is the shutdown order.

Services (control line, dispatchers, reaper, timers, feeder) outlive intake (the HTTP server).
"""

from __future__ import annotations

import trio

from hermesd.api.agents import ApiAgents, ApiParts
from hermesd.api.app import Front, build_app
from hermesd.api.state import ApiState
from hermesd.api.summaries import Summaries
from hermesd.http.server import serve


async def run_api(
    state: ApiState,
    parts: ApiParts,
    *,
    stop_intake: trio.Event,
    stop_services: trio.Event,
    task_status: trio.TaskStatus[int] = trio.TASK_STATUS_IGNORED,
) -> None:
    """Serve until `stop_intake` (no new requests) and then `stop_services` are set.

    `started` is called with the control port once everything serves.
    """
    async with trio.open_nursery() as services:
        agents = ApiAgents(state, parts, services)
        await agents.recall()
        for agent in (
            agents.reaper.run,
            agents.feeder.run,
            agents.timer.run,
            agents.scheduler.run,
            agents.absentees.run,
            agents.adopter.run,
            agents.checker.run,
            agents.fleet_line.run,
            agents.lookout.run,
            agents.retainer.run,
            agents.follower.run,
            agents.queues.run,
        ):
            services.start_soon(agent)
        if agents.amqp is not None:
            services.start_soon(agents.amqp.run)
        if state.bus.shared:
            services.start_soon(agents.follow_others)
        services.start_soon(_close_streams, state, agents.lookout.summaries, stop_intake)
        async with parts.open_control(agents.control) as control:
            async with trio.open_nursery() as intake:
                await intake.start(
                    _serve_http, state, parts, build_app(agents.services()), stop_intake
                )
                task_status.started(control.port)
            await stop_services.wait()
            with trio.move_on_after(state.config.drain.report_seconds):
                await agents.lines.flushed()
                await agents.adopter.leave()
                await agents.lookout.history.leave()
        agents.telling.take_leave()
        services.cancel_scope.cancel()


async def _close_streams(state: ApiState, summaries: Summaries, stop_intake: trio.Event) -> None:
    """Event streams never end by themselves, and would use up the drain's time."""
    await stop_intake.wait()
    state.ring.close()
    summaries.close()


async def _serve_http(
    state: ApiState,
    parts: ApiParts,
    app: Front,
    stop_intake: trio.Event,
    task_status: trio.TaskStatus[None] = trio.TASK_STATUS_IGNORED,
) -> None:
    await serve(
        app,
        parts.listeners,
        lambda: state.config.http,
        stopping=stop_intake,
        drain_seconds=lambda: state.config.drain.report_seconds,
        log=state.log,
        prompt=app.prompt,
        task_status=task_status,
    )
