"""`hermesd config` as an operator uses it."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from hermesd.cli.config import config
from hermesd.cli.settings import Settings
from hermesd.config import Config, load
from hermesd.config.template import template


@pytest.fixture(autouse=True)
def _no_overrides(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in os.environ if name.startswith("HERMES_")]:
        monkeypatch.delenv(name)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A configuration file with one changed key."""
    path = tmp_path / "hermes.toml"
    path.write_text("# mine\n[api]\nport = 1234\n")
    return path


def run(settings: Settings | Path, *arguments: str) -> Result:
    """The command's result with these settings, or with just this file."""
    if isinstance(settings, Path):
        settings = Settings(config_paths=(settings,))
    return CliRunner().invoke(config, arguments, obj=settings)


def test_check_says_ok(path: Path) -> None:
    """Exit status 0 and one word."""
    result = run(path, "check")
    assert (result.exit_code, result.stdout) == (0, "ok\n")


def test_check_tells_problems_on_stderr_and_exits_78(path: Path) -> None:
    """78 is EX_CONFIG, by which systemd knows not to try again."""
    path.write_text("[api]\nprot = 1\n")
    result = run(path, "check")
    assert (result.exit_code, result.stdout) == (78, "")
    assert result.stderr == f"{path}: api.prot: unknown key (did you mean 'port'?)\n"


def test_check_answers_json(path: Path) -> None:
    """Problems are a list."""
    assert json.loads(run(Settings(config_paths=(path,), json=True), "check").stdout) == {
        "ok": True,
        "problems": [],
    }
    path.write_text("[api]\nprot = 1\n")
    result = run(Settings(config_paths=(path,), json=True), "check")
    assert result.exit_code == 78
    assert len(json.loads(result.stdout)["problems"]) == 1


def test_show_prints_what_is_in_effect_without_secrets(path: Path) -> None:
    """The output is TOML that loads again."""
    path.write_text("[plugins.settings.mail]\npassword = 'hidden'\nsince = 2020-01-01\n")
    result = run(path, "show")
    assert result.exit_code == 0
    assert "hidden" not in result.stdout
    path.write_text(result.stdout)
    assert load([path], {}).api == Config().api


def test_show_prints_json(path: Path) -> None:
    """--json before or after the command's name."""
    for result in (
        run(path, "show", "--json"),
        run(Settings(config_paths=(path,), json=True), "show"),
    ):
        assert json.loads(result.stdout)["api"]["port"] == 1234


def test_show_tells_where_each_value_came_from(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the default, a file, or a variable; and the lines are TOML."""
    monkeypatch.setenv("HERMES_API__NAME", "x")
    lines = run(path, "show", "--origin").stdout
    assert f"api.port = 1234  # {path}\n" in lines
    assert 'api.name = "x"  # HERMES_API__NAME\n' in lines
    assert 'api.host = "127.0.0.1"  # default\n' in lines
    assert tomllib.loads(lines)["control"]["endpoints"] == ["127.0.0.1:50051"]
    entry = json.loads(run(path, "show", "--origin", "--json").stdout)["api.port"]
    assert entry == {"value": 1234, "origin": str(path)}


def test_init_writes_the_commented_file_once(tmp_path: Path) -> None:
    """It overwrites nothing unless forced."""
    path = tmp_path / "new.toml"
    assert run(Settings(), "init", str(path)).exit_code == 0
    assert path.read_bytes() == template()
    assert stat.S_IMODE(path.stat().st_mode) == 0o644
    path.write_text("mine")
    result = run(Settings(), "init", str(path))
    assert result.exit_code == 73
    assert "--force" in result.stderr
    assert path.read_text() == "mine"
    assert run(path, "init", "--force").exit_code == 0
    assert path.read_bytes() == template()


def test_init_tells_why_it_cannot_write(tmp_path: Path) -> None:
    """A folder that is missing is no traceback."""
    result = run(Settings(), "init", str(tmp_path / "none" / "hermes.toml"))
    assert result.exit_code == 73
    assert "No such file or directory" in result.stderr


def test_set_changes_one_key_and_keeps_mode_and_link(path: Path, tmp_path: Path) -> None:
    """The rest of the file's values stay; so do the mode, and a link that leads to it."""
    path.chmod(0o640)
    link = tmp_path / "link.toml"
    link.symlink_to(path)
    result = run(link, "set", 'jobs.types."a.b".timeout', "5")
    assert (result.exit_code, result.stderr) == (0, "")
    assert link.is_symlink()
    assert stat.S_IMODE(path.stat().st_mode) == 0o640
    assert tomllib.loads(path.read_text()) == {
        "api": {"port": 1234},
        "jobs": {"types": {"a.b": {"timeout": 5}}},
    }
    assert list(tmp_path.glob(".*")) == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_set_keeps_the_owner(path: Path) -> None:
    """An edit by root leaves the daemon its file."""
    os.chown(path, 12345, 12346)
    assert run(path, "set", "api.port", "5").exit_code == 0
    assert (path.stat().st_uid, path.stat().st_gid) == (12345, 12346)


@pytest.mark.parametrize(
    ("key", "value", "status"),
    [
        ("api.prot", "1", 78),
        ("api.port", "99999", 78),
        ("liveness.heartbeat_seconds", "20", 78),
        ("worker.queues", '["nowhere"]', 78),
        ("api..port", "1", 64),
        ("api.port\n", "1", 64),
        ("", "1", 64),
    ],
)
def test_set_refuses_what_would_not_load(path: Path, key: str, value: str, status: int) -> None:
    """The file stays as it was."""
    before = path.read_text()
    result = run(path, "set", "--", key, value)
    assert result.exit_code == status
    assert result.stderr
    assert path.read_text() == before


def test_set_checks_the_file_among_the_others(path: Path, tmp_path: Path) -> None:
    """A queue that another file declares may be named."""
    other = tmp_path / "base.toml"
    other.write_text("[queues.mail]\n")
    both = Settings(config_paths=(other, path))
    assert run(path, "set", "worker.queues", '["mail"]').exit_code == 78
    assert run(both, "set", "worker.queues", '["mail"]').exit_code == 0
    assert tomllib.loads(path.read_text())["worker"] == {"queues": ["mail"]}
    assert run(both, "set", "queues.mail.max_waiting", "7", "--file", str(other)).exit_code == 0
    assert tomllib.loads(other.read_text()) == {"queues": {"mail": {"max_waiting": 7}}}


def test_set_makes_a_new_file_that_hides_a_secret(path: Path, tmp_path: Path) -> None:
    """A new overlay is readable by all, one with a secret by its owner alone."""
    for name, key, value, mode in (
        ("a.toml", "api.name", "x", 0o644),
        ("b.toml", "plugins.settings.mail.password", "x", 0o600),
        ("c.toml", "queue.url", "amqp://u:x@h", 0o600),
    ):
        overlay = tmp_path / name
        assert run(path, "set", key, value, "--file", str(overlay)).exit_code == 0
        assert stat.S_IMODE(overlay.stat().st_mode) == mode
