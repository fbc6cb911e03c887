"""The commented file that comes with hermesd says everything, and says it right."""

from __future__ import annotations

import re
import tomllib
from pathlib import Path

import msgspec

from hermesd.config import Config, load
from hermesd.config.effective import effective
from hermesd.config.keys import leaves
from hermesd.config.layers import Layer, stacked
from hermesd.config.load import build
from hermesd.config.schedules import ScheduleSection
from hermesd.config.sections import TypeRetention
from hermesd.config.template import template
from hermesd.core.jobtype import TypeDefaults

KEY = re.compile(r"^#(?=[a-z_]+ = )", re.MULTILINE)
EXAMPLE = re.compile(r"^#   (?=\S)", re.MULTILINE)


def test_the_file_as_it_is_gives_the_defaults(tmp_path: Path) -> None:
    """Writing it changes nothing."""
    path = tmp_path / "hermes.toml"
    path.write_bytes(template())
    assert load([path], {}) == Config()


def test_every_key_is_in_it_with_its_default() -> None:
    """With every comment taken from its key, the file is the defaults, and complete."""
    tree = tomllib.loads(KEY.sub("", template().decode()))
    assert build(stacked([Layer("template", Path(), tree)])) == Config()
    assert dict(leaves(tree)) == dict(leaves(effective(Config())))


def test_its_examples_are_right_and_complete() -> None:
    """They load, and those for job types and schedules have all keys there are."""
    tree = tomllib.loads(EXAMPLE.sub("", template().decode()))
    config = build(stacked([Layer("template", Path(), tree)]))
    (example,) = tree["jobs"]["types"].values()
    assert set(example) == set(TypeDefaults.__struct_encode_fields__)
    (example,) = tree["retention"]["types"].values()
    assert set(example) == set(TypeRetention.__struct_encode_fields__)
    (example,) = tree["schedules"].values()
    assert set(example) == set(ScheduleSection.__struct_encode_fields__)
    assert config.jobs.types
    assert config.retention.types
    assert config.plugins.settings


def test_every_section_is_a_frozen_struct_that_refuses_unknown_keys() -> None:
    """The contract that the loader builds on."""
    for field in msgspec.structs.fields(Config):
        if isinstance(field.type, type) and issubclass(field.type, msgspec.Struct):
            config = field.type.__struct_config__
            assert config.frozen, field.name
            assert config.forbid_unknown_fields, field.name
