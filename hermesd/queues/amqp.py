"""The broker as a queue: waiting jobs are published to it, and workers pull them from there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

from hermesd.core.broker import Message, PublishFate
from hermesd.core.errors import TooLarge
from hermesd.core.fleet import item_of
from hermesd.core.job import Job, Rung
from hermesd.core.messages import JobMessage
from hermesd.core.records import Head, QueueStatus, Waiting
from hermesd.ports import Broker, JobStore, Messages
from hermesd.signal import Signal

UNDECLARED = "its queues have not been declared yet"


class AmqpQueue:
    """JobQueue over a Broker; what it does not take over waits in the store.

    `told` is called with each fate and how many messages had it. `misrouted` is set when a message
    found no queue, so that whoever declares them does it again.
    """

    def __init__(
        self,
        jobs: JobStore,
        broker: Broker,
        messages: Messages,
        store_id: str,
        told: Callable[[PublishFate, int], None],
    ) -> None:
        self.misrouted = Signal()
        self._jobs = jobs
        self._broker = broker
        self._messages = messages
        self._store_id = store_id
        self._told = told
        self._problem = UNDECLARED

    @property
    def rung(self) -> Rung:
        """The rung on which jobs wait now: the store's while the broker does not serve."""
        return Rung.STORE if self.reason() else Rung.AMQP

    def declared(self, problem: str = "") -> None:
        """The broker's queues were declared, or could not be, and why."""
        self._problem = problem

    async def offer(self, jobs: Sequence[Job]) -> Sequence[bool]:
        """True where the broker has confirmed the job's message; False: it may have it in spite.

        A message that it has in spite of that is refused when it is claimed a second time.
        """
        answers = [False] * len(jobs)
        places: list[int] = []
        messages: list[Message] = []
        for place, job in enumerate(jobs):
            try:
                messages.append(self._message(job))
            except TooLarge:
                continue  # it waits in the store, which has room for it
            places.append(place)
        if not messages:
            return answers
        fates = await self._broker.publish(messages)
        for place, fate in zip(places, fates, strict=True):
            answers[place] = fate is PublishFate.CONFIRMED
        self._learn(Counter(fates))
        return answers

    async def take(self, wanted: Waiting) -> Head:
        """What waits in the store; raises StoreUnavailable where it can't be read."""
        return await self._jobs.waiting(wanted)

    async def status(self) -> QueueStatus:
        """Serving while the broker takes messages."""
        reason = self.reason()
        return QueueStatus(serving=not reason, reason=reason)

    def reason(self) -> str:
        """Why the broker does not serve, empty where it does."""
        status = self._broker.status
        if not status.serving:
            return status.reason or "the broker is away"
        return self._problem

    def _message(self, job: Job) -> Message:
        message = JobMessage(
            store_id=self._store_id, enqueued_at=job.enqueued_at or job.created_at, job=item_of(job)
        )
        return self._messages.encode_job(message)

    def _learn(self, fates: Counter[PublishFate]) -> None:
        for fate, number in fates.items():
            self._told(fate, number)
        if fates[PublishFate.RETURNED]:
            self.misrouted.set()
        if fates[PublishFate.CONFIRMED]:
            self._problem = ""
        else:
            counts = ", ".join(f"{number} {fate}" for fate, number in fates.items())
            self._problem = f"the broker confirmed none of the last messages: {counts}"
