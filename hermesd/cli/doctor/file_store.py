"""A store in a SQLite file, and the disk under it."""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import statistics
import tempfile
import time
from pathlib import Path
from typing import Final

from hermesd.cli.doctor import stores
from hermesd.cli.doctor.findings import Finding, Findings, fail, ok, warn
from hermesd.cli.doctor.patient import Patient
from hermesd.cli.doctor.state_folder import made_by_unit
from hermesd.cli.doctor.stores import STORE
from hermesd.daemon.store import sqlite_path
from hermesd.stores.version import VERSION_TABLE

DISK = "store disk"
SYNC = "store fsync"
MIB: Final = 1024 * 1024
LEAST_FREE_BYTES: Final = 100 * MIB
LOW_FREE_BYTES: Final = 1024 * MIB
SYNCS: Final = 9
SLOW_SYNC_SECONDS: Final = 0.05  # every commit waits for one
PAGE_BYTES: Final = 4096


def examined(patient: Patient) -> Findings:
    """The file, its schema, its folder's free space and how long a sync takes there."""
    path = sqlite_path(patient.config.store.url).absolute()
    folder = path.parent
    if not folder.exists() and made_by_unit(folder):
        return [ok(STORE, f"there is no {folder} yet: systemd makes it at the first start")]
    if not folder.is_dir():
        remedy = f"make it (install -d -m 0700 -o USER {folder}), or set store.url"
        return [fail(STORE, f"there is no folder {folder}", remedy)]
    found = [*_database(path, patient), _disk(folder)]
    if os.access(folder, os.W_OK):
        found.append(_sync(folder))
    return found


def _database(path: Path, patient: Patient) -> Findings:
    for place in (path.parent, path):
        if place.exists() and not os.access(place, os.W_OK):
            remedy = f"let the daemon's user write it, or set store.url: ls -ld {place}"
            return [fail(STORE, f"{place} cannot be written from here", remedy)]
    if not path.exists():
        return [ok(STORE, f"there is no {path} yet: an api makes it when it starts")]
    try:
        version = _version(path, patient.config.store.busy_timeout_seconds)
    except sqlite3.Error as error:
        remedy = "hermesd db check; restore a backup where the file is damaged"
        return [fail(STORE, f"{path}: {error}", remedy)]
    holder = lock_holder(path)
    used = f", in use by process {holder}" if holder else ""
    opened = ok(STORE, f"SQLite {sqlite3.sqlite_version}, {path}{used}")
    return [opened, stores.schema(version, migrate=patient.config.store.migrate)]


def _version(path: Path, wait_seconds: float) -> str | None:
    """The schema version, None for a file without tables; raises sqlite3.Error."""
    opened = sqlite3.connect(path.as_uri() + "?mode=ro", uri=True, timeout=wait_seconds)
    with contextlib.closing(opened) as connection:
        known = "SELECT 1 FROM sqlite_master WHERE name = ?"
        if connection.execute(known, (VERSION_TABLE,)).fetchone() is None:
            return None
        row = connection.execute(f"SELECT version_num FROM {VERSION_TABLE}").fetchone()
    return None if row is None else str(row[0])


def lock_holder(database: Path) -> int | None:
    """The process that has locked the database as its api (proc(5), locks); None: nobody."""
    try:
        lock = database.with_name(database.name + ".lock").stat()
        lines = Path("/proc/locks").read_text().splitlines()
    except OSError:
        return None
    place = f"{os.major(lock.st_dev):02x}:{os.minor(lock.st_dev):02x}:{lock.st_ino}"
    for line in lines:
        columns = line.split()
        if len(columns) > 5 and columns[1] == "FLOCK" and columns[5] == place:
            return int(columns[4])
    return None


def _disk(folder: Path) -> Finding:
    usage = shutil.disk_usage(folder)
    seen = f"{usage.free // MIB} MiB free of {usage.total // MIB} under {folder}"
    remedy = f"free some (df {folder}), keep jobs for less time ([retention]), or set store.url"
    if usage.free < LEAST_FREE_BYTES:
        return fail(DISK, seen, remedy)
    return warn(DISK, seen, remedy) if usage.free < LOW_FREE_BYTES else ok(DISK, seen)


def _sync(folder: Path) -> Finding:
    """In a file without a name, which is gone when it is closed."""
    took = []
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            for _ in range(SYNCS):
                begun = time.monotonic()
                os.pwrite(file.fileno(), bytes(PAGE_BYTES), 0)
                os.fsync(file.fileno())
                took.append(time.monotonic() - begun)
    except OSError as error:
        seen = f"nothing can be written under {folder}: {error.strerror}"
        return fail(SYNC, seen, f"free space or repair the file system: df {folder}; dmesg")
    middle = statistics.median(took)
    seen = f"{middle * 1000:.2f} ms in the middle, {max(took) * 1000:.2f} ms at most"
    if middle > SLOW_SYNC_SECONDS:
        return warn(SYNC, seen, "every commit waits for one: put store.url on a faster disk")
    return ok(SYNC, seen)
