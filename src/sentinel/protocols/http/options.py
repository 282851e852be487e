"""What an HTTP check asks for, and what it expects of the answer."""

from __future__ import annotations

import base64
from functools import cached_property
from types import MappingProxyType
from typing import Literal

from pydantic import Field, SecretStr, model_validator

from sentinel.protocols.http.expectations import Expectations, HeaderName, HeaderValue
from sentinel.protocols.http.steps import Step, check_names
from sentinel.sdk.net import Tls
from sentinel.sdk.placeholders import Name

MIB = 1 << 20

_OF_ONE_REQUEST = frozenset({"path", "method", "body", *Expectations.model_fields})


class HttpOptions(Expectations, Tls):
    """One request and what its answer must be like; or, with ``steps``, a scenario of several."""

    scheme: Literal["http", "https"] = Field(default="http", description="Plain HTTP, or HTTP over TLS.")
    port: int | None = Field(
        default=None, ge=1, le=65_535, description="Port; 80 or 443 by the scheme where not given."
    )
    path: str = Field(
        default="/",
        pattern=r"^/[^\s#\\]*$",
        max_length=2000,
        description="Path with its query, from the slash on.",
    )
    method: Literal["GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"] = Field(default="GET", description="Method.")
    host: str | None = Field(
        default=None,
        pattern=r"^[0-9A-Za-z._-]+$",
        max_length=253,
        description="Name of the site, where it is not the target's address: sent as Host and, with TLS, asked for "
        "(SNI) and verified.",
    )
    headers: dict[HeaderName, HeaderValue] = Field(
        default_factory=dict,
        description="Headers to send. Their values are kept secret and go to the target only.",
    )
    body: str | None = Field(default=None, max_length=65_536, description="Body to send, as UTF-8.")
    username: str | None = Field(default=None, pattern=r"^[^:]*$", description="User name for Basic authentication.")
    password: SecretStr | None = Field(default=None, description="Password for Basic authentication.")
    bearer_token: HeaderValue | None = Field(default=None, description="Token for Bearer authentication.")
    compression: bool = Field(default=True, description="Offer gzip and deflate.")
    redirects: int = Field(
        default=5,
        ge=0,
        le=20,
        description="Redirects that are followed at most; with 0 a redirect is an answer like any other.",
    )
    redirect_hosts: Literal["same", "any"] = Field(
        default="same",
        description="Follow redirects to the same host only (another's is an answer like any other), or to any.",
    )
    max_body_bytes: int = Field(
        default=MIB,
        ge=1,
        le=16 * MIB,
        description="Bytes of the body, after decompression, past which the check fails with too_large.",
    )
    steps: tuple[Step, ...] = Field(
        default=(),
        max_length=20,
        description="A scenario: requests one after the other, with one cookie jar. What is asked and expected then "
        "stands in the steps; headers, credentials and limits given here hold for each of them.",
    )
    secrets: dict[Name, SecretStr] = Field(
        default_factory=dict,
        max_length=20,
        description="Names and passwords for a scenario, by name: a step writes {password}. They are never shown, "
        "not even where the site shows them.",
    )

    @model_validator(mode="after")
    def _consistent(self) -> HttpOptions:
        if (self.username is None) != (self.password is None):
            raise ValueError("username and password go together")
        given = [
            self.username is not None,
            self.bearer_token is not None,
            "authorization" in map(str.lower, self.headers),
        ]
        if sum(given) > 1:
            raise ValueError("Basic, Bearer and a header Authorization exclude each other")
        if self.steps and (lost := sorted(_OF_ONE_REQUEST & self.model_fields_set)):
            raise ValueError(f"with steps, these belong to a step: {', '.join(lost)}")
        check_names(self.steps, self.secrets)
        return self

    def port_of(self, scheme: str) -> int:
        """The port for a scheme: the option's, else the scheme's own."""
        return self.port or (443 if scheme == "https" else 80)

    @cached_property
    def common_headers(self) -> MappingProxyType[str, str]:
        """Headers for any host: no secret is among them."""
        return MappingProxyType(
            {
                "User-Agent": "Sentinel",
                "Accept": "*/*",
                "Accept-Encoding": "gzip, deflate" if self.compression else "identity",
            },
        )

    @cached_property
    def own_headers(self) -> MappingProxyType[str, str]:
        """Headers for the target itself: the operator's and the credentials'.  They win over the common ones."""
        headers = {name.title(): value for name, value in self.common_headers.items()}
        headers.update({name.title(): value.get_secret_value() for name, value in self.headers.items()})
        if self.username is not None and self.password is not None:
            pair = f"{self.username}:{self.password.get_secret_value()}".encode()
            headers["Authorization"] = f"Basic {base64.b64encode(pair).decode('ascii')}"
        if self.bearer_token is not None:
            headers["Authorization"] = f"Bearer {self.bearer_token.get_secret_value()}"
        return MappingProxyType(headers)
