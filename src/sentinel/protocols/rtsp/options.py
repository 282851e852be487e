"""What a check by RTSP can be told."""

from __future__ import annotations

import re
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from sentinel.picture import WatchOptions
from sentinel.protocols.rtsp.channels import PLACE, Channel, ChannelOptions
from sentinel.sdk.net import TlsOptions

PATH = r"^[\x21-\x7e]*$"


class RtspOptions(TlsOptions, WatchOptions):
    """Options of the protocol ``rtsp``; the address is the target's."""

    port: int = Field(default=554, ge=1, le=65_535, description="TCP port; servers of RTSPS mostly listen on 322.")
    path: str = Field(
        default="/",
        pattern=PATH,
        max_length=1_000,
        description='Path and query of the stream, percent-encoded: "/Streaming/Channels/101". With channels, '
        "{channel} stands for the number, {channel:02} for two digits.",
    )
    transport: Literal["tcp", "udp"] = Field(
        default="tcp",
        description="How media comes: tcp is interleaved in the RTSP connection (RFC 2326, 10.12), udp in datagrams, "
        "whose loss is then counted. There is no falling back from one to the other, and no multicast.",
    )
    username: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f:]+$",
        description="User to log in as, with Digest (SHA-256, MD5) or Basic, as the server asks.",
    )
    password: SecretStr | None = Field(default=None, description="The user's password.")
    track: int = Field(default=0, ge=0, le=31, description="Which video track of the description; 0 is the first.")
    key_frame_tries: int = Field(
        default=3,
        ge=1,
        le=10,
        description="Key frames to decode until one gives a picture.",
    )
    max_answer_bytes: int = Field(
        default=65_536,
        ge=1_024,
        le=1_048_576,
        description="Largest answer, headers and description together.",
    )
    max_key_frame_bytes: int = Field(
        default=4_194_304,
        ge=65_536,
        le=33_554_432,
        description="Largest access unit that is put together.",
    )
    channels: ChannelOptions | None = Field(
        default=None,
        description="Many channels of one platform, a few of them looked at each round.",
    )

    @model_validator(mode="after")
    def _login_is_whole(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        return self

    @model_validator(mode="after")
    def _ways_fit(self) -> Self:
        if self.tls and self.transport == "udp":
            raise ValueError("transport: udp would send the picture in the clear beside RTSPS; use tcp")
        return self

    @model_validator(mode="after")
    def _channels_fit(self) -> Self:
        numbered = self.channels is not None and bool(self.channels.numbers)
        if numbered != bool(PLACE.search(self.path)):
            raise ValueError(
                "path needs {channel} for the numbers of channels"
                if numbered
                else "path has {channel}, but there are no numbers in channels"
            )
        if re.search(r"[{}]", PLACE.sub("", self.path)):
            raise ValueError("path: only {channel} and {channel:02} may be in braces")
        return self

    @property
    def looked_at(self) -> tuple[Channel, ...]:
        """Every channel that the check is about, favourites first; one without a name where it is about one stream."""
        if self.channels is None:
            return (Channel("", self.path),)
        return self.channels.all(self.path)

    def rounds(self) -> int:
        """Runs of the check until every channel has had its turn."""
        return 1 if self.channels is None else self.channels.rotation(self.path).rounds
