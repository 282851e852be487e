"""Who logs in where over SSH, and the host key that must be shown there."""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Final, Self

from pydantic import BeforeValidator, Field, SecretStr, WithJsonSchema, model_validator
from pydantic_core import PydanticCustomError

from sentinel.sdk.protocol import Options

ANY_HOST_KEY: Final = "any"

_SHA256_BYTES = 32


def fingerprint(blob: bytes) -> str:
    """How OpenSSH writes the fingerprint of a public key, given as RFC 4253 (6.6) encodes it: ``SHA256:…``."""
    return "SHA256:" + base64.b64encode(hashlib.sha256(blob).digest()).decode().rstrip("=")


def _pins(given: Any) -> Any:
    """One pin may be written without a list; a public key line becomes its fingerprint."""
    if isinstance(given, str):
        given = (given,)
    if not isinstance(given, Iterable):
        return given
    return tuple(_pin(each) if isinstance(each, str) else each for each in given)


def _pin(text: str) -> str:
    words = text.split()
    if words == [ANY_HOST_KEY]:
        return ANY_HOST_KEY
    try:
        if len(words) == 1 and words[0].startswith("SHA256:"):
            digest = words[0].removeprefix("SHA256:").rstrip("=")
            if len(base64.b64decode(digest + "=", validate=True)) == _SHA256_BYTES:
                return f"SHA256:{digest}"
        elif len(words) > 1:
            blob = base64.b64decode(words[1], validate=True)
            name = words[0].encode()
            if blob.startswith(len(name).to_bytes(4, "big") + name):
                return fingerprint(blob)
    except (binascii.Error, ValueError):
        pass
    raise ValueError("a host key is written as `SHA256:…` or as its public line `ssh-ed25519 AAAA…`; or `any`")


HostKeys = Annotated[
    tuple[str, ...],
    Field(min_length=1, max_length=8),
    BeforeValidator(_pins),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string"},
                {"type": "array", "items": {"type": "string"}, "minItems": 1, "maxItems": 8},
            ]
        }
    ),
]
"""Fingerprints, one of which the server must show; ``("any",)`` where nobody looks."""


class SshLogin(Options):
    """Options of everything that logs in over SSH; the address is the target's."""

    port: int = Field(default=22, ge=1, le=65_535, description="TCP port of the SSH server.")
    username: str = Field(
        min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$", description="User to log in as."
    )
    password: SecretStr | None = Field(
        default=None,
        description="The user's password, also for servers that ask for it in a dialogue (keyboard-interactive).",
    )
    private_key: SecretStr | None = Field(
        default=None,
        description="The user's private key without a passphrase, in the form of OpenSSH or PEM: ${file:probe-key}.",
    )
    host_key: HostKeys = Field(
        description=(
            'The server\'s host key, as a fingerprint "SHA256:…" or a public line "ssh-ed25519 AAAA…"; several where '
            'it has several. "any" takes whatever is shown: whoever sits between then learns the password.'
        ),
    )
    legacy_algorithms: bool = Field(
        default=False,
        description="Also speak what old devices need: SHA-1 signatures and key exchanges, CBC ciphers.",
    )

    @model_validator(mode="after")
    def _login_is_whole(self) -> Self:
        require_login(self)
        return self

    def at(self, host: str) -> Login:
        """The login at an address or a name."""
        return Login(
            host,
            self.port,
            self.username,
            self.password,
            self.private_key,
            self.host_key,
            self.legacy_algorithms,
        )


def require_login(options: SshLogin) -> None:
    """Refuse options that cannot log in.

    Of the type ``missing`` where something is left out: a probe may leave it to the checks that use it.
    """
    lacking = [name for name in ("username", "host_key") if not getattr(options, name)]
    if options.password is None and options.private_key is None:
        lacking.append("password or private_key")
    if lacking:
        raise PydanticCustomError("missing", "{names} is missing", {"names": ", ".join(lacking)})
    if ANY_HOST_KEY in options.host_key and len(options.host_key) > 1:
        raise ValueError("host_key: any stands alone")


@dataclass(frozen=True, slots=True)
class Login:
    """A server, a user and what proves both; who has the same one may share a connection.

    Its text holds no secret: they are ``SecretStr``.
    """

    host: str
    port: int
    username: str
    password: SecretStr | None
    private_key: SecretStr | None
    host_keys: tuple[str, ...]
    legacy_algorithms: bool = False

    def accepts(self, blob: bytes) -> bool:
        """Whether the host may show this key."""
        return self.host_keys == (ANY_HOST_KEY,) or fingerprint(blob) in self.host_keys
