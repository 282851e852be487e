"""What a TLS check asks for, and what it expects."""

from __future__ import annotations

from typing import Annotated, Literal, Self

from pydantic import Field, StringConstraints, model_validator

from sentinel.sdk.net import Tls

Alpn = Annotated[str, StringConstraints(min_length=1, max_length=255, pattern=r"^[!-~]+$")]
Starttls = Literal["smtp", "imap", "pop3"]


class TlsCheckOptions(Tls):
    """Where to shake hands, and what must come of it."""

    port: int = Field(default=443, ge=1, le=65_535, description="Port to connect to.")
    starttls: Starttls | None = Field(
        default=None,
        description="Protocol that is spoken in the clear until both agree on TLS (RFC 3207, RFC 2595); without it TLS "
        "begins with the first byte.",
    )
    min_version: Literal["1.0", "1.1", "1.2", "1.3"] = Field(
        default="1.2",
        description="Oldest version that the peer may choose, where newer ones are offered. One below 1.2 goes with "
        "tls_verify: false only: what is signed then is no longer safe from forgery.",
    )
    alpn: tuple[Alpn, ...] = Field(
        default=(),
        max_length=10,
        description="Protocols to offer (RFC 7301), the favourite first: [h2, http/1.1]. The peer must take one.",
    )
    probe_legacy: bool = Field(
        default=False,
        description="Try TLS 1.0 and 1.1 as well, each over a connection of its own, and measure which are taken.",
    )

    @model_validator(mode="after")
    def _old_is_unverified(self) -> Self:
        if self.tls_verify and self.min_version in {"1.0", "1.1"}:
            raise ValueError("min_version below 1.2 needs tls_verify: false")
        return self

    @property
    def wants_tls(self) -> bool:
        """TLS from the first byte on, unless words come first."""
        return self.starttls is None
