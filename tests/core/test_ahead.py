"""What is known in memory of the waiting jobs."""

from __future__ import annotations

import msgspec
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from hermesd.core.ahead import JOB_BYTES, Ahead, Line, Place, place_of
from hermesd.core.job import Job, Owner

LIMIT = 5
ROOM = 12 * (JOB_BYTES + 1)


def queued(number: int, priority: int = 3, **members: object) -> Job:
    """A waiting job."""
    job = Job(id=f"j{number:04}", type="t", payload=msgspec.Raw(b"1"), priority=priority)
    return msgspec.structs.replace(job, **members)


class Knowing(RuleBasedStateMachine):
    """Beside a store: what is known of a line is always its beginning, and all of it if whole."""

    def __init__(self) -> None:
        super().__init__()
        self.ahead = Ahead(ROOM)
        self.store: list[Job] = []  # in the order of their coming
        self.reading: tuple[list[Place], list[Job]] | None = None
        self.number = 0

    def places(self) -> list[Place]:
        """The lines in which jobs wait."""
        return sorted({place_of(job) for job in self.store})

    def waiting(self, place: Place) -> list[Job]:
        """A line by the store."""
        return [job for job in self.store if place_of(job) == place]

    @rule(priority=st.integers(0, 2), jobs=st.integers(1, 3))
    def comes(self, priority: int, jobs: int) -> None:
        """A submit."""
        new = []
        for _ in range(jobs):
            self.number += 1
            new.append(queued(self.number, priority))
        self.store += new
        self.ahead.arrived(new, len(self.waiting(place_of(new[0]))))

    @rule(priority=st.integers(0, 2), taken=st.integers(1, 4), back=st.integers(0, 2))
    @precondition(lambda self: self.reading is None)
    def goes(self, priority: int, taken: int, back: int) -> None:
        """The feeder takes some, and puts a few of them back."""
        line = self.ahead.line(("default", "t", priority))
        if line is None:
            return
        jobs = [self.ahead.take(line) for _ in range(min(taken, len(line.jobs)))]
        kept = jobs[max(len(jobs) - back, 0) :]
        self.ahead.put_back(line, kept)
        self.store = [job for job in self.store if job not in jobs or job in kept]

    @rule()
    @precondition(lambda self: self.reading is None)
    def asks(self) -> None:
        """A reading begins; what it finds is as of some moment until its end."""
        self.ahead.begin_reading()
        self.reading = self.places(), []

    @rule()
    @precondition(lambda self: self.reading is not None and not self.reading[1])
    def is_read(self) -> None:
        """This is the moment."""
        assert self.reading is not None
        self.reading[1].extend(sorted(self.store, key=lambda job: -job.priority)[:LIMIT])

    @rule(fails=st.booleans())
    @precondition(lambda self: self.reading is not None)
    def answers(self, fails: bool) -> None:
        """The reading ends."""
        if self.reading is not None and not self.reading[1]:
            self.is_read()
        assert self.reading is not None
        (places, jobs), self.reading = self.reading, None
        if fails:
            self.ahead.give_up_reading()
        else:
            self.ahead.read(places, jobs, everything=len(jobs) < LIMIT)

    @rule()
    def forgets(self) -> None:
        """A job came back to its old place."""
        if self.reading is None:
            self.ahead.clear()

    @invariant()
    @precondition(lambda self: self.reading is None)
    def a_line_is_a_beginning(self) -> None:
        """In order, and with the whole one ends with it."""
        for place in self.places():
            line = self.ahead.line(place)
            if line is not None:
                waiting = self.waiting(place)
                assert list(line.jobs) == waiting[: len(line.jobs)]
                if line.whole:
                    assert len(line.jobs) == len(waiting)


TestKnowing = Knowing.TestCase
TestKnowing.settings = settings(max_examples=200, stateful_step_count=30, deadline=None)


def ids(line: Line | None) -> list[str]:
    """Who stands in a line."""
    return [job.id for job in line.jobs] if line else []


def test_what_is_not_the_stores_is_not_known() -> None:
    """A job that waits at a broker is not given out from here."""
    ahead = Ahead()
    job = queued(1, owner=Owner.AMQP)
    ahead.arrived([job], 1)
    assert ahead.line(place_of(job)) is None


