"""What a check by GB/T 28181 can be told."""

from __future__ import annotations

import ipaddress
from typing import Literal, Self

from pydantic import Field, SecretStr, field_validator, model_validator
from pydantic_core import PydanticCustomError

from sentinel.picture import WatchOptions

Mode = Literal["options", "register", "registered", "catalog", "status", "play"]

TO_PLATFORM = frozenset({"options", "register"})
"""Modes in which we ask a platform; in all others a device or platform has registered with us."""

_ID = r"^[0-9]{20}$"


class Gb28181Options(WatchOptions):
    """Options of the protocol ``gb28181``.

    In the modes ``options`` and ``register`` the target's address is asked.  In all others the target registers with
    us: a request goes back to where its registration came from.
    """

    mode: Mode = Field(
        default="options",
        description="What is measured. Of a platform: options (does it answer?), register (does it ask for a login, and"
        " accept ours?). Of what registers with us: registered, catalog, status, play (a live picture).",
    )
    port: int = Field(default=5060, ge=1, le=65_535, description="SIP port of the target.")
    transport: Literal["udp", "tcp"] = Field(
        default="udp",
        description="How a platform is asked; what registers with us is asked as it registered.",
    )
    server_id: str = Field(
        default="11000000002000000001", pattern=_ID, description="Our own number (20 digits), on both sides."
    )
    realm: str | None = Field(
        default=None,
        pattern=r"^[0-9A-Za-z.-]{1,64}$",
        description="SIP domain and Digest realm; the first ten digits of server_id where it is not given.",
    )
    device: str | None = Field(
        default=None, pattern=_ID, description="Number of the platform or device (20 digits) that is asked."
    )
    channel: str | None = Field(
        default=None,
        pattern=_ID,
        description="Number of the camera whose picture or status is wanted, where it is not the device itself.",
    )
    password: SecretStr | None = Field(
        default=None,
        description="Password that the device logs in to us with, or, in the mode register, that we log in with.",
    )
    digest: Literal["MD5", "SHA-256"] = Field(
        default="MD5", description="Digest algorithm of our registrar; what was built before 2022 knows MD5 alone."
    )
    listen: str = Field(
        default="127.0.0.1",
        description="Address of this host that our registrar listens on, over UDP and TCP; 0.0.0.0 for all.",
    )
    listen_port: int = Field(default=5060, ge=1, le=65_535, description="Port that our registrar listens on.")
    warm_up: float = Field(
        default=300.0,
        ge=0,
        le=86_400,
        description="Seconds that our registrar listens before a device that has not registered counts as missing.",
    )
    keepalive: float = Field(
        default=60.0, ge=1, le=3_600, description="Seconds between two keep-alives, as set in the device."
    )
    encoding: Literal["GB2312", "UTF-8"] = Field(default="GB2312", description="What our questions are written in.")
    silence: float = Field(
        default=2.0,
        ge=0.1,
        le=60,
        description="A catalogue that comes to less than was announced ends after so many seconds without more.",
    )
    max_items: int = Field(default=20_000, ge=1, le=200_000, description="Largest catalogue that is counted.")
    media: Literal["udp", "tcp-passive", "tcp-active"] = Field(
        default="udp",
        description="How the picture comes: over UDP, or over TCP in a connection that the device opens (tcp-passive)"
        " or we open (tcp-active).",
    )
    media_address: str | None = Field(
        default=None, description="Address that the device sends to, where it is not our own on the way to it."
    )
    media_ports: str | None = Field(
        default=None,
        pattern=r"^[0-9]{1,5}-[0-9]{1,5}$",
        description='Ports of ours that pictures come to, "30000-30999", for a firewall; any free one if not given.',
    )
    key_frame_tries: int = Field(default=3, ge=1, le=10, description="Key frames to decode until one gives a picture.")
    max_key_frame_bytes: int = Field(
        default=4_194_304, ge=65_536, le=33_554_432, description="Largest access unit that is put together."
    )

    @field_validator("listen", "media_address")
    @classmethod
    def _an_address(cls, address: str | None) -> str | None:
        if address is not None:
            ipaddress.ip_address(address)
        return address

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.mode not in TO_PLATFORM:
            if self.transport != "udp":
                raise ValueError(f"transport is for the modes options and register; {self.mode} asks as was registered")
            if self.device is None:
                raise _missing(self.mode, "device, the number of what registers with us")
            if self.password is None or not self.password.get_secret_value():
                raise _missing(self.mode, "password: nobody registers with us without one")
        if self.media_ports is not None and not self.media_range:
            raise ValueError("media_ports: a first and a last port, with two ports between them at least")
        return self

    @property
    def domain(self) -> str:
        """The SIP domain and realm."""
        return self.realm or self.server_id[:10]

    @property
    def media_range(self) -> range:
        """The even ports of ``media_ports`` (RFC 3550, 11); empty where none are given."""
        if self.media_ports is None:
            return range(0)
        first, _, last = self.media_ports.partition("-")
        return range(max(1_024, int(first) + int(first) % 2), min(int(last), 65_535) + 1, 2)

    @property
    def wanted(self) -> str:
        """The number of what the question is about: the channel, or the device."""
        return self.channel or self.device or ""


def _missing(mode: str, what: str) -> PydanticCustomError:
    # Of the type of a field that is not given: a probe may leave to its checks what differs from one to the next.
    return PydanticCustomError("missing", "the mode {mode} needs {what}", {"mode": mode, "what": what})
