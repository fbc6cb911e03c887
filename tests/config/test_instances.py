"""Several daemons of one machine: what their names mean, and the file that each has of its own."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from click.testing import CliRunner

from hermesd.cli.main import cli
from hermesd.config import Config, load, parse_instance
from hermesd.config.load import load_with_origins
from hermesd.core.errors import ConfigError, InvalidValue

HOST = socket.gethostname()
NOBODY = 65534


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """The file that all instances share, with the folder for what is their own."""
    (tmp_path / "hermes.d").mkdir()
    path = tmp_path / "hermes.toml"
    path.write_text("[worker]\nthread_slots = 3\nlabels = { zone = 'a', disk = 'fast' }\n")
    return path


def own_file(base: Path, name: str, text: str) -> Path:
    """Write what one instance has of its own."""
    path = base.parent / "hermes.d" / f"{name}.toml"
    path.write_text(text)
    return path


@pytest.mark.parametrize(
    ("name", "role", "suffix"),
    [
        ("api", "api", ""),
        ("worker", "worker", ""),
        ("both", "both", ""),
        ("worker-2", "worker", "2"),
        ("api-blue_1.x-y", "api", "blue_1.x-y"),
    ],
)
def test_an_instance_is_a_role_with_an_optional_suffix(name: str, role: str, suffix: str) -> None:
    """As it stands behind the @ in the unit's name."""
    instance = parse_instance(name)
    assert (instance.name, instance.role, instance.suffix) == (name, role, suffix)


@pytest.mark.parametrize(
    "name",
    [
        "",
        "web",
        "worker-",
        "worker2",
        "Worker",
        "api-../x",
        "api-.x",
        "api-a/b",
        "api-é",
        "api\n",
        "worker-" + "x" * 60,
    ],
)
def test_another_name_is_refused_with_what_it_may_be(name: str) -> None:
    """None of them can lead out of the folder either."""
    with pytest.raises(InvalidValue, match="worker or worker-SUFFIX"):
        parse_instance(name)


def test_an_instances_own_file_lies_over_the_common_one_key_by_key(base: Path) -> None:
    """A table is merged, everything else replaced; only the instance's own file counts."""
    own = own_file(base, "worker-2", "[worker]\nasync_slots = 7\nlabels = { zone = 'b' }\n")
    own_file(base, "worker-3", "[worker]\nasync_slots = 9\n")
    loaded = load_with_origins([base], {}, instance=parse_instance("worker-2"))
    worker = loaded.config.worker
    assert (worker.thread_slots, worker.async_slots) == (3, 7)
    assert worker.labels == {"zone": "b", "disk": "fast"}
    assert loaded.document.origin_of(("worker", "async_slots")) == str(own)
    assert loaded.document.origin_of(("worker", "thread_slots")) == str(base)
    assert load([base], {}, instance=parse_instance("worker")).worker.async_slots == 128
    assert load([base], {}).worker.async_slots == 128


def test_variables_lie_over_an_instances_own_file(base: Path) -> None:
    """And their relative paths start where the common file is."""
    (base.parent / "pw").write_text("s3cret")
    own_file(base, "api", "[worker]\nasync_slots = 7\n")
    environ = {
        "HERMES_WORKER__ASYNC_SLOTS": "8",
        "HERMES_PLUGINS__SETTINGS__MAIL__PASSWORD_FILE": "pw",
    }
    config = load([base], environ, instance=parse_instance("api"))
    assert config.worker.async_slots == 8
    assert config.plugins.settings["mail"] == {"password": "s3cret"}


def test_an_instances_own_file_is_beside_the_default_one_too(base: Path) -> None:
    """Be there a common file or not."""
    own_file(base, "both", "[worker]\nasync_slots = 7\n")
    both = parse_instance("both")
    assert load([], {}, default_path=base, instance=both).worker.async_slots == 7
    base.unlink()
    assert load([], {}, default_path=base, instance=both).worker.async_slots == 7


