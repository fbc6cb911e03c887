"""The suite for TypeCatalogue."""

from __future__ import annotations

from hermesd.core.backoff import Backoff
from hermesd.core.job import Kind
from hermesd.core.jobtype import JobType, TypeDefaults
from hermesd.testing.conformance.scene import Conformance, Scene


class TypeCatalogueConformance(Conformance):
    """Every sentence of ports.TypeCatalogue."""

    async def test_a_learnt_type_is_known_whole(self, scene: Scene) -> None:
        """Schema, defaults and kind come back as they were given."""
        learnt = JobType(
            name="email.send.v1",
            kind=Kind.THREAD,
            schema={"type": "object", "required": ["to"], "x": [1, 2.5, None, "ü"]},
            defaults=TypeDefaults(queue="mail", priority=7, backoff=Backoff(seconds=2)),
            description="Sends a mail",
        )
        await scene.store.types.learn([learnt], "worker-1")
        (known,) = await scene.store.types.known()
        assert known.type == learnt
        assert (known.source, known.last_seen) == ("worker-1", scene.clock.utc())

    async def test_the_last_word_on_a_type_counts(self, scene: Scene) -> None:
        """Learning it again renews definition, source and time, and makes no second one."""
        older = JobType(name="a", kind=Kind.ASYNC)
        newer = JobType(name="a", kind=Kind.PROCESS, description="newer")
        await scene.store.types.learn([older, JobType(name="b", kind=Kind.ASYNC)], "w")
        scene.clock.advance(5)
        await scene.store.types.learn([newer], "api")
        known = {one.type.name: one for one in await scene.store.types.known()}
        assert known["a"].type == newer
        assert (known["a"].source, known["a"].last_seen) == ("api", scene.clock.utc())
        assert known["b"].last_seen == scene.clock.utc() - 5

    async def test_nothing_learnt_is_no_error(self, scene: Scene) -> None:
        """An empty list changes nothing."""
        await scene.store.types.learn([], "w")
        assert list(await scene.store.types.known()) == []
