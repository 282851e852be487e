"""The User-based Security Model: who may ask, signed and, with privacy, encrypted (RFC 3414; RFC 3826; RFC 7860)."""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.decrepit.ciphers.modes import CFB
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

# Name of the digest in hashlib, bytes of the signature.
_DIGESTS: Final = {
    "md5": ("md5", 12),
    "sha": ("sha1", 12),
    "sha224": ("sha224", 16),
    "sha256": ("sha256", 24),
    "sha384": ("sha384", 32),
    "sha512": ("sha512", 48),
}
_KEY_BYTES: Final = {"des": 16, "aes128": 16, "aes192": 24, "aes256": 32}
_MEBIBYTE: Final = 1_048_576


class NotDecrypted(ValueError):
    """The encrypted part cannot be read with the user's key."""


@dataclass(frozen=True, slots=True)
class User:
    """A user as a check's options name it; ``auth`` and ``privacy`` are None where they are not used."""

    name: str
    auth: str | None = None
    auth_password: str = field(default="", repr=False)
    privacy: str | None = None
    privacy_password: str = field(default="", repr=False)


@dataclass(slots=True)
class Keys:
    """A user's keys, made for one agent (RFC 3414, 2.6)."""

    user: User
    engine: bytes
    _auth: bytes = field(default=b"", init=False, repr=False)
    _privacy: bytes = field(default=b"", init=False, repr=False)
    _salt: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._salt = int.from_bytes(os.urandom(8), "big")
        if self.user.auth is None:
            return
        digest = _DIGESTS[self.user.auth][0]
        self._auth = _localized(digest, self.user.auth_password, self.engine)
        if self.user.privacy is not None:
            key = _localized(digest, self.user.privacy_password, self.engine)
            # The cipher's key may be longer than the digest: draft-blumenthal-aes-usm-04, 3.1.2.1, stretches it.
            while len(key) < _KEY_BYTES[self.user.privacy]:
                key += hashlib.new(digest, key, usedforsecurity=False).digest()
            self._privacy = key[: _KEY_BYTES[self.user.privacy]]

    @property
    def signature_bytes(self) -> int:
        """How long a signature is; 0 without authentication."""
        return _DIGESTS[self.user.auth][1] if self.user.auth else 0

    def signature(self, message: bytes) -> bytes:
        """Of a message in whose place for the signature zeros stand."""
        name, size = _DIGESTS[self.user.auth or "md5"]
        return hmac.new(self._auth, message, name).digest()[:size]

    def encrypt(self, plain: bytes, boots: int, time: int) -> tuple[bytes, bytes]:
        """The encrypted text, and the salt that goes with it."""
        self._salt = self._salt + 1 & (1 << 64) - 1
        if self.user.privacy == "des":
            salt = boots.to_bytes(4, "big") + self._salt.to_bytes(8, "big")[4:]
            padded = plain + bytes(-len(plain) % 8)
            encryptor = self._des(salt).encryptor()
        else:
            salt, padded = self._salt.to_bytes(8, "big"), plain
            encryptor = self._aes(salt, boots, time).encryptor()
        return encryptor.update(padded) + encryptor.finalize(), salt

    def decrypt(self, encrypted: bytes, salt: bytes, boots: int, time: int) -> bytes:
        """The plain text.

        Raises:
            NotDecrypted: lengths that no text of this cipher has; a wrong key gives a text that is no BER.
        """
        if len(salt) != 8 or (self.user.privacy == "des" and len(encrypted) % 8):
            raise NotDecrypted
        cipher = self._des(salt) if self.user.privacy == "des" else self._aes(salt, boots, time)
        decryptor = cipher.decryptor()
        return decryptor.update(encrypted) + decryptor.finalize()

    def _des(self, salt: bytes) -> Cipher[CBC]:
        start = bytes(one ^ other for one, other in zip(self._privacy[8:16], salt, strict=True))
        return Cipher(TripleDES(self._privacy[:8] * 3), CBC(start))

    def _aes(self, salt: bytes, boots: int, time: int) -> Cipher[CFB]:
        return Cipher(AES(self._privacy), CFB(boots.to_bytes(4, "big") + time.to_bytes(4, "big") + salt))


def _localized(digest: str, password: str, engine: bytes) -> bytes:
    """A password's key for one agent (RFC 3414, A.2)."""
    master = _master(digest, password)
    return hashlib.new(digest, master + engine + master, usedforsecurity=False).digest()


@lru_cache(maxsize=1024)  # a mebibyte of hashing; a password is the same for many agents
def _master(digest: str, password: str) -> bytes:
    secret = password.encode()
    repeated = (secret * (_MEBIBYTE // len(secret) + 1))[:_MEBIBYTE]
    return hashlib.new(digest, repeated, usedforsecurity=False).digest()
