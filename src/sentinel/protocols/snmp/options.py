"""The options of an SNMP check."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr, ValidationInfo, model_validator

from sentinel.protocols.snmp.credentials import Credentials
from sentinel.protocols.snmp.profile import Metric, Name, Oid, Profile, ProfileName, Table, directories, load
from sentinel.protocols.snmp.rates import BITS, UPTIME
from sentinel.protocols.snmp.session import Patience
from sentinel.sdk.patterns import Pattern
from sentinel.sdk.protocol import Options, Value

VALUES = (
    Value("rows", "", "Table rows read in this round, before any choice by items."),
    Value("truncated", "", "1 where a table has more rows than max_rows, so that some were not read; else 0."),
)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a round asks for.

    ``oids`` are those of all single values, sysUpTime among them where a counter needs it (``counting``).
    """

    scalars: Mapping[str, Metric]
    tables: tuple[Table, ...]
    oids: tuple[str, ...]
    counting: bool
    patience: Patience
    expected: tuple[tuple[str, Expect], ...]


class Expect(BaseModel):
    """What a single value must be; anything else is the failure expect / mismatch."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    equals: str | float | None = Field(None, description="The number after scaling, or the whole text.")
    matches: Pattern | None = Field(None, description="RE2 pattern found anywhere in the text, or the enum's label.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.equals is None) == (self.matches is None):
            raise ValueError("give one of equals and matches")
        return self


class Get(Metric):
    """A single value of one's own choosing."""

    expect: Expect | None = Field(None, description="What it must be; limits of numbers belong to sla.yaml.")


class SnmpOptions(Options):
    """Whom to ask, as whom, and for what: get, profile, or both."""

    port: int = Field(161, ge=1, le=65535, description="The agent's UDP port.")
    version: Literal["v2c", "v3"] = Field("v2c", description="v3 signs, and with privacy encrypts; v2c does neither.")
    community: SecretStr = Field(SecretStr("public"), description="v2c: the community; it goes over the wire in clear.")
    user: str | None = Field(None, min_length=1, max_length=32, description="v3: the user's name.")
    auth: Literal["md5", "sha", "sha224", "sha256", "sha384", "sha512"] | None = Field(
        None, description="v3: the digest of messages; none means noAuthNoPriv."
    )
    auth_password: SecretStr | None = Field(None, min_length=8, description="v3: at least 8 characters.")
    privacy: Literal["des", "aes128", "aes192", "aes256"] | None = Field(
        None, description="v3: the cipher; needs auth. DES is for devices that have nothing better."
    )
    privacy_password: SecretStr | None = Field(
        None,
        min_length=8,
        description="v3: at least 8 characters. Agents drop what they can't decrypt, so a wrong one takes up to "
        "attempts x 0.5 s to be told apart from silence: with a shorter timeout it reads login / timed_out.",
    )
    get: dict[Name, Oid | Get] = Field(
        default_factory=dict, max_length=100, description="Value name to an OID (a number), or to an OID with its type."
    )
    profile: ProfileName | None = Field(None, description="A file of probes/profiles, by name.")
    items: Pattern | None = Field(None, description="RE2 pattern: only table rows whose label it is found in.")
    max_rows: int = Field(256, ge=1, le=4096, description="Rows read from a table at most.")
    repetitions: int = Field(25, ge=1, le=100, description="Rows asked for in one bulk request.")
    attempts: int = Field(2, ge=1, le=5, description="Requests sent before an agent counts as silent.")
    resend_after: float = Field(
        1.0,
        ge=0.05,
        le=30,
        description="Seconds of silence after which a request is sent again; above the agent's slowest.",
    )
    _profile: Profile | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _complete(self, info: ValidationInfo) -> Self:
        if self.version == "v3":
            if self.user is None:
                raise ValueError("v3 needs a user")
            if (self.auth is None) != (self.auth_password is None):
                raise ValueError("auth and auth_password go together")
            if (self.privacy is None) != (self.privacy_password is None):
                raise ValueError("privacy and privacy_password go together")
            if self.privacy and not self.auth:
                raise ValueError("privacy needs auth (RFC 3411 section 3.4.3 has no noAuthPriv)")
        elif self.user or self.auth or self.privacy:
            raise ValueError("user, auth and privacy are for version: v3")
        if not self.get and self.profile is None:
            raise ValueError("give get, profile, or both")
        if self.profile is not None:
            self._profile = load(self.profile, directories(info.context))
        names = [*self.get, *(value.name for value in (*VALUES, *self._of_profile()))]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise ValueError(f"a name stands twice, in get, in the profile or as one of snmp's own: {', '.join(twice)}")
        return self

    @property
    def plan(self) -> Plan:
        """What a round asks for; worked out anew each time, so that equal options stay equal."""
        own = {name: Get(oid=it) if isinstance(it, str) else it for name, it in self.get.items()}
        scalars: dict[str, Metric] = {**(self._profile.scalars if self._profile else {}), **own}
        tables = tuple(self._profile.tables.values()) if self._profile else ()
        types = {m.type for m in scalars.values()} | {c.type for table in tables for c in table.columns.values()}
        oids = {oid for metric in scalars.values() for oid in (metric.oid, metric.divided_by) if oid}
        counting = not types.isdisjoint(BITS)
        return Plan(
            scalars,
            tables,
            tuple(sorted(oids | {UPTIME} if counting else oids)),
            counting,
            Patience(self.attempts, self.resend_after),
            tuple((name, metric.expect) for name, metric in own.items() if metric.expect is not None),
        )

    def credentials(self, master_key: Callable[[str, str], bytes]) -> Credentials:
        """Who we are; ``master_key`` makes a key of an algorithm and a password."""
        if self.version == "v2c":
            return Credentials("v2c", self.community.get_secret_value())
        auth, privacy = self.auth_password, self.privacy_password
        return Credentials(
            "v3",
            user=self.user or "",
            authentication=self.auth,
            auth_master=master_key(self.auth, auth.get_secret_value()) if self.auth and auth else b"",
            privacy=self.privacy,
            # RFC 3414 section 2.6: both keys are made by the authentication's digest.
            privacy_master=master_key(self.auth, privacy.get_secret_value()) if self.auth and privacy else b"",
        )

    def _of_profile(self) -> tuple[Value, ...]:
        return self._profile.values() if self._profile else ()


def values_of(options: SnmpOptions) -> tuple[Value, ...]:
    """The values that these options measure, texts left out."""
    plan = options.plan
    own = (metric.value(name) for name, metric in plan.scalars.items())
    of_tables = (
        column.value(name, items=column.aggregate is None)
        for table in plan.tables
        for name, column in table.columns.items()
    )
    return tuple(value for value in (*own, *of_tables) if value is not None)