def test_several_of_one_machine_get_names_and_ports_that_are_their_own(base: Path) -> None:
    """The first of a role keeps the ports that are known, a further worker takes a free one."""

    def of(name: str) -> Config:
        return load([base], {}, instance=parse_instance(name))

    first, second, api = of("worker"), of("worker-2"), of("api-2")
    assert (first.worker.id, first.worker.port) == (f"{HOST}-worker", 9001)
    assert (second.worker.id, second.worker.port) == (f"{HOST}-worker-2", 0)
    assert (api.api.name, api.api.port) == (f"{HOST}-api-2", 8081)
    assert of("api").api.name == ""
    assert load([base], {}).worker.id == ""
    own_file(base, "worker-2", "[worker]\nport = 9002\nid = 'mine'\n")
    assert (of("worker-2").worker.id, of("worker-2").worker.port) == ("mine", 9002)


def test_problems_name_the_file_that_they_are_in(base: Path) -> None:
    """Also one that cannot be read, which must not be passed over."""
    own = own_file(base, "worker", "[worker]\nprot = 1\n")
    with pytest.raises(ConfigError) as refusal:
        load([base], {}, instance=parse_instance("worker"))
    assert refusal.value.problems == (f"{own}: worker.prot: unknown key (did you mean 'port'?)",)
    own.unlink()
    own.symlink_to("nowhere")
    with pytest.raises(ConfigError, match="there is no such file"):
        load([base], {}, instance=parse_instance("worker"))


@contextmanager
def without_root() -> Iterator[None]:
    """What root may do is not to help, if it is root who runs the tests."""
    before = os.geteuid()
    if before == 0:
        os.seteuid(NOBODY)
    try:
        yield
    finally:
        os.seteuid(before)


def test_a_folder_that_is_closed_to_the_daemon_is_no_empty_one() -> None:
    """A setting that is silently left out would be found out much later."""
    with TemporaryDirectory() as folder:  # pytest's own is open to its owner only
        base = Path(folder) / "hermes.toml"
        base.parent.chmod(0o755)
        base.write_text("")
        base.with_name("hermes.d").mkdir(mode=0)
        with without_root():
            assert load([base], {}) == Config()
            with pytest.raises(ConfigError, match="cannot be read: Permission denied"):
                load([base], {}, instance=parse_instance("worker"))


def run(base: Path, *arguments: str) -> tuple[int, str]:
    """The exit code and all that was said."""
    environ = {name: "" for name in os.environ if name.startswith("HERMES_")}
    result = CliRunner().invoke(cli, ["--config", str(base), *arguments], env=environ)
    return result.exit_code, result.output


def test_check_and_show_look_at_an_instance(base: Path) -> None:
    """So that an operator sees what the service would."""
    own_file(base, "worker-2", "[worker]\nasync_slots = 7\n")
    assert run(base, "config", "check", "--instance", "worker-2") == (0, "ok\n")
    code, shown = run(base, "config", "show", "--origin", "--instance", "worker-2")
    assert code == 0
    assert f"worker.async_slots = 7  # {base.parent}/hermes.d/worker-2.toml\n" in shown
    assert "worker.port = 0  # instance worker-2\n" in shown
    own_file(base, "worker-2", "[worker]\nasync_slots = -1\n")
    assert run(base, "config", "check", "--instance", "worker-2")[0] == 78
    assert run(base, "serve", "--instance", "worker-2")[0] == 78
    assert run(base, "config", "check", "--instance", "worker") == (0, "ok\n")


@pytest.mark.parametrize(
    "arguments",
    [
        ("serve", "--instance", "web"),
        ("config", "check", "--instance", "web"),
        ("serve", "--role", "api", "--instance", "api-2"),
    ],
)
def test_a_wrong_instance_is_a_wrong_command_line(base: Path, arguments: tuple[str, ...]) -> None:
    """64, at which systemd does not try again."""
    code, told = run(base, *arguments)
    assert code == 64
    assert "--instance" in told
