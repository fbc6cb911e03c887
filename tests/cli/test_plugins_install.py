"""`hermesd plugins install` and `remove`, with the pip of an environment of the test's own.

All that is installed here comes from wheels that the test makes. hermesd and its libraries are lent
by the environment that runs the tests: searched last, and never changed.
"""

from __future__ import annotations

import json
import os
import subprocess
import sysconfig
import venv
from pathlib import Path
from typing import Any

import pytest
from wheels import GREETING, wheel

ROOT = Path(__file__).parents[2]
PLUGINS = ("http", "email", "resize-image")
PATIENCE_SECONDS = 300.0


class Environment:
    """A virtual environment, in which hermesd is lent."""

    def __init__(self, home: Path) -> None:
        venv.create(home, with_pip=False, symlinks=True)
        self.python = home / "bin/python"
        self.site = next((home / "lib").glob("python3.*/site-packages"))
        lent = [ROOT, *(ROOT / "plugins" / each for each in PLUGINS), sysconfig.get_path("purelib")]
        (self.site / "lent.pth").write_text("".join(f"{each}\n" for each in lent))
        (home / "hermes.toml").write_text("")
        kept = {name: text for name, text in os.environ.items() if "HERMES_" not in name}
        self._environ = {**kept, "HERMES_CONFIG": str(home / "hermes.toml")}

    def run(self, *words: str | Path, status: int = 0) -> str:
        """What `hermesd plugins WORDS` says on both streams."""
        ended = subprocess.run(
            [str(self.python), "-m", "hermesd.cli", "plugins", *map(str, words)],
            env=self._environ,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            timeout=PATIENCE_SECONDS,
            check=False,
        )
        assert ended.returncode == status, ended.stdout
        return ended.stdout

    def statuses(self) -> Any:
        """Each plugin's status, by its name."""
        listed = json.loads(self.run("list", "--json"))
        return {each["name"]: each["status"] for each in listed["plugins"]}


@pytest.fixture
def environment(tmp_path: Path) -> Environment:
    """One with nothing in it but what is lent."""
    return Environment(tmp_path / "venv")


def test_a_plugin_is_installed_with_what_it_needs_and_removed(
    environment: Environment, tmp_path: Path
) -> None:
    """From a folder of wheels; it loads, and says so."""
    wheel(tmp_path, "acme-words", "1.0", "", plugin=False)
    wheel(tmp_path, "acme-greet", "2.0", GREETING, "Requires-Dist: acme-words")
    said = environment.run("install", "acme-greet", "--wheels", tmp_path)
    assert "acme-greet\tloaded\t2.0" in said
    assert "acme.greet" in said
    assert (environment.site / "acme_words.py").exists()
    assert "there already" in environment.run("install", "acme-greet", "--wheels", tmp_path)
    environment.run("remove", "acme-greet")
    assert "acme-greet" not in environment.statuses()


def test_what_would_change_hermesd_is_refused(environment: Environment, tmp_path: Path) -> None:
    """And nothing is installed of it."""
    wheel(tmp_path, "trio", "0.1", "", plugin=False)
    made = wheel(tmp_path, "acme-greet", "2.0", GREETING, "Requires-Dist: trio==0.1")
    said = environment.run("install", made, "--wheels", tmp_path, status=1)
    assert "pip install failed" in said
    assert "trio==0.1" in said
    assert not (environment.site / "acme_greet.py").exists()


def test_what_cannot_be_used_is_told(environment: Environment, tmp_path: Path) -> None:
    """A plugin that does not load, a package that is none, and a name that there is not."""
    broken = wheel(tmp_path, "acme-broken", "1.0", "import nowhere")
    said = environment.run("install", broken, "--wheels", tmp_path, status=1)
    assert "cannot be used: acme-broken: it failed to import" in said
    other = wheel(tmp_path, "acme-words", "1.0", "", plugin=False)
    said = environment.run("install", other, "--wheels", tmp_path, status=65)
    assert "acme-words is installed, and is no plugin of hermesd" in said
    assert "there is no plugin 'hermesd'; installed are: " in environment.run(
        "remove", "hermesd", status=66
    )
