"""The options of a check that listens to a device's notifications."""

from __future__ import annotations

import ipaddress
from typing import Literal, Self

from pydantic import Field, PrivateAttr, SecretStr, ValidationInfo, model_validator

from sentinel.protocols.snmp_trap.profile import TrapProfile
from sentinel.sdk import profiles
from sentinel.sdk.profiles import ProfileName
from sentinel.sdk.protocol import Options
from sentinel.wire.usm import User


class TrapOptions(Options):
    """Where to listen, whom to believe, and what a notification means."""

    port: int = Field(
        162, ge=1, le=65_535, description="UDP port to listen at; below 1024 it wants CAP_NET_BIND_SERVICE."
    )
    listen: str | None = Field(
        None,
        description="Own address to listen at. Default: all of them; for a target at 127.N.a.b only 127.N.0.1.",
    )
    version: Literal["v2c", "v3"] = Field(
        "v2c", description="v2c: v1 and v2c by the community, which anybody on the way can read and forge. v3: signed."
    )
    community: SecretStr = Field(SecretStr("public"), description="v1 and v2c: the community that it must bear.")
    user: str | None = Field(None, min_length=1, max_length=32, description="v3: the user's name.")
    auth: Literal["md5", "sha", "sha224", "sha256", "sha384", "sha512"] | None = Field(
        None, description="v3: the digest of messages; what is not signed by it is not believed."
    )
    auth_password: SecretStr | None = Field(None, min_length=8, description="v3: at least 8 characters.")
    privacy: Literal["des", "aes128", "aes192", "aes256"] | None = Field(
        None, description="v3: the cipher; needs auth."
    )
    privacy_password: SecretStr | None = Field(None, min_length=8, description="v3: at least 8 characters.")
    profile: ProfileName = Field("traps-standard", description="A file of probes/profiles, by name.")
    hasten: tuple[str, ...] = Field(
        (),
        max_length=8,
        description="Names of the same target's checks that are probed at once where the profile says so.",
    )
    _profile: TrapProfile = PrivateAttr()

    @model_validator(mode="after")
    def _complete(self, info: ValidationInfo) -> Self:
        if self.version == "v3":
            if self.user is None or self.auth is None:
                raise ValueError("v3 needs a user and auth: what nobody signed may come from anybody")
            if self.auth_password is None:
                raise ValueError("auth and auth_password go together")
            if (self.privacy is None) != (self.privacy_password is None):
                raise ValueError("privacy and privacy_password go together")
        elif self.user or self.auth or self.privacy:
            raise ValueError("user, auth and privacy are for version: v3")
        if self.listen is not None:
            try:
                ipaddress.ip_address(self.listen)
            except ValueError:
                raise ValueError("listen is an address of this host") from None
        folders = profiles.directories(info.context)
        self._profile = profiles.load(self.profile, folders, TrapProfile, "snmp_trap", "trap")
        return self

    @property
    def mapping(self) -> TrapProfile:
        """The profile."""
        return self._profile

    @property
    def usm_user(self) -> User | None:
        """The v3 user; None for v2c."""
        if self.version == "v2c" or self.user is None or self.auth_password is None:
            return None
        secret = self.privacy_password.get_secret_value() if self.privacy_password else ""
        return User(self.user, self.auth, self.auth_password.get_secret_value(), self.privacy, secret)

    def local(self, address: str) -> tuple[str, int]:
        """Own address and port at which word from a device at this address is waited for."""
        peer = ipaddress.ip_address(address.partition("%")[0])
        everywhere = "::" if peer.version == 6 else "0.0.0.0"  # noqa: S104 - where a device sends to is its own matter
        # Each lab has a network of its own on loopback, and so its own place for what is sent there.
        loopback = "::1" if peer.version == 6 else f"127.{peer.packed[1]}.0.1"
        return self.listen or (loopback if peer.is_loopback else everywhere), self.port
