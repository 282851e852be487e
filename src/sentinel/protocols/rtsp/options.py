"""What a check by RTSP can be told."""

from __future__ import annotations

from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from sentinel.sdk.net import TlsOptions


class RtspOptions(TlsOptions):
    """Options of the protocol ``rtsp``; the address is the target's."""

    port: int = Field(default=554, ge=1, le=65_535, description="TCP port; servers of RTSPS mostly listen on 322.")
    path: str = Field(
        default="/",
        pattern=r"^[\x21-\x7e]*$",
        max_length=1_000,
        description='Path and query of the stream, percent-encoded: "/Streaming/Channels/101".',
    )
    transport: Literal["tcp"] = Field(
        default="tcp",
        description="How media comes: interleaved in the RTSP connection (RFC 2326, 10.12).",
    )
    username: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f:]+$",
        description="User to log in as, with Digest or Basic, as the server asks.",
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

    @model_validator(mode="after")
    def _login_is_whole(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        return self
