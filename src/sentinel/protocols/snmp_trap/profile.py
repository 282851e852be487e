"""Trap profiles: what a device's notifications mean.

``probes/profiles/<name>.yaml`` with ``protocol: snmp_trap``; a check takes one with ``profile: <name>``.
"""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from sentinel.sdk.patterns import Pattern
from sentinel.sdk.quantities import Duration

Oid = Annotated[str, StringConstraints(pattern=r"^[0-2](\.\d{1,10}){1,126}$", strict=True)]
Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9-]{0,47}$")]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)


class Condition(_Model):
    """What a variable must say."""

    oid: Oid = Field(description="The variable's OID, or the beginning of it: a column without its index.")
    matches: Pattern = Field(description="RE2 pattern found anywhere in its value; numbers are written in digits.")


class Mapped(_Model):
    """One kind of notification, and what follows from it."""

    oid: Oid = Field(description="The trap's OID (snmpTrapOID; of a v1 trap: enterprise.0.number), or a beginning.")
    when: tuple[Condition, ...] = Field((), max_length=8, description="Conditions on its variables; all must hold.")
    state: Literal["failed", "ok", "event"] = Field(
        "event", description="failed: the check fails until `ok` comes; event: it is only recorded."
    )
    problem: Name | None = Field(None, description="What fails or is well again; failed and ok name the same one.")
    key: Oid | None = Field(
        None,
        description="A column whose value tells several of one kind apart, such as ifIndex: each fails for itself.",
    )
    text: str = Field(
        "", max_length=200, description="What to tell people; `{0}`, `{1}` … are replaced by the values of `texts`."
    )
    texts: tuple[Oid, ...] = Field((), max_length=8, description="Columns whose values the text takes in.")
    expires: Annotated[Duration, Field(ge=1, le=604_800)] | None = Field(
        None, description="A failure is over by itself after so long, where no trap may end it."
    )
    hasten: bool = Field(False, description="Probe the checks that the option `hasten` names at once.")

    @model_validator(mode="after")
    def _fits(self) -> Self:
        if (self.problem is None) != (self.state == "event"):
            raise ValueError("problem goes with failed and ok, and event has none")
        if self.expires and self.state != "failed":
            raise ValueError("expires is for failed")
        return self


class TrapProfile(_Model):
    """A profile's file."""

    protocol: Literal["snmp_trap"] = Field(description="Always snmp_trap.")
    description: str = Field(max_length=200, description="Whose notifications, for people.")
    traps: dict[Name, Mapped] = Field(
        min_length=1, max_length=200, description="By name; the first whose OID and conditions fit counts."
    )

    @model_validator(mode="after")
    def _ends(self) -> Self:
        problems = {mapped.problem for mapped in self.traps.values() if mapped.state == "ok"}
        for name, mapped in self.traps.items():
            if mapped.state == "failed" and mapped.problem not in problems and not mapped.expires:
                raise ValueError(f"traps.{name}: nothing ends it: give it `expires`, or a trap with state ok")
        return self
