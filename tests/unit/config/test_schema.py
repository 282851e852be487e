"""The JSON Schemas say what the models say."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest

from sentinel.catalog import Catalog
from sentinel.config.document import parse
from sentinel.config.reference import markdown
from sentinel.config.schema import schemas, write
from tests.unit.config.conftest import TESTDATA, Estate


def _valid(schema: dict[str, Any], text: str) -> bool:
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    return bool(validator.is_valid(parse(text.encode(), "f").plain()))


def test_the_right_files_are_right(catalog: Catalog, estate: Estate) -> None:
    found = schemas(catalog)
    for name, schema in found.items():
        path = estate.probes / "all.yaml" if name == "probes" else estate.config / f"{name}.yaml"
        assert _valid(schema, path.read_text(encoding="utf-8")), name


# What an editor can see without knowing the other entries.
SHAPES = [
    "unknown-key",
    "unknown-top-key",
    "wrong-type",
    "not-a-list",
    "not-a-mapping",
    "missing-address",
    "no-unit",
    "probe-unknown-protocol",
    "probe-unknown-option",
    "probe-wrong-choice",
    "rule-unknown-value",
    "percent-without-sign",
    "channel-unknown-type",
    "channel-option",
    "listen-nonsense",
    "many",
]


@pytest.mark.parametrize("name", SHAPES)
def test_an_editor_sees_it_as_well(name: str, catalog: Catalog) -> None:
    text = (TESTDATA / f"invalid-{name}.yaml").read_text(encoding="utf-8")
    kind = text.splitlines()[0].removeprefix("# ")
    assert not _valid(schemas(catalog)[kind], text)


def test_options_follow_the_protocol_that_is_named(catalog: Catalog) -> None:
    schema = schemas(catalog)["probes"]
    assert _valid(schema, "probes: {a: {protocol: icmp, options: {count: 3}}}")
    assert not _valid(schema, "probes: {a: {protocol: tcp, options: {count: 3}}}")
    assert _valid(schema, "probes: {a: {protocol: video, options: {login: {user: a, password: b}}}}")
    assert not _valid(schema, "probes: {a: {protocol: video, options: {login: {user: a, pass: b}}}}")
    assert _valid(schema, "probes: {a: {protocol: tcp}}")  # a check may add the port


def test_a_channel_needs_its_options(catalog: Catalog) -> None:
    schema = schemas(catalog)["alerting"]
    assert _valid(schema, "channels: {a: {type: hook, options: {url: x}}}")
    assert not _valid(schema, "channels: {a: {type: hook}}")


def test_defaults_are_shown_as_they_are_written(catalog: Catalog) -> None:
    definitions = schemas(catalog)["sla"]["$defs"]
    assert definitions["RetrievalEntry"]["properties"]["limit"]["default"] == "5m"
    assert definitions["ConferenceRateEntry"]["properties"]["at_most"]["default"] == "5%"
    assert definitions["AvailabilityEntry"]["properties"]["window"]["default"] == "30d"


def _undescribed(schema: dict[str, Any], path: str) -> list[str]:
    found = [f"{path}.{name}" for name, each in schema.get("properties", {}).items() if not each.get("description")]
    for name, definition in schema.get("$defs", {}).items():
        found += _undescribed(definition, f"{path}.{name}")
    return found


def test_every_key_has_a_description(catalog: Catalog) -> None:
    for name, schema in schemas(catalog).items():
        assert _undescribed(schema, name) == []


def test_the_reference_has_every_key(catalog: Catalog) -> None:
    text = markdown(catalog)
    for schema in schemas(catalog).values():
        for definition in (schema, *schema["$defs"].values()):
            for name in definition.get("properties", {}):
                assert f"| `{name}` |" in text


def test_only_what_changed_is_written(tmp_path: Path, catalog: Catalog) -> None:
    directory = tmp_path / "schema"
    assert len(write(catalog, directory)) == 7
    assert write(catalog, directory) == []
    (directory / "sla.json").write_text("{}", encoding="utf-8")
    assert write(catalog, directory) == [directory / "sla.json"]
