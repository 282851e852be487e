"""The UsernameToken of WS-Security (OASIS, Username Token Profile 1.1) with a digest, as ONVIF uses it.

The client's side alone; no input or output.  The password is in no message and in no error.
"""

from __future__ import annotations

import base64
import hashlib
import secrets
from datetime import UTC, datetime
from typing import Final
from xml.sax.saxutils import escape

_WSS: Final = "http://docs.oasis-open.org/wss/2004/01/oasis-200401-wss-"
_SECEXT: Final = f"{_WSS}wssecurity-secext-1.0.xsd"
_UTILITY: Final = f"{_WSS}wssecurity-utility-1.0.xsd"
_DIGEST: Final = f"{_WSS}username-token-profile-1.0#PasswordDigest"
_BASE64: Final = f"{_WSS}soap-message-security-1.0#Base64Binary"


def username_token(username: str, password: str, created: datetime, nonce: bytes | None = None) -> str:
    """The header block of a SOAP message that proves the password at that time (3.1).

    ``created`` is aware, and the device's own time where its clock is off: one that is too far from it is refused.
    ``nonce`` is random for each message; a fixed one is for tests.
    """
    nonce = secrets.token_bytes(16) if nonce is None else nonce
    stamp = created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S.") + f"{created.microsecond // 1000:03}Z"
    return (
        f'<w:Security xmlns:w="{_SECEXT}" xmlns:u="{_UTILITY}"><w:UsernameToken>'
        f"<w:Username>{escape(username)}</w:Username>"
        f'<w:Password Type="{_DIGEST}">{password_digest(nonce, stamp, password)}</w:Password>'
        f'<w:Nonce EncodingType="{_BASE64}">{base64.b64encode(nonce).decode("ascii")}</w:Nonce>'
        f"<u:Created>{stamp}</u:Created></w:UsernameToken></w:Security>"
    )


def password_digest(nonce: bytes, created: str, password: str) -> str:
    """Base64 of SHA-1 over nonce, time and password (3.1, lines 195 ff.)."""
    proof = hashlib.sha1(nonce + created.encode() + password.encode(), usedforsecurity=False).digest()
    return base64.b64encode(proof).decode("ascii")
