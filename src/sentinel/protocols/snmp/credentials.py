"""Who we are to an agent."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from gufo.snmp import (
    Aes128Key,
    Aes192Key,
    Aes256Key,
    DesKey,
    Md5Key,
    Sha1Key,
    Sha224Key,
    Sha256Key,
    Sha384Key,
    Sha512Key,
    User,
)
from gufo.snmp.user import KeyType

from sentinel.protocols.snmp.datagram import Key

AUTHENTICATION = {
    "md5": Md5Key,
    "sha": Sha1Key,
    "sha224": Sha224Key,
    "sha256": Sha256Key,
    "sha384": Sha384Key,
    "sha512": Sha512Key,
}
PRIVACY = {"des": DesKey, "aes128": Aes128Key, "aes192": Aes192Key, "aes256": Aes256Key}


@dataclass(frozen=True, slots=True)
class Credentials:
    """``community`` for v2c, the rest for v3; the master keys are those of RFC 3414 section 2.6."""

    version: str
    community: str = field(default="", repr=False)
    user: str = ""
    authentication: str | None = None
    auth_master: bytes = field(default=b"", repr=False)
    privacy: str | None = None
    privacy_master: bytes = field(default=b"", repr=False)
    fingerprint: str = field(default="", init=False, repr=False)
    """Stands for all of the above in the pool's keys; a text, because a text's hash is computed once."""

    def __post_init__(self) -> None:
        parts = (self.version, self.community, self.user, self.authentication, self.privacy)
        whole = repr(parts).encode() + self.auth_master + self.privacy_master
        object.__setattr__(self, "fingerprint", hashlib.sha256(whole).hexdigest())

    def usm_user(self, *, privacy: bool) -> User:
        """The v3 user, with its cipher or without."""
        if self.authentication is None:
            return User(self.user)
        digest = AUTHENTICATION[self.authentication](self.auth_master, KeyType.Master)
        cipher = PRIVACY[self.privacy](self.privacy_master, KeyType.Master) if self.privacy and privacy else None
        return User(self.user, auth_key=digest, priv_key=cipher)

    def key(self, engine: bytes) -> Key | None:
        """The authentication key for one agent; None without authentication."""
        if self.authentication is None:
            return None
        secret = AUTHENTICATION[self.authentication].get_localized_key(self.auth_master, engine)
        return Key(self.authentication, secret)


def master_key(algorithm: str, password: str) -> bytes:
    """The key of a password: a digest of a mebibyte of its repetition (RFC 3414 section A.2), about 1 ms."""
    return AUTHENTICATION[algorithm].get_master_key(password.encode())
