"""Commands work where the daemon's secrets cannot be read."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from click.testing import CliRunner

from hermesd.cli.main import cli


def test_the_api_is_found_without_the_files_that_only_the_daemon_is_given(
    api: Any, tmp_path: Path, environ: dict[str, str]
) -> None:
    """A credential of systemd's is nowhere but in the service."""
    api.json({"jobs": [], "next_cursor": None})
    config = tmp_path / "hermes.toml"
    config.write_text(
        f"[api]\nport = {urlsplit(api.url).port}\n"
        '[plugins.settings.email]\npassword_file = "smtp-password"\n'
    )
    result = CliRunner().invoke(cli, ["jobs", "list", "--json"], env=environ)
    assert (result.exit_code, len(api.requests)) == (0, 1), result.output
