"""What is kept of a registration over a restart of the daemon: numbers alone, and no password among them.

A platform that registers once an hour would otherwise be missing, or unknown, for as long after each restart of ours.
Times are kept as the wall's, so that expiry and the age of the last keep-alive go on counting while nobody listens.
"""

from __future__ import annotations

import hashlib
import ipaddress
import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Final

MAX_EXPIRY: Final = 7 * 86_400
"""Seconds that a registration lasts at most."""

_WORDS: Final = 4
"""An address is kept as so many numbers of 32 bits: a float holds no more than 53 of them exactly."""
_MARK_BITS: Final = 48


@dataclass(frozen=True, slots=True)
class Kept:
    """One registration.  Times are UTC epoch seconds.

    ``mark`` says whose it is and with whom (see ``mark_of``).  ``over_tcp``: it came in a connection, which is gone.
    ``silent``: its keep-alives were missing already.
    """

    mark: int
    host: str
    port: int
    over_tcp: bool
    since: float
    heard_at: float
    expires_at: float
    silent: bool

    def memory(self) -> dict[str, float]:
        """As numbers; empty for an address that numbers cannot tell (a link-local one needs its interface)."""
        try:
            address = ipaddress.ip_address(self.host)
        except ValueError:
            return {}
        if getattr(address, "scope_id", None) is not None:
            return {}
        whole = int(address)
        words = {f"address_{n}": float(whole >> 32 * n & 0xFFFF_FFFF) for n in range(_WORDS)}
        plain = {each.name: float(getattr(self, each.name)) for each in fields(self) if each.name != "host"}
        return plain | words | {"family": float(address.version)}

    @classmethod
    def of(cls, memory: Mapping[str, float]) -> Kept | None:
        """From what was kept; None where that is nothing, or nothing that we would have kept."""
        try:
            told = {name: float(memory[name]) for name in _NAMES}
        except (KeyError, TypeError, ValueError):
            return None
        if not all(math.isfinite(number) for number in told.values()) or not 1 <= told["port"] <= 65_535:
            return None
        try:
            whole = sum(int(told[f"address_{n}"]) << 32 * n for n in range(_WORDS))
            made = ipaddress.IPv4Address if told["family"] == 4 else ipaddress.IPv6Address
            host = str(made(whole))
        except ValueError:
            return None
        return cls(
            mark=int(told["mark"]),
            host=host,
            port=int(told["port"]),
            over_tcp=bool(told["over_tcp"]),
            since=told["since"],
            heard_at=told["heard_at"],
            expires_at=told["expires_at"],
            silent=bool(told["silent"]),
        )


_NAMES: Final = (
    *(each.name for each in fields(Kept) if each.name != "host"),
    *(f"address_{n}" for n in range(_WORDS)),
    "family",
)


def mark_of(*names: object) -> int:
    """A number for a device and the registrar that it registered with: of another it says nothing."""
    text = "\n".join(map(str, names)).encode()
    return int.from_bytes(hashlib.blake2b(text, digest_size=_MARK_BITS // 8).digest(), "big")
