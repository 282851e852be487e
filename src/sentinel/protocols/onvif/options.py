"""What a check by ONVIF can be told."""

from __future__ import annotations

from typing import Final, Self

from pydantic import Field, SecretStr, model_validator

from sentinel.picture import PictureOptions
from sentinel.sdk.net import TlsOptions

_MIB: Final = 1 << 20


class OnvifOptions(TlsOptions, PictureOptions):
    """Options of the protocol ``onvif``; the address is the target's."""

    port: int = Field(
        default=80, ge=1, le=65_535, description="Port of the device's web server; some listen on 8080, 8000 or 2020."
    )
    path: str = Field(
        default="/onvif/device_service",
        pattern=r"^/[\x21-\x7e]*$",
        max_length=500,
        description="Path of the device service.",
    )
    username: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f:]+$",
        description="User to log in as, with HTTP Digest, Basic, or a WS-Security token, as the device asks. Without "
        "one, a device that asks for a login is alive, and no more is looked at.",
    )
    password: SecretStr | None = Field(default=None, description="The user's password.")
    profile: str | None = Field(
        default=None,
        min_length=1,
        max_length=64,
        pattern=r"^[^\x00-\x1f<>&]+$",
        description="Token of the media profile whose stream and picture are looked at; the first one where not given.",
    )
    stream: bool = Field(
        default=True,
        description="Ask for the stream's address and have it described by RTSP. Whether a picture comes by it is for "
        "a check by rtsp to say.",
    )
    snapshot: bool = Field(default=True, description="Fetch a picture as JPEG, and measure what it shows.")
    behind_nat: bool = Field(
        default=False,
        description="The device names its streams and pictures by another address than it is reached at: take ports "
        "and paths of these, and the target's address. Otherwise an address that is not its own fails with mismatch.",
    )
    max_answer_bytes: int = Field(
        default=_MIB, ge=4_096, le=8 * _MIB, description="Largest answer, past which the check fails with too_large."
    )
    max_snapshot_bytes: int = Field(
        default=4 * _MIB, ge=65_536, le=16 * _MIB, description="Largest picture, past which it fails with too_large."
    )

    @model_validator(mode="after")
    def _login_is_whole(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        return self
