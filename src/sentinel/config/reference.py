"""``docs/configuration.md``: every key of every file, made of the models, so that none is left out."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

from sentinel.catalog import Catalog
from sentinel.config.quantities import SIZE_PATTERN
from sentinel.config.schema import schemas

_PREFACE: Final = """\
# Configuration

<!-- Generated from the models by `sentinel schema --reference`; a test compares it. Edit the models instead. -->

The daemon reads a directory with `inventory.yaml`, `sla.yaml`, `alerting.yaml`, `sentinel.yaml`, where there are
planned conferences `conferences.yaml`, where baselines were learned `baselines.yaml`, and a directory of probes
(`probes/*.yaml`), by default beside it.
`sentinel check` reads them as the daemon does and says every mistake as `file:line:column: message`.
`sentinel init DIR` writes a set to start from.

**YAML.** One document a file in UTF-8, at most 4 MiB and 40 levels. `true` and `false` are the only booleans (`no` and
`on` are text). Anchors, aliases, tags, directives, `.nan`, `.inf` and a key that is there twice are refused.

**Quantities.** A duration has its unit: `500ms`, `10s`, `5m`, `1h30m`, `30d`, `2w`. A percentage has its sign: `5%`,
`99.9%`. A size has its unit: `64KiB`, `256MiB`, `2GiB`. A time has its offset from UTC: `2026-12-01T09:00:00+08:00`.

**Secrets** are written as references, in any text value:

| reference | what it is |
|---|---|
| `${env:NAME}` | the environment variable |
| `${file:PATH}` | a file in this directory or one of `secret_directories`, at most 64 KiB, mode 0600 or 0640 |
| `${credential:NAME}` | a systemd credential (`LoadCredential=`) |
| `$${env:NAME}` | the text `${env:NAME}` itself |

A reference that cannot be resolved is an error at its line; what a secret holds is shown in no message.

**Numbers in text.** In the inventory an entry with `count` stands for many. In its id, name, address, venue, room,
system, parents and labels `{n}` is each one's number from `start` on: `{n:02}` with leading zeros, `{n:x}` hexadecimal,
`{n+10}` ten more. In a group with `count`, `{g}` is the group's number.

**Layers.** A target takes what its template says, then the `defaults` of the groups around it from the outside in, then
what it says itself. Labels, checks and the options of a check add up key by key.
"""

_INTRODUCTIONS: Final[Mapping[str, str]] = {
    "inventory": "What there is: networks, places, and every target with its checks.",
    "sla": "What is promised, of what, and how bad it is where it does not hold.",
    "alerting": "Through which channels, and who is told of what.",
    "sentinel": "The daemon itself.",
    "conferences": "Which conferences are planned, so that their incidents can be counted. The file may be missing.",
    "baselines": (
        "What is usual at each hour of the day, as `sentinel baseline learn` writes it. The file may be missing."
    ),
    "probes": "A probe is a name for a protocol with its options.",
}


def markdown(catalog: Catalog) -> str:
    """The whole document."""
    parts = [_PREFACE]
    for name, schema in schemas(catalog).items():
        file = "probes/*.yaml" if name == "probes" else f"{name}.yaml"
        parts.append(f"## {file}\n\n{_INTRODUCTIONS[name]}\n")
        parts.append(table(schema))
        for title, definition in _definitions(schema["$defs"]):
            parts.append(f"### {title}\n\n{_one_line(definition.get('description', ''))}\n")
            parts.append(table(definition))
    return "\n".join(parts)


def _definitions(definitions: Mapping[str, Any]) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """The sections of a file: its entries in their order, then the options of each protocol or channel."""
    own = {name: each for name, each in definitions.items() if "." not in name and "properties" in each}
    yield from ((_title(name), each) for name, each in own.items())
    for name, each in definitions.items():
        kind, dot, part = name.partition(".")
        if dot and "properties" in each:
            yield (f"options of {kind}" if part == "options" else f"{kind}: {part}"), each


def _title(name: str) -> str:
    words = "".join(f" {letter.lower()}" if letter.isupper() else letter for letter in name).strip()
    return words.removesuffix(" entry")


def table(schema: Mapping[str, Any]) -> str:
    """The keys of an object's JSON Schema as a Markdown table."""
    required = set(schema.get("required", ()))
    lines = ["| key | value | default | |", "|---|---|---|---|"]
    for key, each in schema.get("properties", {}).items():
        default = "**required**" if key in required else _default(each)
        lines.append(f"| `{key}` | {_kind(each)} | {default} | {_one_line(each.get('description', ''))} |")
    return "\n".join(lines) + "\n"


def _default(schema: Mapping[str, Any]) -> str:
    if schema.get("format") == "password" or schema.get("default") in (None, "", [], {}):
        return ""
    value = schema["default"]
    if isinstance(value, bool):
        return f"`{str(value).lower()}`"
    if isinstance(value, dict | list):
        return _one_line(", ".join(f"`{each}`" for each in value) if all(isinstance(e, str) for e in value) else "")
    return f"`{_one_line(str(value))}`"


def _kind(schema: Mapping[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].rpartition("/")[2]
        return _title(name.partition(".")[2] or name) if "options" not in name else "mapping"
    if "enum" in schema:
        return ", ".join(f"`{each}`" for each in schema["enum"])
    if "const" in schema:
        return f"`{schema['const']}`"
    if "anyOf" in schema:
        kinds = dict.fromkeys(_kind(each) for each in schema["anyOf"] if each.get("type") != "null")
        return " or ".join(kinds)
    kind = schema.get("type")
    if kind == "array":
        return f"list of {_kind(schema.get('items', {}))}"
    if kind == "object":
        inner = schema.get("additionalProperties") or next(iter(schema.get("patternProperties", {}).values()), None)
        return f"mapping of {_kind(inner)}" if isinstance(inner, dict) else "mapping"
    if kind == "string":
        return _text(schema)
    if kind in ("integer", "number"):
        return _range("whole number" if kind == "integer" else "number", schema)
    return {"boolean": "`true`, `false`"}.get(str(kind), "any")


def _text(schema: Mapping[str, Any]) -> str:
    if schema.get("format") == "password":
        return "secret text"
    pattern = str(schema.get("pattern", ""))
    if pattern.endswith("(?:ms|s|m|h|d|w))+$"):
        return "duration"
    if pattern == SIZE_PATTERN:
        return "size"
    return "percentage" if pattern.endswith("%$") else "id" if pattern.startswith("^[a-z0-9][a-z0-9-]") else "text"


def _range(kind: str, schema: Mapping[str, Any]) -> str:
    low, high = schema.get("minimum"), schema.get("maximum")
    if low is not None and high is not None:
        return f"{kind} from {low} to {high}"
    return f"{kind} from {low}" if low is not None else f"{kind} to {high}" if high is not None else kind


def _one_line(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")