def test_memory_is_bounded() -> None:
    """What does not fit is the store's alone, and room is made as jobs leave."""
    ahead = Ahead(2 * JOB_BYTES + 10)
    for number in range(1, 4):
        ahead.arrived([queued(number)], number)
    line = ahead.line(place_of(queued(1)))
    assert line is not None
    assert (ids(line), line.whole) == (["j0001", "j0002"], False)
    ahead.take(line)
    ahead.arrived([queued(9, priority=5)], 1)
    assert ids(ahead.line(place_of(queued(9, priority=5)))) == ["j0009"]


def test_labels_count_until_their_job_is_taken() -> None:
    """There may be 16 KiB of them."""
    labels = {f"name{number}": "x" * 200 for number in range(16)}
    ahead, several = Ahead(3 * 16 * 200), [queued(1, labels=labels), queued(2, labels=labels)]
    ahead.arrived(several[:1], 1)
    line = ahead.line(place_of(several[0]))
    assert line is not None
    assert ahead.take_plain(line, 1, 9.0) == several[:1]
    ahead.arrived(several[:1], 1)
    assert line.whole
    ahead.arrived(several[1:], 2)
    assert (ids(line), line.whole) == (["j0001"], False)


def test_a_reading_that_is_too_long_puts_others_out() -> None:
    """They can be read again: the book does not grow with the number of its lines."""
    ahead = Ahead(4 * (JOB_BYTES + 1))
    for priority in range(3):
        ahead.begin_reading()
        jobs = [queued(10 * priority + number, priority) for number in range(2)]
        ahead.read([place_of(jobs[0])], jobs, everything=True)
    lines = [ahead.line(("default", "t", priority)) for priority in range(3)]
    assert [ids(line) for line in lines] == [[], [], ["j0020", "j0021"]]
    ahead.arrived([queued(30, 5), queued(31, 5)], 2)
    assert ids(ahead.line(("default", "t", 5))) == ["j0030", "j0031"]


def test_nothing_is_whole_after_a_reading_of_which_nothing_is_left() -> None:
    """It was cut off, and all that it brought is under way already."""
    ahead = Ahead()
    place = place_of(queued(1))
    ahead.begin_reading()
    ahead.read([place], [], everything=False)
    line = ahead.line(place)
    assert line is not None
    assert (ids(line), line.whole) == ([], False)


def test_a_line_that_is_longer_in_truth_is_not_whole() -> None:
    """Somebody else queued a job."""
    ahead = Ahead()
    job = queued(1)
    ahead.arrived([job], 1)
    line = ahead.line(place_of(job))
    assert line is not None
    ahead.doubt({place_of(job): 1})
    assert line.whole
    ahead.doubt({place_of(job): 2})
    assert not line.whole


def test_a_job_that_was_offered_in_vain_casts_doubt_on_its_line() -> None:
    """It may have changed, and stand there still."""
    ahead = Ahead()
    job = queued(1)
    ahead.arrived([job], 1)
    ahead.misjudged(job)
    line = ahead.line(place_of(job))
    assert line is not None
    assert not line.whole


def test_those_alike_are_taken_together_up_to_a_suspect_or_a_younger_one() -> None:
    """In their order; what is left stays as it was, and the room is that of what is left."""
    ahead = Ahead(ROOM)
    jobs = [queued(number, enqueued_at=float(number)) for number in range(6)]
    jobs[4] = msgspec.structs.replace(jobs[4], crash_count=2)
    ahead.arrived(jobs, len(jobs))
    line = ahead.line(place_of(jobs[0]))
    assert line is not None
    assert ahead.take_plain(line, 2, 9.0) == jobs[:2]
    assert ahead.take_plain(line, 9, 2.0) == jobs[2:3]
    assert ahead.take_plain(line, 9, 9.0) == jobs[3:4]
    assert ahead.take_plain(line, 9, 9.0) == []
    assert list(line.jobs) == jobs[4:]
    ahead.arrived([queued(number, enqueued_at=9.0) for number in range(10, 20)], 12)
    assert line.whole
    assert len(line.jobs) == 12
