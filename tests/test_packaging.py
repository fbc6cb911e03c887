"""What `make dist` builds is whole: it installs into an environment that has nothing of ours.

Third-party packages are lent from the environment that runs the tests, so that none is downloaded;
our own come from the wheels alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
import tarfile
import venv
import zipfile
from pathlib import Path

import pytest

from tests.demo.daemons import Daemon

ROOT = Path(__file__).parent.parent
PROJECTS = (".", "plugins/http", "plugins/email", "plugins/resize-image")
PLUGINS = {"email": "hermesd-email", "http": "hermesd-http", "resize-image": "hermesd-resize-image"}
PATIENCE_SECONDS = 300.0


def run(*argv: str | Path, cwd: Path) -> str:
    """What a command printed; it must end with 0."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith("HERMES_")}
    environ.pop("PYTHONPATH", None)
    ended = subprocess.run(
        [str(word) for word in argv],
        cwd=cwd,
        env=environ,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_SECONDS,
        check=False,
    )
    assert ended.returncode == 0, f"{argv}: {ended.stdout}{ended.stderr}"
    return ended.stdout


def build(project: Path, out: Path, *targets: str) -> None:
    chosen = [word for target in targets for word in ("-t", target)]
    run(sys.executable, "-m", "hatchling", "build", *chosen, "-d", out, cwd=project)


@pytest.fixture(scope="module")
def dist(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel and the source archive of each project."""
    out = tmp_path_factory.mktemp("dist")
    for project in PROJECTS:
        build(ROOT / project, out, "wheel", "sdist")
    return out


@pytest.fixture(scope="module")
def installed(dist: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of an environment with our wheels."""
    home = tmp_path_factory.mktemp("installed") / "venv"
    venv.create(home, with_pip=False, symlinks=True)
    scripts = home / "bin"
    wheels = sorted(dist.glob("*.whl"))
    pip = (sys.executable, "-m", "pip", "--disable-pip-version-check")
    options = ("--quiet", "--no-deps", "--no-index")
    run(*pip, "--python", scripts / "python", "install", *options, *wheels, cwd=dist)
    purelib = run(
        scripts / "python", "-c", "import sysconfig; print(sysconfig.get_path('purelib'))", cwd=dist
    )
    # A path in a .pth file is searched last, and the editable installs behind it are not seen.
    (Path(purelib.strip()) / "lent.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return scripts


def test_the_installed_command_tells_its_version(installed: Path, tmp_path: Path) -> None:
    """And it is the one from the wheel."""
    said = json.loads(run(installed / "hermesd", "version", "--json", cwd=tmp_path))
    assert said["name"] == "hermesd"
    where = run(installed / "python", "-c", "import hermesd; print(hermesd.__file__)", cwd=tmp_path)
    assert Path(where.strip()).is_relative_to(installed.parent)


def test_the_installed_plugins_load(installed: Path, tmp_path: Path) -> None:
    """All three, without a problem."""
    said = json.loads(run(installed / "hermesd", "plugins", "list", "--json", cwd=tmp_path))
    loaded = {each["name"]: each["distribution"] for each in said["plugins"]}
    assert (loaded, said["problems"]) == (PLUGINS, [])
    assert {each["status"] for each in said["plugins"]} == {"loaded"}


def test_the_installed_command_writes_a_configuration(installed: Path, tmp_path: Path) -> None:
    """The commented file is in the wheel, and it is in order."""
    run(installed / "hermesd", "config", "init", "hermes.toml", cwd=tmp_path)
    assert (tmp_path / "hermes.toml").read_bytes() == (ROOT / "etc" / "hermes.toml").read_bytes()
    said = run(installed / "hermesd", "-c", "hermes.toml", "config", "check", cwd=tmp_path)
    assert said == "ok\n"


def test_the_dashboard_is_installed(installed: Path, tmp_path: Path) -> None:
    """Every file of it, as the api finds them."""
    look = (
        "import json; from hermesd.api.routes.pages import read_pages; "
        "found = read_pages().items(); "
        "print(json.dumps({name: page.body.decode('latin-1') for name, page in found}))"
    )
    found = json.loads(run(installed / "python", "-c", look, cwd=tmp_path))
    folder = ROOT / "hermesd" / "dashboard"
    assert "index.html" in found
    assert found == {
        path.relative_to(folder).as_posix(): path.read_bytes().decode("latin-1")
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_installed_command_makes_a_store(installed: Path, tmp_path: Path) -> None:
    """The migrations are in the wheel."""
    (tmp_path / "hermes.toml").write_text('[store]\nurl = "sqlite:///hermes.db"\n')
    command = (installed / "hermesd", "-c", "hermes.toml", "db")
    run(*command, "upgrade", cwd=tmp_path)
    assert json.loads(run(*command, "status", "--json", cwd=tmp_path))["up_to_date"] is True


def test_the_installed_daemon_runs_a_job_of_an_installed_plugin(
    installed: Path, tmp_path: Path
) -> None:
    """From the submit to the result, and it ends when told to."""
    environ = {name: text for name, text in os.environ.items() if not name.startswith("HERMES_")}
    environ |= dict.fromkeys(("HERMES_API__PORT", "HERMES_CONTROL__PORT"), "0")
    environ |= {"HERMES_WORKER__PORT": "0", "HERMES_STORE__URL": "sqlite:///hermes.db"}
    pixel = "R0lGODlhAQABAIAAAAAAAP///ywAAAAAAQABAAACAUwAOw=="
    payload = {"source_base64": pixel, "width": 8, "height": 8, "mode": "exact"}
    command = str(installed / "hermesd")
    with Daemon("both", [command], environ, tmp_path) as daemon:
        daemon.until_ready()
        asked = (command, "--url", f"http://{daemon.places['api']}")
        options = ("--wait", "--json")
        said = run(*asked, "submit", "resize-image", json.dumps(payload), *options, cwd=tmp_path)
        assert json.loads(said)["job"]["state"] == "succeeded", said
        daemon.stop()


@pytest.mark.parametrize("project", PROJECTS)
def test_a_wheel_says_that_it_is_typed(dist: Path, project: str) -> None:
    """For type checkers of those who use it (PEP 561)."""
    name = "hermesd" if project == "." else "hermesd_" + Path(project).name.replace("-", "_")
    assert f"{name}/py.typed" in {each for each, _ in contents(dist, name)}


@pytest.mark.parametrize("project", PROJECTS)
def test_the_source_archive_makes_the_same_wheel(dist: Path, tmp_path: Path, project: str) -> None:
    """It lacks no file that the wheel has."""
    name = "hermesd" if project == "." else "hermesd_" + Path(project).name.replace("-", "_")
    (archive,) = dist.glob(f"{name}-[0-9]*.tar.gz")
    with tarfile.open(archive) as opened:
        opened.extractall(tmp_path)
    (unpacked,) = tmp_path.iterdir()
    build(unpacked, tmp_path / "again", "wheel")
    assert contents(tmp_path / "again", name) == contents(dist, name)


def contents(folder: Path, name: str) -> list[tuple[str, int]]:
    """The files of the wheel, by name, with their checksums; its own list of them left out."""
    (wheel,) = folder.glob(f"{name}-[0-9]*.whl")
    with zipfile.ZipFile(wheel) as opened:
        return sorted(
            (each.filename, each.CRC)
            for each in opened.infolist()
            if not each.filename.endswith("/RECORD")
        )
