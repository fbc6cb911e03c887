"""Making, reading, changing, pausing and triggering schedules."""

from __future__ import annotations

from typing import Annotated, Final, TypeVar

import msgspec
from litestar import Response, delete, get, post, put
from msgspec import Meta

from hermesd.api.openapi import DOC, Doc
from hermesd.api.present import job_view
from hermesd.api.routes.access import HttpRequest, answer, name_of, services_of
from hermesd.api.routes.bodies import decode_body, read_body
from hermesd.api.routes.query import Query, read_query
from hermesd.api.schedule_views import (
    NewSchedule,
    ScheduleAnswer,
    ScheduleList,
    schedule_answer,
    schedule_list,
)
from hermesd.api.views import JobAnswer
from hermesd.core.errors import (
    ChangedMeanwhile,
    Conflict,
    InvalidPayload,
    InvalidValue,
    MalformedJson,
    NotFound,
    OutcomeUnknown,
    QueueFull,
    StoreUnavailable,
    TooLarge,
    UnknownQueue,
    UnknownType,
)
from hermesd.core.schedule import Schedule, ScheduleDefinition

MAX_FIRES: Final = 100
NEXT_FIRES: Final = 5
LAST_FIRES: Final = 10
B = TypeVar("B")
# What a submit of its job would be refused for, at once instead of at every fire.
_FAULTS: Final = (MalformedJson, InvalidValue, UnknownType, UnknownQueue, InvalidPayload, TooLarge)
_STORE: Final = (StoreUnavailable, OutcomeUnknown)
_IF_MATCH: Final = {
    "If-Match": "etags: it is done only if the definition is one of these still; *: if there is one"
}


