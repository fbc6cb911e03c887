"""The ids of new jobs."""

from __future__ import annotations

import os
import uuid

from hermesd.api.ids import POOLED_IDS, JobIds

NOW = 1_800_000_000.1234


def test_an_id_is_a_uuid_of_version_7_with_its_millisecond() -> None:
    """RFC 9562 5.7: 48 bits of milliseconds, version, variant, and the rest by chance."""
    ids = JobIds()
    for _ in range(50):
        made = uuid.UUID(text := ids.new(NOW))
        assert (str(made), made.version, made.variant) == (text, 7, uuid.RFC_4122)
        assert made.int >> 80 == 1_800_000_000_123


def test_ids_differ_however_many_there_are() -> None:
    """Over several draws of random bytes, at one time; later ones sort after them."""
    ids = JobIds()
    made = {ids.new(NOW) for _ in range(3 * POOLED_IDS)}
    assert len(made) == 3 * POOLED_IDS
    assert ids.new(NOW + 0.001) > max(made)


def test_a_forked_process_makes_others() -> None:
    """Random bytes that were drawn before the fork are not used on both sides of it."""
    ids = JobIds()
    ids.new(NOW)
    reading, writing = os.pipe()
    child = os.fork()
    if not child:
        os.write(writing, ids.new(NOW).encode())
        os._exit(0)
    os.waitpid(child, 0)
    theirs = os.read(reading, 100).decode()
    os.close(reading)
    os.close(writing)
    assert len(theirs) == 36
    assert ids.new(NOW) != theirs
