"""Which apis stand still."""

from __future__ import annotations

from msgspec.structs import replace

from hermesd.core.apis import ApiLife, Watch

TTL = 15.0


def life(name: str, last_seen: float) -> ApiLife:
    """A life as the store knows it."""
    return ApiLife(name=name, boot="b", last_seen=last_seen)


def test_a_life_that_does_not_move_for_the_ttl_stands_still() -> None:
    """As long as one has watched it oneself, whatever the store's clock says."""
    watch = Watch(TTL)
    old = life("a", 1.0)
    assert [watch.look([old], 5.0) for _ in range(3)] == [[], [], []]
    assert watch.look([old], 5.0) == [old]


def test_a_life_that_moves_is_watched_anew() -> None:
    """Forward or back; so is another boot of the same name."""
    watch = Watch(TTL)
    for known in (
        life("a", 9.0),
        life("a", 10.0),
        life("a", 2.0),
        replace(life("a", 2.0), boot="c"),
    ):
        for elapsed in (7.0, 7.0, 7.0):
            assert watch.look([known], elapsed) == []


def test_what_was_not_watched_does_not_count() -> None:
    """The store was away, and nobody could renew anything."""
    watch = Watch(TTL)
    old = life("a", 1.0)
    watch.look([old], 0.0)
    watch.look([old], 14.0)
    watch.forget()
    assert watch.look([old], 14.0) == []
    assert watch.look([old], 14.0) == []
    assert watch.look([old], 1.0) == [old]
