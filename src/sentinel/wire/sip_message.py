"""A SIP message as it is held and written (RFC 3261, section 7): headers in their order, and a body.

Made by ``wire/sip.py``, which reads messages and builds them.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sentinel.wire.sip_headers import Address, MalformedMessage, Via, split

_SPELLED: Final = {
    "call-id": "Call-ID",
    "cseq": "CSeq",
    "www-authenticate": "WWW-Authenticate",
    "mime-version": "MIME-Version",
}

CONTROL: Final = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
"""Characters that no header may hold."""


@dataclass(frozen=True, slots=True)
class Message:
    """What requests and responses share: headers in their order, names in lower case and full, and the body."""

    headers: tuple[tuple[str, str], ...]
    body: bytes = b""

    def header(self, name: str) -> str | None:
        """The first header of that name (lower case, full), None where there is none."""
        return next((value for key, value in self.headers if key == name), None)

    def headers_of(self, name: str) -> list[str]:
        """All headers of that name, in their order."""
        return [value for key, value in self.headers if key == name]

    @property
    def vias(self) -> list[Via]:
        """Every hop, the nearest first, whether in one header or in several.

        Raises:
            MalformedMessage: a Via that cannot be read.
        """
        return [Via.parse(part) for value in self.headers_of("via") for part in split(value, ",")]

    @property
    def call_id(self) -> str:
        """Call-ID; empty where there is none."""
        return (self.header("call-id") or "").strip()

    @property
    def cseq(self) -> tuple[int, str]:
        """Number and method of CSeq (20.16).

        Raises:
            MalformedMessage: it is missing or cannot be read.
        """
        number, _, method = (self.header("cseq") or "").strip().partition(" ")
        if not (number.isascii() and number.isdigit() and len(number) <= 10 and method.strip()):
            raise MalformedMessage(f"CSeq: {(self.header('cseq') or '')[:40]!r}")
        return int(number), method.strip().upper()

    @property
    def sender(self) -> Address:
        """From.

        Raises:
            MalformedMessage: it cannot be read.
        """
        return Address.parse(self.header("from") or "")

    @property
    def recipient(self) -> Address:
        """To.

        Raises:
            MalformedMessage: it cannot be read.
        """
        return Address.parse(self.header("to") or "")

    @property
    def media_type(self) -> str:
        """Content-Type without its parameters, in lower case; empty where there is none."""
        return (self.header("content-type") or "").partition(";")[0].strip().lower()


@dataclass(frozen=True, slots=True)
class Request(Message):
    """A request; the method is in upper case as it came, for methods are case-sensitive (7.1)."""

    method: str = ""
    uri: str = ""

    def encode(self) -> bytes:
        """The bytes to send.

        Raises:
            ValueError: a value that holds a line end or another control character.
        """
        return _encoded(f"{self.method} {self.uri} SIP/2.0", self)


@dataclass(frozen=True, slots=True)
class Response(Message):
    """An answer: 1xx is provisional, anything else is final."""

    status: int = 0
    reason: str = ""

    @property
    def final(self) -> bool:
        """Whether no other answer follows."""
        return self.status >= 200

    def encode(self) -> bytes:
        """The bytes to send.

        Raises:
            ValueError: a value that holds a line end or another control character.
        """
        return _encoded(f"SIP/2.0 {self.status} {self.reason}", self)


def _encoded(start: str, message: Message) -> bytes:
    kept = [(name, value) for name, value in message.headers if name != "content-length"]
    kept.append(("content-length", str(len(message.body))))
    lines = [start, *(f"{_spelled(name)}: {value}" for name, value in kept)]
    for line in lines:
        if CONTROL.search(line):
            raise ValueError(f"a control character in {line[:40]!r}")
    return "\r\n".join((*lines, "", "")).encode() + message.body


def _spelled(name: str) -> str:
    return _SPELLED.get(name) or name.title()
