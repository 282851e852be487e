"""The options of a codec check: by which profile, as whom, and what has to be there."""

from __future__ import annotations

from typing import Final, Literal, Self

from pydantic import Field, PrivateAttr, SecretStr, ValidationInfo, model_validator
from pydantic_core import PydanticCustomError

from sentinel.protocols.codec.profile import Name, Profile, load
from sentinel.sdk.net import Tls
from sentinel.sdk.patterns import Pattern
from sentinel.sdk.profiles import ProfileName, directories
from sentinel.sdk.protocol import Value
from sentinel.sdk.ssh_login import HostKeys, Login

VALUES: Final = (
    Value("values_missing", "", "Values and facts that the profile reads and the device does not tell."),
    Value("certificate_days_left", "d", "Days until the certificate ends; negative where it has."),
    Value("participants_expected", "", "Participants that the check expects in a conference."),
    Value("participants_missing", "", "Expected participants that are not connected; 0 where no conference runs."),
    Value("cameras_missing", "", "Expected cameras that are not connected."),
    Value("microphones_missing", "", "Expected microphones that are not connected."),
)

COUNTED: Final = {"cameras": "camera_connected", "microphones": "microphone_connected"}
"""Options that say how many there are, and the profile's values with an item for each."""


class CodecOptions(Tls):
    """Which device, and what it is asked."""

    profile: ProfileName = Field(description="A file of probes/profiles, by name: what kind of device it is.")
    port: int | None = Field(
        default=None, ge=1, le=65_535, description="TCP port; 22, or 80 or 443 by the scheme, where not given."
    )
    scheme: Literal["http", "https"] = Field(
        default="https", description="For profiles over HTTP: with TLS or without."
    )
    username: str | None = Field(
        default=None, min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f:]+$", description="User to log in as."
    )
    password: SecretStr | None = Field(
        default=None, description="The user's password: of SSH, or of HTTP's Basic authentication (RFC 7617)."
    )
    private_key: SecretStr | None = Field(
        default=None,
        description="For profiles over SSH: the user's private key without a passphrase, in OpenSSH's form.",
    )
    host_key: HostKeys | None = Field(
        default=None,
        description='Over SSH: the host key, "SHA256:…" or its public line; "any" takes whatever is shown.',
    )
    legacy_algorithms: bool = Field(
        default=False, description="For profiles over SSH: also speak what old devices need, SHA-1 and CBC."
    )
    participants: int | None = Field(
        default=None, ge=0, le=10_000, description="Participants that a full conference has, for an MCU."
    )
    cameras: int | None = Field(default=None, ge=0, le=64, description="Cameras that have to be connected.")
    microphones: int | None = Field(default=None, ge=0, le=64, description="Microphones that have to be connected.")
    items: dict[Name, Pattern] = Field(
        default_factory=dict,
        max_length=32,
        description="Value name to a pattern (RE2): of its items only those whose name it is found in.",
    )
    without: tuple[Name, ...] = Field(
        default=(),
        max_length=32,
        description="Values of the profile that are not taken: a registrar that one does not use.",
    )
    max_bytes: int = Field(
        default=1 << 20, ge=1_024, le=8 << 20, description="Bytes of all answers of a run together, at most."
    )
    _profile: Profile | None = PrivateAttr(None)

    @model_validator(mode="after")
    def _whole(self, info: ValidationInfo) -> Self:
        self._profile = profile = load(self.profile, directories(info.context))
        self._login_fits(profile)
        declared = {value.name: value for value in profile.declared()}
        taken = sorted(declared.keys() & {value.name for value in VALUES})
        if taken:
            raise ValueError(f"the profile measures {taken[0]}, which is one of codec's own")
        items = sorted(self.items.keys() - {name for name, value in declared.items() if value.items})
        if items:
            raise ValueError(f"items: the profile measures no items of {items[0]}")
        unknown = sorted(set(self.without) - declared.keys())
        if unknown:
            raise ValueError(f"without: the profile measures no {unknown[0]}")
        wanted = {option: value for option, value in COUNTED.items() if getattr(self, option) is not None}
        if self.participants is not None:
            wanted["participants"] = "participants_connected"
        for option, value in wanted.items():
            if value not in declared or value in self.without:
                raise ValueError(f"{option}: the profile {self.profile} measures no {value}")
        return self

    def _login_fits(self, profile: Profile) -> None:
        over_ssh = profile.transport == "ssh"
        lacking = [name for name in ("username", "host_key") if over_ssh and getattr(self, name) is None]
        if over_ssh and self.password is None and self.private_key is None:
            lacking.append("password or private_key")
        if not over_ssh and (self.username is None) != (self.password is None):
            lacking.append("password" if self.password is None else "username")
        if lacking:
            raise PydanticCustomError("missing", "{names} is missing", {"names": ", ".join(lacking)})
        if over_ssh and self.host_key is not None and "any" in self.host_key and len(self.host_key) > 1:
            raise ValueError("host_key: any stands alone")
        if not over_ssh and (self.private_key or self.host_key or self.legacy_algorithms):
            raise ValueError("private_key, host_key and legacy_algorithms are for profiles over SSH")

    @property
    def plan(self) -> Profile:
        """The profile, read."""
        if self._profile is None:
            raise AssertionError
        return self._profile

    @property
    def at_port(self) -> int:
        """The port: the option's, else the transport's own."""
        if self.port is not None:
            return self.port
        return 22 if self.plan.transport == "ssh" else 443 if self.scheme == "https" else 80

    @property
    def wants_tls(self) -> bool:
        """Whether the connection speaks TLS."""
        return self.plan.transport == "http" and self.scheme == "https"

    def at(self, host: str) -> Login:
        """The login at an address over SSH."""
        return Login(
            host,
            self.at_port,
            self.username or "",
            self.password,
            self.private_key,
            self.host_key or (),
            self.legacy_algorithms,
        )


def values_of(options: CodecOptions) -> tuple[Value, ...]:
    """The values of the options' profile."""
    return tuple(value for value in options.plan.declared() if value.name not in options.without)
