"""JSON Schema (2020-12) of every configuration file, for editors: made of the models, so always true.

In ``probes.json`` and ``alerting.json`` the options follow the protocol or channel that is named beside them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Final

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema

from sentinel.catalog import Catalog
from sentinel.config.alerting import AlertingFile
from sentinel.config.baselines import BaselinesFile
from sentinel.config.conferences import ConferencesFile
from sentinel.config.inventory import InventoryFile
from sentinel.config.probes import ProbesFile
from sentinel.config.quantities import DURATION_PATTERN, PERCENT_PATTERN, SIZE_PATTERN, size_text, text_of
from sentinel.config.settings import SentinelFile
from sentinel.config.sla import SlaFile

FILES: Final[Mapping[str, type[BaseModel]]] = {
    "inventory": InventoryFile,
    "sla": SlaFile,
    "alerting": AlertingFile,
    "sentinel": SentinelFile,
    "conferences": ConferencesFile,
    "baselines": BaselinesFile,
    "probes": ProbesFile,
}
"""The model of each file by its name without ``.yaml``; ``probes`` stands for every file in ``probes/``."""


def schemas(catalog: Catalog) -> dict[str, dict[str, Any]]:
    """The schema of each file by its name."""
    found = {name: _schema(name, model) for name, model in FILES.items()}
    _choose(
        found["probes"], "ProbeEntry", "protocol", {n: p.options for n, p in catalog.protocols.items()}, partial=True
    )
    _choose(found["alerting"], "ChannelEntry", "type", {n: c.options for n, c in catalog.channels.items()})
    return found


def write(catalog: Catalog, directory: Path) -> list[Path]:
    """One file ``<name>.json`` each; gives those that changed.

    Raises:
        OSError: a file cannot be written.
    """
    changed = []
    for name, schema in schemas(catalog).items():
        path = directory / f"{name}.json"
        text = json.dumps(schema, ensure_ascii=False, indent=2) + "\n"
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            directory.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
            changed.append(path)
    return changed


def _schema(name: str, model: type[BaseModel]) -> dict[str, Any]:
    schema = model.model_json_schema(by_alias=True)
    _as_written(schema)
    title = "probes/*.yaml" if name == "probes" else f"{name}.yaml"
    return {"$schema": GenerateJsonSchema.schema_dialect, "title": title, **schema}


def _choose(
    schema: dict[str, Any], entry: str, key: str, options: Mapping[str, type[BaseModel]], *, partial: bool = False
) -> None:
    """Make an entry's options those of the protocol or channel that it names.

    ``partial``: what is required may still be missing there, for a check adds it.
    """
    definitions = schema["$defs"]
    whole = definitions[entry]
    choices = []
    for name, model in options.items():
        inner = model.model_json_schema(by_alias=True, ref_template=f"#/$defs/{name}.{{model}}")
        _as_written(inner)
        for inner_name, definition in inner.pop("$defs", {}).items():
            definitions[f"{name}.{inner_name}"] = definition
        demands = inner.pop("required", []) if partial else inner.get("required", [])
        definitions[f"{name}.options"] = inner
        properties = {key: {"const": name}, "options": {"$ref": f"#/$defs/{name}.options"}}
        choice: dict[str, Any] = {"properties": properties}
        if demands and not partial:
            choice["required"] = ["options"]
        choices.append(choice)
    whole["properties"][key] |= {"enum": sorted(options)}
    whole["properties"]["options"] = {"description": whole["properties"]["options"]["description"]}
    if choices:
        whole["oneOf"] = choices


def _as_written(schema: dict[str, Any]) -> None:
    """Defaults are shown as an operator writes them: ``5m``, not 300.0; titles that repeat the key are left out."""
    schema.pop("title", None)
    if schema.get("default", ...) is None:
        del schema["default"]
    patterns = {schema.get("pattern"), *(inner.get("pattern") for inner in schema.get("anyOf", ()))}
    if patterns & {DURATION_PATTERN, PERCENT_PATTERN, SIZE_PATTERN}:
        for bound in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"):
            schema.pop(bound, None)  # they are of seconds and say nothing about text
        default = schema.get("default")
        if isinstance(default, int | float):
            schema["default"] = _written(default, patterns)
    for inner in _below(schema):
        _as_written(inner)


def _written(default: float, patterns: set[str | None]) -> str:
    if SIZE_PATTERN in patterns:
        return size_text(int(default))
    return text_of(default) if DURATION_PATTERN in patterns else f"{default * 100:g}%"


def _below(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """The schemas in a schema; a property's name is no keyword, whatever it is called."""
    for key in ("properties", "$defs", "patternProperties"):
        yield from schema.get(key, {}).values()
    for key in ("anyOf", "oneOf", "allOf", "prefixItems"):
        yield from schema.get(key, ())
    for key in ("items", "additionalProperties", "propertyNames"):
        if isinstance(schema.get(key), dict):
            yield schema[key]
