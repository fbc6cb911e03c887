"""The configuration's files: which there are, who can read the secrets, whether the daemon can."""

from __future__ import annotations

import os
import pwd
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from hermesd.cli.doctor.findings import Finding, Findings, fail, ok, skipped
from hermesd.cli.doctor.patient import Patient
from hermesd.cli.doctor.state_folder import given_to
from hermesd.config.keys import dotted, leaves
from hermesd.config.secretfiles import named_files
from hermesd.config.secrets import is_secret, without_passwords
from hermesd.daemon.store import sqlite_path
from hermesd.stores.urls import POSTGRESQL

CONFIGURATION = "configuration"
SECRETS = "secrets"
PERMISSIONS = "permissions"
OPEN_TO_ALL: Final = (("api", "tls_cert_file"), ("queue", "ca_file"))  # they are no secrets
CONTAINERS_OWN: Final = Path("/run/secrets")  # an engine copies them there, open to its one user
ROOT: Final = 0


def sources(patient: Patient) -> Findings:
    """What was read, without a fault: else nobody would be examined."""
    where = ", ".join(map(str, patient.files)) or "no file, so all keys have their defaults"
    return [ok(CONFIGURATION, where)]


def secrets(patient: Patient) -> Findings:
    """Files with secrets that anybody can read or write."""
    files = dict(_secret_files(patient))
    found = [
        finding for path, holds in files.items() if (finding := _exposed(path, holds)) is not None
    ]
    return found or [ok(SECRETS, f"files with secrets, none of them open to all: {len(files)}")]


def _secret_files(patient: Patient) -> Iterator[tuple[Path, str]]:
    """Each with the key whose secret it holds: files of one secret, and the configuration's own."""
    for key, path in named_files(patient.document, patient.environ):
        if key not in OPEN_TO_ALL:
            yield path, dotted(key)
    for key, value in leaves(patient.document.tree):
        within = isinstance(value, str) and without_passwords(value) != value
        source = patient.document.sources.get(key)
        if (within or is_secret(key)) and source is not None:
            path = Path(source.origin)  # of a variable, its name
            if path in patient.files:
                yield path, dotted(key)


def _exposed(path: Path, holds: str) -> Finding | None:
    mode = path.stat().st_mode
    if mode & stat.S_IWOTH:
        seen = f"{path} (mode {stat.S_IMODE(mode):04o}) holds {holds}, and anybody can change it"
        return fail(SECRETS, seen, f"chmod o-rwx {path}")
    if mode & stat.S_IROTH and CONTAINERS_OWN not in path.parents:
        seen = f"{path} (mode {stat.S_IMODE(mode):04o}) holds {holds}, and anybody can read it"
        return fail(SECRETS, seen, f"chmod o-rwx {path}, and let its group be the daemon's")
    return None


def permissions(patient: Patient) -> Findings:
    """Whether the daemon's user can read the files and write its state, and strangers cannot."""
    found = [*_changeable(patient)]
    who = patient.user or pwd.getpwuid(os.geteuid()).pw_name
    try:
        account = pwd.getpwnam(who)
    except KeyError:
        remedy = "say which by --user, or make it: adduser --system --group hermesd"
        return [*found, fail(PERMISSIONS, f"there is no user {who}", remedy)]
    if os.geteuid() not in (ROOT, account.pw_uid):
        why = f"only root and {who} can try what {who} may do"
        return [*found, skipped(PERMISSIONS, why)]
    wanted = [path for _, path in named_files(patient.document, patient.environ)]
    for path in (*patient.files, *wanted):
        if not _may(account, "-r", path, patient):
            remedy = f"chgrp {who} {path}; chmod g+r {path} (and +x its folders)"
            found.append(fail(PERMISSIONS, f"{who} cannot read {path}", remedy))
    state = _state_folder(patient)
    if (
        state is not None
        and state.is_dir()
        and not given_to(state, account.pw_uid)
        and not _may(account, "-w", state, patient)
    ):
        remedy = f"chown {who} {state}, or set store.url"
        found.append(fail(PERMISSIONS, f"{who} cannot write {state}", remedy))
    return found or [ok(PERMISSIONS, f"{who} can read the configuration and write its state")]


def _changeable(patient: Patient) -> Iterator[Finding]:
    for path in patient.files:
        if path.stat().st_mode & stat.S_IWOTH:
            seen = f"anybody can change {path}"
            yield fail(PERMISSIONS, seen, f"chmod o-w {path}")


def _state_folder(patient: Patient) -> Path | None:
    url = patient.config.store.url
    if not patient.role.serves_api or url.startswith(POSTGRESQL):
        return None
    return sqlite_path(url).absolute().parent


def _may(account: pwd.struct_passwd, how: str, path: Path, patient: Patient) -> bool:
    """By test(1) as that user, which knows of all folders above, access lists and mounts."""
    command = ["test", how, str(path)]
    if account.pw_uid == os.geteuid():
        return subprocess.run(command, timeout=patient.seconds, check=False).returncode == 0
    done = subprocess.run(
        command,
        timeout=patient.seconds,
        check=False,
        user=account.pw_uid,
        group=account.pw_gid,
        extra_groups=os.getgrouplist(account.pw_name, account.pw_gid),
    )
    return done.returncode == 0
