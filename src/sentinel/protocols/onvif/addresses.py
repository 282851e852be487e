"""The addresses that a device names: where a stream or a picture is, as far as that is the device itself."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass
from typing import Final
from urllib.parse import quote, urlsplit

_SAFE: Final = "".join(map(chr, range(0x21, 0x7F)))
# Some makers have name and password in the path of a stream, or in its query.
_SECRET: Final = re.compile(r"(?i)(pass\w{0,12}|pwd|token|auth)=[^&;/]{0,200}")
_PORTS: Final = {"http": 80, "https": 443, "rtsp": 554, "rtsps": 322}


class BadReading(ValueError):
    """The device says what cannot be."""


@dataclass(frozen=True, slots=True)
class Place:
    """Where something is: ``path`` has its query and is fit for a request line; no name or password is in it."""

    scheme: str
    host: str
    port: int
    path: str

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{self.scheme}://{host}:{self.port}{self.path}"

    @property
    def shown(self) -> str:
        """For people: passwords that makers put into paths are left out."""
        return _SECRET.sub(r"\1=***", str(self))[:300]

    def is_of(self, address: str) -> bool:
        """Whether the host is that one."""
        return _same(self.host, address)


def place_of(text: str, schemes: tuple[str, ...]) -> Place:
    """What a URI (RFC 3986) says.

    Raises:
        BadReading: it cannot be read, has no host, or another scheme.
    """
    try:
        parts = urlsplit(text.strip())
        host, port = parts.hostname or "", parts.port
    except ValueError as error:
        raise BadReading(f"no address: {text[:60]!r}") from error
    if not host or parts.scheme not in schemes:
        raise BadReading(f"no address of {' or '.join(schemes)}: {parts.scheme[:20]!r}")
    path = quote(parts.path or "/", safe=_SAFE) + (f"?{quote(parts.query, safe=_SAFE)}" if parts.query else "")
    return Place(parts.scheme, host, port or _PORTS[parts.scheme], path)


def _same(one: str, other: str) -> bool:
    try:
        return ipaddress.ip_address(one.partition("%")[0]) == ipaddress.ip_address(other.partition("%")[0])
    except ValueError:
        return one.rstrip(".").casefold() == other.rstrip(".").casefold()
