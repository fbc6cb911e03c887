"""Clients that submit one job each, and stores that fail them."""

from __future__ import annotations

import trio

from agents.world import Api
from hermesd.api.intake import QUIET
from hermesd.api.submit import JobRequest, SubmitAnswer
from hermesd.core.errors import HermesError

Answer = SubmitAnswer | HermesError


async def submitted(api: Api, *types: str) -> list[Answer]:
    """The answers on jobs of these types, each submitted by a client of its own."""
    answers: dict[int, Answer] = {}

    async def client(number: int, name: str) -> None:
        try:
            answers[number] = await api.submit(name)
        except HermesError as error:
            answers[number] = error

    async with trio.open_nursery() as clients:
        for number, name in enumerate(types):
            clients.start_soon(client, number, name)
    return [answers[number] for number in range(len(types))]


def kinds(answers: list[Answer]) -> list[object]:
    """How each was routed, or which error it got."""
    return [one.routed if isinstance(one, SubmitAnswer) else type(one) for one in answers]


def goes_down(api: Api) -> None:
    """Its store is away."""
    api.jobs.down = True


def forgets(api: Api) -> None:
    """Its store does not know what became of the next change."""
    api.jobs.unknown = 1


async def quiet(api: Api) -> None:
    """So many jobs come one after another that the next one is not waited for company."""
    for _ in range(QUIET):
        await api.submit("chime")


def begun(api: Api, *types: str) -> list[Answer]:
    """The answers on jobs of these types, to which they are added; none has a task."""
    answers: list[Answer] = []

    def answer(told: SubmitAnswer | Exception) -> None:
        assert isinstance(told, SubmitAnswer | HermesError)
        answers.append(told)

    for name in types:
        assert api.agents.submitter.begin(JobRequest(type=name), answer)
    return answers
