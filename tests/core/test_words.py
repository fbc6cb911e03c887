"""Words, letters, and what piles up between them."""

from __future__ import annotations

from collections import Counter

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from hermesd.core.outgoing import MAX_LETTER_BYTES, MOST_EVENTS, MOST_STEPS, Outgoing
from hermesd.core.points import Point
from hermesd.core.words import (
    VERSION,
    AnyWord,
    Cancelled,
    Due,
    Events,
    FarOrder,
    FarOrderDone,
    Here,
    Moved,
    Queues,
    Schedules,
    Stepped,
    Word,
    Work,
    letter,
    read,
    size_of,
    written,
)

names = st.text(max_size=200)
places = st.tuples(names, names, st.integers(0, 10))
events = st.tuples(
    st.floats(0, 2e9),
    names,
    names,
    names,
    st.none() | names,
    st.text(max_size=3000),
    st.integers(1, 9),
    st.integers(0, 9),
)
buckets = st.lists(st.integers(0, 10**9), max_size=500).map(tuple)
points = st.builds(
    Point,
    at=st.integers(0, 2**31),
    seconds=st.floats(0, 60),
    wait=buckets,
)
words = st.one_of(
    st.builds(Stepped, point=points),
    st.builds(Here, leaving=st.booleans()),
    st.builds(Schedules),
    st.builds(Queues),
    st.builds(Due, at=st.floats(0, 2e9)),
    st.builds(
        Moved,
        states=st.dictionaries(st.sampled_from(["queued", "running"]), st.integers(-9, 9)),
        waiting=st.lists(
            st.tuples(names, names, st.integers(0, 10), st.integers(-9, 9)), max_size=20
        ).map(tuple),
        accepted=st.integers(0, 9),
    ),
    st.builds(Work, places=st.lists(places, max_size=20).map(tuple)),
    st.builds(
        FarOrder,
        kind=names,
        number=st.integers(0),
        incarnations=st.lists(names, max_size=20).map(tuple),
        reason=st.text(max_size=500),
    ),
    st.builds(
        FarOrderDone,
        boot=names,
        number=st.integers(0),
        workers=st.lists(st.tuples(names, names, st.booleans()), max_size=20).map(tuple),
    ),
    st.builds(Cancelled, job_ids=st.lists(names, max_size=20).map(tuple)),
    st.builds(
        Events,
        events=st.lists(events, max_size=20).map(tuple),
        kinds=st.dictionaries(names, st.integers(1, 9), max_size=5),
        left_out=st.integers(0, 9),
    ),
)


def told(outgoing: Outgoing) -> list[Word]:
    """All that it says, letter by letter, each small enough."""
    found: list[Word] = []
    while (text := outgoing.take()) is not None:
        assert len(text) <= MAX_LETTER_BYTES
        heard = read(text)
        assert heard is not None
        assert (heard.api, heard.boot) == ("a", "b")
        found.extend(heard.words)
    return found


def all_of(found: list[Word], kind: type[msgspec.Struct]) -> list[AnyWord]:
    """The words of one kind."""
    return [word for word in found if isinstance(word, kind)]  # type: ignore[misc]


@given(st.lists(words, max_size=30))
def test_what_is_told_comes_to_the_same(said: list[AnyWord]) -> None:
    """In letters that are small enough: sums are sums, sets are sets, and no event is uncounted."""
    outgoing = Outgoing("a", "b")
    for word in said:
        outgoing.add(word)
    found = told(outgoing)
    assert not outgoing
    for kind in (Here, Schedules, Due):
        assert len(all_of(found, kind)) == bool(all_of(list(said), kind))
    dues = [word.at for word in said if isinstance(word, Due)]
    assert [word.at for word in found if isinstance(word, Due)] == ([min(dues)] if dues else [])
    for sums in (waiting_of, states_of, kinds_of, shown_of):
        assert sums(found) == sums(list(said))
    assert {p for w in found if isinstance(w, Work) for p in w.places} == {
        p for w in said if isinstance(w, Work) for p in w.places
    }
    assert {i for w in found if isinstance(w, Cancelled) for i in w.job_ids} == {
        i for w in said if isinstance(w, Cancelled) for i in w.job_ids
    }
    orders = [word for word in said if isinstance(word, FarOrder | FarOrderDone)]
    fitting = [word for word in orders if size_of(word) <= MAX_LETTER_BYTES // 2]
    assert [word for word in found if isinstance(word, FarOrder | FarOrderDone)] == fitting
    steps = [word.point.at for word in said if isinstance(word, Stepped)]
    assert [w.point.at for w in found if isinstance(w, Stepped)] == steps[-MOST_STEPS:]


def waiting_of(found: list[Word]) -> Counter[tuple[str, str, int]]:
    """By how many the waiting ones have changed."""
    sums: Counter[tuple[str, str, int]] = Counter()
    for word in found:
        if isinstance(word, Moved):
            for queue, job_type, priority, number in word.waiting:
                sums[queue, job_type, priority] += number
    return Counter({place: number for place, number in sums.items() if number})


def states_of(found: list[Word]) -> Counter[str]:
    """By how many the states have changed, and how many were accepted."""
    sums: Counter[str] = Counter()
    for word in found:
        if isinstance(word, Moved):
            sums.update({**word.states, "accepted": word.accepted})
    return Counter({state: number for state, number in sums.items() if number})


def kinds_of(found: list[Word]) -> Counter[str]:
    """How many events there were of each kind."""
    sums: Counter[str] = Counter()
    for word in found:
        if isinstance(word, Events):
            sums.update(word.kinds)
    return sums


def shown_of(found: list[Word]) -> int:
    """How many events there were, shown or not."""
    return sum(len(word.events) + word.left_out for word in found if isinstance(word, Events))


def test_a_burst_of_events_is_shown_and_a_flood_is_counted() -> None:
    """What is kept for the next letters is bounded."""
    outgoing = Outgoing("a", "b")
    event = (1.0, "failed", "j" * 36, "note", None, "why", 1, 1)
    outgoing.add(Events(events=(event,) * (MOST_EVENTS + 7), kinds={"failed": MOST_EVENTS + 7}))
    found = [word for word in told(outgoing) if isinstance(word, Events)]
    assert sum(len(word.events) for word in found) == MOST_EVENTS
    assert sum(word.left_out for word in found) == 7


def test_unknown_words_and_foreign_letters_are_left_out() -> None:
    """An api of another version harms nobody."""
    new = msgspec.Raw(b'{"word":"tomorrow","what":1}')
    broken = msgspec.Raw(b'{"word":"due","at":"soon"}')
    heard = read(letter("a", "b", [new, written(Schedules()), broken]))
    assert heard is not None
    assert heard.words == (Schedules(),)
    other = letter("a", "b", []).replace(b'"version":%d' % VERSION, b'"version":99')
    for text in (other, b"", b"{}", b"\xff", b"hello", "nothing"):
        assert read(text) is None
