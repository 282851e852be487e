"""What a check by SIP can be told."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, SecretStr, StringConstraints, model_validator

from sentinel.sdk.net import Tls

Final = Annotated[int, Field(ge=200, le=699)]
FinalClass = Annotated[str, StringConstraints(pattern=r"^[2-6]xx$")]


class SipOptions(Tls):
    """Options of the protocol ``sip``; the address is the target's."""

    transport: Literal["udp", "tcp", "tls"] = Field(default="udp", description="How the request travels.")
    port: int | None = Field(
        default=None, ge=1, le=65_535, description="Port; 5060, or 5061 with TLS, where not given."
    )
    user: str | None = Field(
        default=None,
        pattern=r"^[0-9A-Za-z_.!~*'()&=+$,/-]+$",
        max_length=100,
        description="Whom to ask for: the part of the URI before the @, a number mostly. Without it the device itself.",
    )
    domain: str | None = Field(
        default=None,
        pattern=r"^[0-9A-Za-z.-]+$",
        max_length=253,
        description="SIP domain to ask in, where the peer serves one that is not its address. Not where to connect.",
    )
    from_user: str = Field(
        default="sentinel",
        pattern=r"^[0-9A-Za-z_.!~*'()&=+$,/-]+$",
        max_length=100,
        description="Who asks: the user of the From header.",
    )
    username: str | None = Field(
        default=None,
        min_length=1,
        max_length=200,
        pattern=r"^[^\x00-\x1f\x7f:]+$",
        description="User to log in as where the peer asks for it, by Digest only.",
    )
    password: SecretStr | None = Field(default=None, description="The user's password.")
    expect: tuple[Final | FinalClass, ...] = Field(
        default=(),
        description="Final status codes that are expected: 200, 4xx. Without any every final answer means alive, "
        "for who refuses is there.",
    )

    @model_validator(mode="after")
    def _login_is_whole(self) -> Self:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password belong together")
        return self

    @property
    def wants_tls(self) -> bool:
        """Whether the request travels over TLS."""
        return self.transport == "tls"

    @property
    def usual_port(self) -> int:
        """The port that the transport has by itself (RFC 3261, 19.1.2)."""
        return 5061 if self.transport == "tls" else 5060

    def expects(self, status: int) -> bool:
        """Whether this final status is one that the check is content with."""
        return not self.expect or status in self.expect or f"{status // 100}xx" in self.expect
