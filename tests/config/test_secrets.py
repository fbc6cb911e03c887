"""Secrets come from files of their own and are never shown."""

from __future__ import annotations

from pathlib import Path

import pytest

from hermesd.config import load
from hermesd.config.load import load_with_origins
from hermesd.config.secrets import MASK, masked, with_password, without_passwords
from hermesd.core.amqp_url import AmqpUrl
from hermesd.core.errors import ConfigError, InvalidValue

MAIL = "[plugins.settings.mail]\npassword_file = 'mail.pw'\n"


def configured(folder: Path, text: str) -> Path:
    path = folder / "hermes.toml"
    path.write_text(text)
    return path


def test_a_secret_is_read_from_beside_the_file_that_names_it(tmp_path: Path) -> None:
    """A relative path starts at the configuration file's folder."""
    (tmp_path / "mail.pw").write_text("s3cret\n")
    loaded = load_with_origins([configured(tmp_path, MAIL)], {})
    assert loaded.config.plugins.settings["mail"] == {"password": "s3cret"}
    key = ("plugins", "settings", "mail", "password")
    assert loaded.document.origin_of(key) == str(tmp_path / "hermes.toml")


def test_credentials_of_systemd_come_first(tmp_path: Path) -> None:
    """With a credentials directory a relative path starts there."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    (credentials / "mail.pw").write_text("from systemd")
    (tmp_path / "mail.pw").write_text("from beside")
    config = load([configured(tmp_path, MAIL)], {"CREDENTIALS_DIRECTORY": str(credentials)})
    assert config.plugins.settings["mail"] == {"password": "from systemd"}


def test_what_is_no_credential_is_looked_for_beside_the_file(tmp_path: Path) -> None:
    """A unit that may be given credentials has a folder for them, also where there are none."""
    credentials = tmp_path / "credentials"
    credentials.mkdir()
    path, environ = configured(tmp_path, MAIL), {"CREDENTIALS_DIRECTORY": str(credentials)}
    with pytest.raises(ConfigError, match=str(credentials / "mail.pw")):
        load([path], environ)
    (tmp_path / "mail.pw").write_text("from beside")
    assert load([path], environ).plugins.settings["mail"] == {"password": "from beside"}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "No such file"),
        (b"", "is empty"),
        (b"\xff", "is not UTF-8 text"),
        (b"x" * 70_000, "too large for a secret"),
    ],
)
def test_a_useless_secret_file_is_named(tmp_path: Path, content: bytes | None, reason: str) -> None:
    """The problem names key and file."""
    if content is not None:
        (tmp_path / "mail.pw").write_bytes(content)
    with pytest.raises(ConfigError, match=reason) as refusal:
        load([configured(tmp_path, MAIL)], {})
    assert "plugins.settings.mail.password_file" in refusal.value.problems[0]
    assert str(tmp_path / "mail.pw") in refusal.value.problems[0]


def test_a_secret_is_given_once(tmp_path: Path) -> None:
    """The value and its file together are a mistake."""
    (tmp_path / "mail.pw").write_text("x")
    path = configured(tmp_path, MAIL + "password = 'y'\n")
    with pytest.raises(ConfigError, match="is given too; keep one"):
        load([path], {})


def test_sqlite_takes_no_password(tmp_path: Path) -> None:
    """A password file for a store without a server is refused."""
    (tmp_path / "pw").write_text("x")
    with pytest.raises(ConfigError, match=r"store\.password_file: the url names no server"):
        load([configured(tmp_path, "[store]\npassword_file = 'pw'")], {})


def test_a_brokers_password_goes_from_its_file_into_the_url(tmp_path: Path) -> None:
    """Which is masked when it is shown."""
    (tmp_path / "pw").write_text("p@/s\n")
    text = "[queue]\nurl = 'amqp://hermes@mq.example.org/jobs'\npassword_file = 'pw'\n"
    queue = load([configured(tmp_path, text)], {}).queue
    address = AmqpUrl.parse(queue.url)
    assert (address.user, address.password, address.vhost) == ("hermes", "p@/s", "jobs")
    assert masked(queue.url) == f"amqp://hermes:{MASK}@mq.example.org/jobs"


def test_the_authority_of_a_broker_becomes_an_absolute_path(tmp_path: Path) -> None:
    """Beside the file that names it; without TLS it is a mistake."""
    (tmp_path / "ca.pem").write_text("")
    text = "[queue]\nurl = 'amqps://h'\nca_file = 'ca.pem'\n"
    assert load([configured(tmp_path, text)], {}).queue.ca_file == str(tmp_path / "ca.pem")
    with pytest.raises(ConfigError, match=r"queue\.ca_file: is of use to an amqps:// url only"):
        load([configured(tmp_path, text.replace("amqps", "amqp"))], {})


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("postgresql://u@h/d", "postgresql://u:p%2F%40%3A@h/d"),
        ("postgresql://h/d", "postgresql://:p%2F%40%3A@h/d"),
    ],
)
def test_a_password_is_quoted_into_its_url(url: str, expected: str) -> None:
    """Whatever its characters, the URL still splits where it should."""
    assert with_password(url, "p/@:") == expected


def test_a_url_with_a_password_takes_no_second_one() -> None:
    """Two passwords are a mistake."""
    with pytest.raises(InvalidValue, match="already"):
        with_password("postgresql://u:x@h/d", "p")


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("amqp://u:p@ss/w@h:1/v", f"amqp://u:{MASK}@h:1/v"),
        ("see postgresql://:pw@h/d", f"see postgresql://:{MASK}@h/d"),
        ("postgresql://h/d?user=a&password=pw", f"postgresql://h/d?user=a&password={MASK}"),
        ("https://u@h/?a=1", "https://u@h/?a=1"),
        ("sqlite:////var/a.db", "sqlite:////var/a.db"),
        ("127.0.0.1:50051", "127.0.0.1:50051"),
    ],
)
def test_passwords_in_urls_are_masked(text: str, shown: str) -> None:
    """What is not a password stays readable."""
    assert without_passwords(text) == shown


def test_masking_covers_every_depth_of_a_plugins_table() -> None:
    """Names that end in a secret word are masked, whatever their value is."""
    settings = {
        "mail": {"password": 1, "Smtp_Token": "t", "user": "u", "hosts": [{"api_key": "k"}]},
        "my_token": {"plain": "p"},
    }
    shown = masked({"plugins": {"settings": settings}})["plugins"]["settings"]
    assert shown["mail"] == {
        "password": MASK,
        "Smtp_Token": MASK,
        "user": "u",
        "hosts": [{"api_key": MASK}],
    }
    assert shown["my_token"] == {"plain": "p"}


def test_a_refused_secret_is_not_told(tmp_path: Path) -> None:
    """A problem in a table that holds a secret does not quote it."""
    path = configured(tmp_path, "plugins.settings = { password = 'hidden' }\n")
    with pytest.raises(ConfigError) as refusal:
        load([path], {})
    assert "hidden" not in str(refusal.value)
