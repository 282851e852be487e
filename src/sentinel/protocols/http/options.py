"""What an HTTP check asks for, and what it expects of the answer."""

from __future__ import annotations

import base64
from functools import cached_property
from types import MappingProxyType
from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field, SecretStr, StringConstraints, model_validator

from sentinel.protocols.http.jsonpath import compiled
from sentinel.sdk.net import Tls
from sentinel.sdk.patterns import Pattern
from sentinel.sdk.protocol import Options

MIB = 1 << 20

HeaderName = Annotated[str, StringConstraints(pattern=r"^[!#$%&'*+.^_`|~0-9A-Za-z-]+$", max_length=100)]
"""A token of RFC 9110, 5.6.2."""

StatusRange = Annotated[str, StringConstraints(pattern=r"^([1-5]xx|[1-5][0-9]{2}-[1-5][0-9]{2})$")]
Status = Annotated[int, Field(ge=100, le=599)]


def _is_path(path: str) -> str:
    compiled(path)
    return path


JsonPath = Annotated[str, StringConstraints(max_length=500), AfterValidator(_is_path)]


def _is_header_value(value: SecretStr) -> SecretStr:
    if any(character < " " and character != "\t" for character in value.get_secret_value()):
        raise ValueError("a header's value has no line ends and no control characters")
    return value


HeaderValue = Annotated[SecretStr, AfterValidator(_is_header_value)]


class HeaderExpectation(Options):
    """A header that the answer must have; with ``matches`` one that a pattern is found in; or must not have."""

    name: HeaderName = Field(description="The header's name; upper and lower case are the same.")
    matches: Pattern | None = Field(default=None, description="Pattern (RE2) that one of its values must hold.")
    absent: bool = Field(default=False, description="The answer must not have this header.")

    @model_validator(mode="after")
    def _not_both(self) -> HeaderExpectation:
        if self.absent and self.matches is not None:
            raise ValueError("matches and absent exclude each other")
        return self


class JsonExpectation(Options):
    """Values of a JSON body: the path must find at least one, and every one that it finds must compare."""

    path: JsonPath = Field(description="JSONPath of RFC 9535: $.status, $.nodes[?@.role=='main'].state.")
    equals: bool | int | float | str | None = Field(default=None, description="The value, in JSON's own types.")
    not_equals: bool | int | float | str | None = Field(default=None, description="What the value must not be.")
    at_least: float | None = Field(default=None, description="Least number.")
    at_most: float | None = Field(default=None, description="Greatest number.")
    matches: Pattern | None = Field(default=None, description="Pattern (RE2) that the text must hold.")
    record: str | None = Field(
        default=None,
        pattern=r"^[a-z][a-z0-9_]{0,39}$",
        description="Name under which the first number is measured, as value json_value:<name>, for rules.",
    )


class HttpOptions(Tls):
    """One request, and what its answer must be like."""

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
    status: tuple[Status | StatusRange, ...] = Field(
        default=("2xx",),
        min_length=1,
        description="Status codes that are expected: 200, 2xx, 200-204.",
    )
    expect_headers: tuple[HeaderExpectation, ...] = Field(default=(), description="What is expected of the headers.")
    body_contains: tuple[str, ...] = Field(default=(), description="Texts that the body must hold.")
    body_not_contains: tuple[str, ...] = Field(default=(), description="Texts that the body must not hold.")
    body_matches: tuple[Pattern, ...] = Field(default=(), description="Patterns (RE2) that the body must hold.")
    body_not_matches: tuple[Pattern, ...] = Field(default=(), description="Patterns (RE2) that the body must not hold.")
    expect_json: tuple[JsonExpectation, ...] = Field(default=(), description="What is expected of a JSON body.")
    max_body_bytes: int = Field(
        default=MIB,
        ge=1,
        le=16 * MIB,
        description="Bytes of the body, after decompression, past which the check fails with too_large.",
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
        for codes in self.status:
            if isinstance(codes, str) and "-" in codes and codes[:3] > codes[4:]:
                raise ValueError(f"status: {codes} is empty")
        return self

    def port_of(self, scheme: str) -> int:
        """The port for a scheme: the option's, else the scheme's own."""
        return self.port or (443 if scheme == "https" else 80)

    @cached_property
    def allowed_status(self) -> frozenset[int]:
        """Every status code that is expected."""
        codes: set[int] = set()
        for item in self.status:
            if isinstance(item, int):
                codes.add(item)
            elif item.endswith("xx"):
                codes.update(range(int(item[0]) * 100, int(item[0]) * 100 + 100))
            else:
                codes.update(range(int(item[:3]), int(item[4:]) + 1))
        return frozenset(codes)

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

    @cached_property
    def wants_body(self) -> bool:
        """Whether anything is expected of the body."""
        expected: tuple[Any, ...] = (
            *self.body_contains,
            *self.body_not_contains,
            *self.body_matches,
            *self.body_not_matches,
            *self.expect_json,
        )
        return bool(expected)
