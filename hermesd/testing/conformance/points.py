"""The suite for Points."""

from __future__ import annotations

from hermesd.core.points import KeptPoint, Point
from hermesd.testing.conformance.scene import Conformance, Scene

NOON = 1_800_000_000


def kept(minute: int, api: str = "api-1", boot: str = "boot-1", **fields: float) -> KeptPoint:
    """A minute of an api, so many minutes after noon."""
    point = Point(
        at=NOON + 60 * minute,
        seconds=59.5,
        submitted=7,
        wait=(3, 1, 700, 2),
        waiting=(0, 1, 2, 3),
        rung="store",
        **fields,  # type: ignore[arg-type]  # numbers all of them
    )
    return KeptPoint(api=api, boot=boot, point=point)


class PointsConformance(Conformance):
    """Every sentence of ports.Points."""

    async def test_what_is_kept_is_read_as_it_was(self, scene: Scene) -> None:
        """By its time, from the first second to before the last."""
        points = scene.store.points
        second, first = kept(1), kept(0)
        await points.keep([second, first], forget_before=0)
        await points.keep([kept(2)], forget_before=0)
        assert list(await points.between(NOON, NOON + 120)) == [first, second]
        assert list(await points.between(NOON + 1, NOON + 61)) == [second]
        assert list(await points.between(NOON + 180, NOON + 999)) == []

    async def test_each_life_of_each_api_has_its_own(self, scene: Scene) -> None:
        """Of the same minute."""
        lives = [kept(0), kept(0, boot="boot-2"), kept(0, api="api-2")]
        for one in lives:
            await scene.store.points.keep([one], forget_before=0)
        found = await scene.store.points.between(NOON, NOON + 60)
        assert sorted(found, key=lambda one: (one.api, one.boot)) == lives

    async def test_a_minute_that_is_kept_again_is_replaced(self, scene: Scene) -> None:
        """So that a commit of unknown fate can be repeated."""
        points = scene.store.points
        await points.keep([kept(0)], forget_before=0)
        again = kept(0, failed=3)
        await points.keep([again], forget_before=0)
        assert list(await points.between(NOON, NOON + 60)) == [again]

    async def test_what_is_too_old_is_dropped(self, scene: Scene) -> None:
        """Whosever it is."""
        points = scene.store.points
        await points.keep([kept(0), kept(1), kept(0, api="api-2")], forget_before=0)
        await points.keep([kept(2)], forget_before=NOON + 60)
        assert list(await points.between(0, NOON + 999)) == [kept(1), kept(2)]