class FiresQuery(Query, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Of a single schedule: how many next fires and last fires to show."""

    next: Annotated[int, Meta(ge=0, le=MAX_FIRES)] = NEXT_FIRES
    last: Annotated[int, Meta(ge=0, le=MAX_FIRES)] = LAST_FIRES


@get(
    "/schedules",
    opt={
        DOC: Doc(
            summary="List schedules by name",
            query=Query,
            answers={200: ScheduleList},
            errors=(InvalidValue, StoreUnavailable),
        )
    },
)
async def list_schedules(request: HttpRequest) -> Response[ScheduleList]:
    """All schedules."""
    read_query(request.scope["query_string"], Query)
    return answer(schedule_list(await services_of(request).schedules.all()))


@post(
    "/schedules",
    opt={
        DOC: Doc(
            summary="Make a schedule",
            query=Query,
            body=NewSchedule,
            answers={201: ScheduleAnswer},
            errors=(*_FAULTS, Conflict, *_STORE),
        )
    },
)
async def make_schedule(request: HttpRequest) -> Response[ScheduleAnswer]:
    """A new schedule; its job is checked as in a submit."""
    body = await _body(request, NewSchedule)
    made = await services_of(request).schedules.create(body.name, body.definition)
    return await _shown(request, made, status=201)


@get(
    "/schedules/{name:str}",
    opt={
        DOC: Doc(
            summary="Show a schedule with its next and last fires; the ETag is of its definition",
            query=FiresQuery,
            answers={200: ScheduleAnswer},
            errors=(NotFound, InvalidValue, StoreUnavailable),
        )
    },
)
async def show_schedule(request: HttpRequest) -> Response[ScheduleAnswer]:
    """One schedule."""
    query = read_query(request.scope["query_string"], FiresQuery)
    schedule = await services_of(request).schedules.get(name_of(request))
    shown = await _shown(request, schedule, query)
    shown.headers["etag"] = schedule.etag
    return shown


@put(
    "/schedules/{name:str}",
    opt={
        DOC: Doc(
            summary="Make a schedule (201), or replace its definition (200); a paused one stays so",
            query=Query,
            body=ScheduleDefinition,
            headers=_IF_MATCH,
            answers={200: ScheduleAnswer, 201: ScheduleAnswer},
            errors=(*_FAULTS, Conflict, ChangedMeanwhile, *_STORE),
        )
    },
)
async def put_schedule(request: HttpRequest) -> Response[ScheduleAnswer]:
    """A new definition, in place of all of the old one."""
    definition = await _body(request, ScheduleDefinition)
    book = services_of(request).schedules
    stored = await book.replace(name_of(request), definition, _expected(request))
    return await _shown(request, stored, status=201 if stored.revision == 1 else 200)


@delete(
    "/schedules/{name:str}",
    status_code=200,
    opt={
        DOC: Doc(
            summary="Delete a schedule; its jobs stay",
            query=Query,
            headers=_IF_MATCH,
            answers={200: ScheduleAnswer},
            errors=(NotFound, Conflict, ChangedMeanwhile, *_STORE),
        )
    },
)
async def delete_schedule(request: HttpRequest) -> Response[ScheduleAnswer]:
    """The schedule as it was."""
    read_query(request.scope["query_string"], Query)
    schedules = services_of(request).schedules
    was = await schedules.get(name_of(request))
    shown = await _shown(request, was)
    await schedules.delete(was.name, _expected(request))
    return shown


@post(
    "/schedules/{name:str}/pause",
    status_code=200,
    opt={
        DOC: Doc(
            summary="Let a schedule fire no more until it is resumed",
            query=Query,
            answers={200: ScheduleAnswer},
            errors=(NotFound, Conflict, *_STORE),
        )
    },
)
async def pause_schedule(request: HttpRequest) -> Response[ScheduleAnswer]:
    """Nothing is made up for later."""
    read_query(request.scope["query_string"], Query)
    return await _shown(request, await services_of(request).schedules.pause(name_of(request)))


@post(
    "/schedules/{name:str}/resume",
    status_code=200,
    opt={
        DOC: Doc(
            summary="Let a paused schedule fire again, from now on",
            query=Query,
            answers={200: ScheduleAnswer},
            errors=(NotFound, Conflict, *_STORE),
        )
    },
)
async def resume_schedule(request: HttpRequest) -> Response[ScheduleAnswer]:
    """At its next time."""
    read_query(request.scope["query_string"], Query)
    return await _shown(request, await services_of(request).schedules.resume(name_of(request)))


@post(
    "/schedules/{name:str}/trigger",
    status_code=202,
    opt={
        DOC: Doc(
            summary="Submit a schedule's job now, beside its own times",
            query=Query,
            answers={202: JobAnswer},
            errors=(NotFound, *_FAULTS, QueueFull, *_STORE),
        )
    },
)
async def trigger_schedule(request: HttpRequest) -> Response[JobAnswer]:
    """The job."""
    read_query(request.scope["query_string"], Query)
    job = await services_of(request).schedules.trigger(name_of(request))
    return answer(JobAnswer(job=job_view(job)), 202)


def _expected(request: HttpRequest) -> tuple[str, ...] | None:
    """What If-Match names (RFC 9110 13.1.1); weak tags are among them, and equal to none."""
    lines = request.headers.getall("if-match", [])
    return tuple(tag.strip() for tag in ",".join(lines).split(",")) if lines else None


async def _body(request: HttpRequest, kind: type[B]) -> B:
    read_query(request.scope["query_string"], Query)
    body = await read_body(request.receive)  # type: ignore[arg-type]  # Litestar's own TypedDicts
    return decode_body(msgspec.json.Decoder(kind), body)


async def _shown(
    request: HttpRequest, schedule: Schedule, query: FiresQuery | None = None, status: int = 200
) -> Response[ScheduleAnswer]:
    wanted = query or FiresQuery()
    fires = await services_of(request).schedules.fires(schedule.name, wanted.last)
    return answer(schedule_answer(schedule, fires, wanted.next), status)


SCHEDULE_HANDLERS: Final = (
    list_schedules,
    make_schedule,
    show_schedule,
    put_schedule,
    delete_schedule,
    pause_schedule,
    resume_schedule,
    trigger_schedule,
)
