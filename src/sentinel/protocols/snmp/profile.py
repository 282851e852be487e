"""SNMP profiles: vendor data in YAML, a name for each value that is worth reading from a kind of device.

``probes/profiles/<name>.yaml`` with ``protocol: snmp``; a check takes one with ``profile: <name>``.  The directories
come from pydantic's validation context, ``context={"profiles": Path | [Path, ...]}``, first match wins; without one
from the shipped ``probes/profiles``.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from sentinel.protocols.snmp.rates import BITS
from sentinel.sdk import profiles
from sentinel.sdk.profiles import ProfileName, directories, shipped
from sentinel.sdk.protocol import Value

__all__ = [
    "Column",
    "Metric",
    "Name",
    "Oid",
    "Profile",
    "ProfileName",
    "Table",
    "directories",
    "load",
    "parse",
    "shipped",
]

Oid = Annotated[str, StringConstraints(pattern=r"^[0-2](\.\d{1,10}){1,126}$", strict=True)]
"""Numbers with dots, no leading dot; a scalar's ends in .0."""

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,47}$")]
"""snake_case, ends in its unit: the metric is ``sentinel_snmp_<name>``."""

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


def load(name: str, folders: Sequence[Path]) -> Profile:
    """The profile of that name.

    Raises:
        ValueError: there is none, or its file is wrong; the text says what and where.
    """
    return profiles.load(name, folders, Profile, "snmp", "SNMP")


def parse(content: str) -> Profile:
    """A profile's YAML.

    Raises:
        ValueError: it is wrong; the text says what and where.
    """
    return profiles.parse(content, Profile)
