"""The suite for Notes."""

from __future__ import annotations

from hermesd.core.job import Job, Token
from hermesd.core.notes import LINE_BYTES, MAX_LINES, JobNotes, LogLine, NoteKept, Progress, Told
from hermesd.core.records import EndedRange
from hermesd.core.states import Move, State
from hermesd.testing.conformance.scene import Conformance, Scene


class NotesConformance(Conformance):
    """Every sentence of ports.Notes."""

    async def test_a_progress_is_told_until_the_next(self, scene: Scene) -> None:
        """With its note and time; of a job that says nothing nothing is told."""
        job, silent = await scene.running(), await scene.running()
        for fraction, note in ((0.25, "reading"), (1.0, 'größer "x"')):
            (kept,) = await self._tell(scene, job, fraction, note)
            assert kept == NoteKept(job_type=job.type, run=1, attempt=1, lines=0)
            expected = Progress(fraction=fraction, note=note, at=scene.clock.utc())
            told = await scene.store.notes.told([silent.id, job.id, "no-such-job"])
            assert told == {job.id: Told(progress=expected)}
            scene.clock.advance(1.5)
        assert await scene.store.notes.told([]) == {}

    async def test_notes_move_no_job(self, scene: Scene) -> None:
        """It is as it was, and its outcome is recorded as ever."""
        job = await scene.running()
        scene.clock.advance(1)
        await self._tell(scene, job, 0.5, "half")
        await self._log(scene, job, "a line")
        assert await scene.now(job) == job
        assert await scene.event_kinds(job) == []
        assert await scene.settle(job, Move.SUCCEED) == "recorded"

    async def test_lines_come_in_order_and_in_pages(self, scene: Scene) -> None:
        """Numbered, with level, time, run and attempt; those of other jobs do not come in."""
        job, other = await scene.running(), await scene.running()
        await self._log(scene, job, "one", "two", level="debug")
        await self._log(scene, other, "not mine")
        scene.clock.advance(2)
        (kept,) = await self._log(scene, job, "drei\t€", level="error")
        assert kept is not None
        assert kept.lines == 1
        first = await scene.store.notes.lines(job.id, 0, 2)
        rest = await scene.store.notes.lines(job.id, first[-1].number, 100)
        now = scene.clock.utc()
        assert [(line.line, line.level, line.at) for line in (*first, *rest)] == [
            ("one", "debug", now - 2),
            ("two", "debug", now - 2 + 0.001),
            ("drei\t€", "error", now),
        ]
        assert {(line.run, line.attempt) for line in (*first, *rest)} == {(1, 1)}
        numbers = [line.number for line in (*first, *rest)]
        assert numbers == sorted(set(numbers))
        assert list(await scene.store.notes.lines(job.id, numbers[-1], 100)) == []
        assert list(await scene.store.notes.lines("no-such-job", 0, 100)) == []

    async def test_notes_of_a_lease_that_is_not_valid_are_dropped(self, scene: Scene) -> None:
        """An older or newer lease, a job that waits or has ended, and one that is not there."""
        job, ended, waiting = await scene.running(), await scene.running(), await scene.queued()
        await scene.settle(ended, Move.SUCCEED)
        tokens = (
            Token(job.id, job.lease - 1),
            Token(job.id, job.lease + 1),
            ended.token,
            waiting.token,
            Token("no-such-job", 1),
            job.token,
        )
        progress = Progress(fraction=0.5, at=scene.clock.utc())
        line = LogLine(line="late", at=scene.clock.utc())
        notes = [JobNotes(token=one, progress=progress, lines=(line,), dropped=1) for one in tokens]
        answers = await scene.store.notes.write(notes)
        assert [answer is not None for answer in answers] == [False] * 5 + [True]
        assert list(await scene.store.notes.told([ended.id, waiting.id])) == []
        for one in (ended, waiting):
            assert list(await scene.store.notes.lines(one.id, 0, 9)) == []
        assert len(await scene.store.notes.lines(job.id, 0, 9)) == 1

    async def test_a_new_attempt_begins_without_progress(self, scene: Scene) -> None:
        """Nor has a job that waits for it; the lines of the one before keep its number."""
        job = await scene.running()
        await self._tell(scene, job, 0.9, "nearly")
        await self._log(scene, job, "first")
        await scene.settle(job, Move.RETRY)
        assert await self._progress(scene, job) is None
        await scene.store.jobs.release_due(10)
        again = await scene.assign(await scene.now(job))
        assert again is not None
        assert await self._progress(scene, job) is None
        await self._log(scene, again, "second")
        lines = await scene.store.notes.lines(job.id, 0, 9)
        assert [(line.line, line.attempt) for line in lines] == [("first", 1), ("second", 2)]
        await self._tell(scene, again, 0.1, "anew")
        assert await self._progress(scene, job) == 0.1

    async def test_a_progress_stays_where_its_run_ended(self, scene: Scene) -> None:
        """Whether that was an end or a failure."""
        for move in (Move.SUCCEED, Move.FAIL, Move.CANCEL):
            job = await scene.running()
            await self._tell(scene, job, 0.75, "so far")
            await scene.settle(job, move)
            assert await self._progress(scene, job) == 0.75

    async def test_a_run_keeps_the_first_lines_and_counts_the_rest(self, scene: Scene) -> None:
        """Over all its attempts; a new run has room again."""
        job = await scene.running()
        await self._log(scene, job, *map(str, range(MAX_LINES - 10)))
        await scene.settle(job, Move.RETRY)
        await scene.store.jobs.release_due(10)
        again = await scene.assign(await scene.now(job))
        assert again is not None
        (kept,) = await self._log(scene, again, *map(str, range(15)), dropped=100)
        assert kept is not None
        assert kept.lines == 10
        await self._log(scene, again, "not kept")
        assert await self._dropped(scene, job) == 5 + 100 + 1
        assert len(await scene.store.notes.lines(job.id, 0, 2 * MAX_LINES)) == MAX_LINES
        await scene.settle(again, Move.FAIL)
        await scene.store.jobs.requeue([job.id])
        anew = await scene.assign(await scene.now(job))
        assert anew is not None
        await self._log(scene, anew, "kept")
        last = (await scene.store.notes.lines(job.id, 0, 2 * MAX_LINES))[-1]
        assert (last.line, last.run, last.attempt) == ("kept", 2, 1)

    async def test_repeated_lines_are_kept_once(self, scene: Scene) -> None:
        """And those that were not there before are kept."""
        job = await scene.running()
        await self._log(scene, job, "one", "two")
        (kept,) = await self._log(scene, job, "one", "two", "three", repeated=True)
        assert kept is not None
        assert kept.lines == 1
        lines = await scene.store.notes.lines(job.id, 0, 9)
        assert [line.line for line in lines] == ["one", "two", "three"]

    async def test_many_jobs_at_once_and_one_twice(self, scene: Scene) -> None:
        """Each gets its own, in order."""
        jobs = [await scene.running() for _ in range(3)]
        notes = [self._progress_of(scene, job, place / 10) for place, job in enumerate(jobs)]
        lines = [self._lines_of(scene, job, f"of {place}") for place, job in enumerate(jobs)]
        last = self._progress_of(scene, jobs[0], 0.9)
        await scene.store.notes.write([*notes, *lines, last, *lines])
        assert [await self._progress(scene, job) for job in jobs] == [0.9, 0.1, 0.2]
        for place, job in enumerate(jobs):
            found = await scene.store.notes.lines(job.id, 0, 9)
            assert [line.line for line in found] == [f"of {place}"] * 2
        assert list(await scene.store.notes.write([])) == []

    async def test_what_cannot_be_stored_is_dropped_alone(self, scene: Scene) -> None:
        """A NUL, which no store takes."""
        jobs = [await scene.running() for _ in range(3)]
        texts = ("fine", "a\0b", "fine too")
        notes = [self._lines_of(scene, *pair) for pair in zip(jobs, texts, strict=True)]
        answers = await scene.store.notes.write(notes)
        assert [answer is not None for answer in answers] == [True, False, True]
        found = [await scene.store.notes.lines(job.id, 0, 9) for job in jobs]
        assert [len(lines) for lines in found] == [1, 0, 1]

    async def test_a_purge_deletes_the_lines_too(self, scene: Scene) -> None:
        """Of the jobs that it deletes, and of no other."""
        gone, left, live = [await scene.running() for _ in range(3)]
        for job in (gone, left, live):
            await self._log(scene, job, "a line")
        for job in (gone, left):
            await scene.settle(job, Move.SUCCEED)
        assert await scene.store.jobs.purge([gone.id, live.id]) == 1
        found = [await scene.store.notes.lines(job.id, 0, 9) for job in (gone, left, live)]
        assert [len(lines) for lines in found] == [0, 1, 1]
        assert (await scene.now(live)).state is State.RUNNING

    async def test_lines_count_in_the_size_of_an_ended_job(self, scene: Scene) -> None:
        """So that no purge deletes too many of them at once."""
        silent, chatty = await scene.running(), await scene.running()
        await self._log(scene, chatty, *map(str, range(50)))
        for job in (silent, chatty):
            await scene.settle(job, Move.SUCCEED)
        times = {State.SUCCEEDED: scene.clock.utc()}
        wanted = EndedRange(after="", until="g", limit=10, before=times)
        sizes = [job.size_bytes for job in (await scene.store.reader.ended(wanted)).jobs]
        assert sizes[1] - sizes[0] == 50 * LINE_BYTES

    async def _tell(
        self, scene: Scene, job: Job, fraction: float, note: str
    ) -> list[NoteKept | None]:
        return list(await scene.store.notes.write([self._progress_of(scene, job, fraction, note)]))

    async def _log(
        self,
        scene: Scene,
        job: Job,
        *texts: str,
        level: str = "info",
        dropped: int = 0,
        repeated: bool = False,
    ) -> list[NoteKept | None]:
        note = self._lines_of(scene, job, *texts, level=level, dropped=dropped, repeated=repeated)
        return list(await scene.store.notes.write([note]))

    def _progress_of(self, scene: Scene, job: Job, fraction: float, note: str = "") -> JobNotes:
        progress = Progress(fraction=fraction, note=note, at=scene.clock.utc())
        return JobNotes(token=job.token, progress=progress)

    def _lines_of(
        self,
        scene: Scene,
        job: Job,
        *texts: str,
        level: str = "info",
        dropped: int = 0,
        repeated: bool = False,
    ) -> JobNotes:
        """Lines a millisecond apart, from now on."""
        now = scene.clock.utc()
        lines = tuple(
            LogLine(line=text, level=level, at=now + place / 1000)
            for place, text in enumerate(texts)
        )
        return JobNotes(token=job.token, lines=lines, dropped=dropped, repeated=repeated)

    async def _progress(self, scene: Scene, job: Job) -> float | None:
        told = (await scene.store.notes.told([job.id])).get(job.id, Told())
        return None if told.progress is None else told.progress.fraction

    async def _dropped(self, scene: Scene, job: Job) -> int:
        return (await scene.store.notes.told([job.id]))[job.id].logs_dropped
