"""What handlers need works within the bounds that the unit sets them."""

from __future__ import annotations

import pytest

from systemd.hermes import Hermes
from systemd.peers import Peers
from systemd.served import SMTP_PORT

pytestmark = pytest.mark.faults

# One pixel.
IMAGE = "R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw=="
MAIL = f"""
[plugins.settings.email]
host = "127.0.0.1"
port = {SMTP_PORT}
security = "none"
username = "hermes"
password_file = "smtp-password"
sender = "hermes@example.org"
"""
PICTURES = '[plugins.settings.resize-image]\nallowed_roots = ["/srv/images"]\n'


def test_the_plugins_of_the_package_do_their_work(hermes: Hermes, peers: Peers) -> None:
    """A call, and a picture in a child process; of files, those that the unit is given."""
    hermes.configure(f'[plugins.settings.http]\nallowed_hosts = ["127.0.0.1"]\n{PICTURES}')
    hermes.machine.run("install", "--directory", "--owner=hermesd", "/srv/images")
    hermes.drop_in("[Service]\nReadWritePaths=/srv/images\n")
    hermes.start("both")
    called = hermes.run("http", {"url": f"{peers.url}/hook", "json": {"order": 7}})
    assert called["result"]["body"] == '{"order":7}'
    wanted = {"source_base64": IMAGE, "width": 8, "height": 8, "mode": "exact"}
    assert hermes.run("resize-image", wanted)["result"]["width"] == 8
    hermes.run("resize-image", {**wanted, "output_path": "/srv/images/a.webp", "format": "webp"})
    assert (hermes.machine.root / "srv/images/a.webp").read_bytes()[:4] == b"RIFF"


def test_a_secret_comes_as_a_credential(hermes: Hermes, peers: Peers) -> None:
    """By the drop-in that the package brings as an example; only root can read the file."""
    example = "/usr/share/doc/hermesd/credentials.conf"
    hermes.drop_in((hermes.machine.root / example.lstrip("/")).read_text())
    for name in ("store-password", "smtp-password"):
        hermes.machine.write(f"/etc/hermesd-secrets/{name}", "open sesame\n", 0o600)
    hermes.configure(MAIL)
    hermes.start("both")
    mail = {"to": "ann@example.org", "subject": "Hello", "body": "It works."}
    assert hermes.run("email", mail)["result"]["accepted"] == ["ann@example.org"]
    assert peers.mail()["user"] == "hermes:open sesame"
    assert all("open sesame" not in str(each) for each in hermes.log())


def test_the_unit_s_own_credentials_need_no_drop_in(hermes: Hermes, peers: Peers) -> None:
    """A file in /etc/credstore is enough."""
    hermes.machine.write("/etc/credstore/hermesd.queue-password", "open sesame\n", 0o600)
    hermes.configure(MAIL.replace("smtp-password", "hermesd.queue-password"))
    hermes.start("both")
    hermes.run("email", {"to": "ann@example.org", "subject": "Hello", "body": "It works."})
    assert peers.mail()["user"] == "hermes:open sesame"
