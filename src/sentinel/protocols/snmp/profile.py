"""SNMP profiles: vendor data in YAML, a name for each value that is worth reading from a kind of device.

``probes/profiles/<name>.yaml`` with ``protocol: snmp``; a check takes one with ``profile: <name>``.  The directories
come from pydantic's validation context, ``context={"profiles": Path | [Path, ...]}``, first match wins; without one
from the shipped ``probes/profiles``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

import sentinel
from sentinel.protocols.snmp.rates import BITS
from sentinel.sdk.protocol import Value

LARGEST_FILE = 262_144
DEEPEST = 12

Oid = Annotated[str, StringConstraints(pattern=r"^[0-2](\.\d{1,10}){1,126}$", strict=True)]
"""Numbers with dots, no leading dot; a scalar's ends in .0."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
"""snake_case, ends in its unit: the metric is ``sentinel_snmp_<name>``."""

ProfileName = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9-]{0,47}$")]

Type = Literal["gauge", "counter32", "counter64", "timeticks", "text", "enum", "bits"]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Metric(_Model):
    """One OID and what its value means."""

    oid: Oid = Field(description="The OID in numbers: a scalar's ends in .0, a column's has no index.")
    type: Type = Field(
        "gauge",
        description="gauge: a number, a decimal text or net-snmp's Opaque float. counter32, counter64: becomes a rate "
        "per second. timeticks: hundredths become seconds. text: a fact, not a value. enum: a number with a meaning. "
        "bits: a string of bits (RFC 2578 section 7.1.4); its value is how many of those in labels are set.",
    )
    scale: float = Field(1.0, description="Factor from the agent's unit to the value's (0.01 for hundredths).")
    unit: str = Field("", max_length=16, description="Unit of the value after scaling; a counter's is per second.")
    description: str = Field("", max_length=200, description="One sentence for people.")
    optional: bool = Field(False, description="Its absence is no failure.")
    divided_by: Oid | None = Field(
        None, description="gauge, counter: divide by this OID's value, to make a ratio; none where it is not above 0."
    )
    invalid: tuple[float, ...] = Field((), description="Raw numbers with which the device says: no reading.")
    labels: dict[int, str] = Field(default_factory=dict, description="enum, bits: the meaning of each number, a fact.")
    ok: tuple[int, ...] = Field((), description="enum: numbers that are well; the value is then 1 or 0.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if self.divided_by and self.type not in ("gauge", *BITS):
            raise ValueError("divided_by is for a gauge or a counter")
        if self.labels and self.type not in ("enum", "bits"):
            raise ValueError("labels are for an enum or for bits")
        if self.ok and self.type != "enum":
            raise ValueError("ok is for an enum")
        if self.type == "bits" and not self.labels:
            raise ValueError("bits need labels: those that count")
        return self

    def value(self, name: str, *, items: bool = False) -> Value | None:
        """Its declaration; None for a text."""
        if self.type == "text":
            return None
        unit = self.unit or {"timeticks": "s", "counter32": "1/s", "counter64": "1/s"}.get(self.type, "")
        return Value(name, unit, self.description or f"OID {self.oid}.", items)


class Fallback(_Model):
    """Where else a column may be found."""

    oid: Oid = Field(description="The other column's OID.")
    type: Type = Field("gauge", description="Its type.")
    scale: float = Field(1.0, description="Its factor.")
    divided_by: Oid | None = Field(None, description="What it is divided by.")


class Only(_Model):
    """Which rows count."""

    oid: Oid = Field(description="A column of the same index.")
    equals: int = Field(description="The number that it must hold.")


class Sensor(_Model):
    """ENTITY-SENSOR-MIB's two columns that place the decimal point (RFC 3433)."""

    scale: Oid = Field(description="entPhySensorScale's OID: 9 is units, 8 thousandths, 10 thousands.")
    precision: Oid = Field(description="entPhySensorPrecision's OID: digits after the point.")


class Column(Metric):
    """One column of a table: a value for each row."""

    type: Type = Field("gauge", description="As for a scalar; a table has no texts but its labels.")
    fallback: Fallback | None = Field(None, description="Read where an agent does not have the first column.")
    only: Only | None = Field(None, description="Only rows where another column holds a number.")
    sensor: Sensor | None = Field(None, description="Decimal point from ENTITY-SENSOR-MIB.")
    discontinuity: Oid | None = Field(
        None, description="counter: a column that changes where the counter began anew; then there is no rate."
    )
    aggregate: Literal["mean", "max", "min", "sum"] | None = Field(
        None, description="One value for all rows in place of one for each."
    )

    @model_validator(mode="after")
    def _numeric(self) -> Self:
        if self.type == "text":
            raise ValueError("a column can't be a text")
        if self.discontinuity and self.type not in BITS:
            raise ValueError("discontinuity is for a counter")
        if self.fallback and (self.fallback.type in BITS) != (self.type in BITS):
            raise ValueError("a counter's fallback is a counter")
        return self


class Table(_Model):
    """Rows with an index; a value's key is ``name:label``."""

    description: str = Field("", max_length=200, description="One sentence for people.")
    label: tuple[Oid, ...] = Field(
        (), description="Columns that name a row, the first that is not empty; else the index."
    )
    aliases: tuple[Oid, ...] = Field(
        (), max_length=4, description="Columns that the check's items are looked for in, beside the label."
    )
    optional: bool = Field(False, description="An empty table is no failure.")
    columns: dict[Name, Column] = Field(min_length=1, description="Value name to column.")


class Scalars(_Model):
    """What a check reads: single values by name, and tables."""

    scalars: dict[Name, Metric] = Field(default_factory=dict, description="Value name to OID and type.")
    tables: dict[Name, Table] = Field(default_factory=dict, description="Tables to walk.")


class Profile(Scalars):
    """A profile's file."""

    protocol: Literal["snmp"] = Field(description="Always snmp: other protocols have their profiles beside it.")
    description: str = Field(max_length=200, description="What it reads, for people.")

    @model_validator(mode="after")
    def _names(self) -> Self:
        names = [*self.scalars, *(name for table in self.tables.values() for name in table.columns)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"a name stands twice: {', '.join(twice)}")
        if not names:
            raise ValueError("a profile reads something")
        return self

    def values(self) -> tuple[Value, ...]:
        """Every value that it may measure."""
        found = [metric.value(name) for name, metric in self.scalars.items()]
        for table in self.tables.values():
            found += [c.value(name, items=c.aggregate is None) for name, c in table.columns.items()]
        return tuple(value for value in found if value is not None)


def shipped() -> Path:
    """The profiles that come with Sentinel: inside an installed package, or in the source tree."""
    package = Path(sentinel.__file__).parent
    inside = package / "_starter" / "probes" / "profiles"
    return inside if inside.is_dir() else package.parents[1] / "probes" / "profiles"


def directories(context: Mapping[str, Any] | None) -> tuple[Path, ...]:
    """Where to look, from pydantic's validation context."""
    given = (context or {}).get("profiles")
    if not given:
        return (shipped(),)
    return tuple(given) if isinstance(given, Sequence) else (Path(given),)


def load(name: str, folders: Sequence[Path]) -> Profile:
    """The profile of that name.

    Raises:
        ValueError: there is none, or its file is wrong; the text says what and where.
    """
    for folder in folders:
        path = Path(folder) / f"{name}.yaml"
        try:
            status = path.stat()
        except OSError:
            continue
        if status.st_size > LARGEST_FILE:
            raise ValueError(f"{path}: more than {LARGEST_FILE} bytes")
        return _load(path, status.st_mtime_ns, status.st_size)
    raise ValueError(f"no SNMP profile {name!r}{_known(folders)}")


def _known(folders: Sequence[Path]) -> str:
    marked = re.compile(rb"^protocol:\s*snmp\s*$", re.MULTILINE)
    paths = [path for folder in folders for path in sorted(Path(folder).glob("*.yaml"))]
    names = sorted({path.stem for path in paths if marked.search(path.read_bytes()[:LARGEST_FILE])})
    return f"; there are: {', '.join(names)}" if names else f" in {', '.join(map(str, folders))}"


@lru_cache(maxsize=128)  # a hundred checks name the same file; a changed file has another time or size
def _load(path: Path, _changed: int, _size: int) -> Profile:
    try:
        return parse(path.read_bytes().decode("utf-8"))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


def parse(content: str) -> Profile:
    """A profile's YAML.

    Raises:
        ValueError: it is wrong; the text says what and where.
    """
    try:
        _bounded(content)
        return Profile.model_validate(YAML(typ="safe", pure=True).load(content))
    except ValidationError as error:
        wrong = "; ".join(f"{'.'.join(map(str, e['loc'])) or 'profile'}: {e['msg']}" for e in error.errors()[:5])
        raise ValueError(wrong) from error
    except (YAMLError, ValueError, RecursionError) as error:
        raise ValueError(" ".join(str(error).split())[:500]) from error


def _bounded(content: str) -> None:
    """Refuse what a profile never needs: aliases, that multiply, and depth."""
    depth = 0
    for event in YAML(typ="safe", pure=True).parse(content):
        if isinstance(event, AliasEvent):
            raise ValueError(f"line {event.start_mark.line + 1}: aliases are refused")  # noqa: TRY004 - a file's fault
        depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
        if depth > DEEPEST:
            raise ValueError(f"line {event.start_mark.line + 1}: deeper than {DEEPEST} levels")
