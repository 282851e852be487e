"""One rule: where on loopback a documentation address stands in the lab.

It is given to ``config.load(readdress=...)``, once by the lab and once by the daemon that watches it; no probe knows
of it.
"""

from __future__ import annotations

import ipaddress
from functools import partial
from typing import Final

from sentinel.config.fleet import Readdress

BLOCKS: Final = 100
"""How many labs fit on one machine: each takes two of the 256 networks below 127.0.0.0/8, from 127.18.0.0 on."""

RAISED: Final = 20_000
"""Added to ports below 1024, which an ordinary user may not listen on."""

_SIMULATED: Final = ipaddress.IPv4Network("198.18.0.0/15")  # RFC 2544: for benchmarks, never routed


def readdress(address: str, port: int | None, *, block: int) -> tuple[str, int | None]:
    """Where the lab of this block answers for an address and a port.

    ``198.18.a.b`` becomes ``127.(18 + 2 block).a.b`` and ``198.19.a.b`` its neighbour; ports below 1024 are raised by
    20,000.  Every other address is left alone together with its port; so is a port that is not given.
    """
    try:
        found = ipaddress.IPv4Address(address)
    except ValueError:  # a name, or IPv6
        return address, port
    if found not in _SIMULATED:
        return address, port
    moved = ipaddress.IPv4Address(int(network(block).network_address) + int(found) - int(_SIMULATED.network_address))
    return str(moved), port + RAISED if port is not None and port < 1024 else port


def rule(block: int) -> Readdress:
    """The rule of one block, as ``config.load`` takes it.

    Raises:
        ValueError: there is no such block.
    """
    network(block)
    return partial(readdress, block=block)


def network(block: int) -> ipaddress.IPv4Network:
    """The part of loopback that belongs to a block: a /15.

    Raises:
        ValueError: there is no such block.
    """
    if not 0 <= block < BLOCKS:
        raise ValueError(f"a block is a number from 0 to {BLOCKS - 1}")
    return ipaddress.IPv4Network((127 << 24 | (18 + 2 * block) << 16, 15))


def belongs(address: str, block: int) -> bool:
    """Whether an address, after the rule, is one of the block's."""
    try:
        return ipaddress.IPv4Address(address) in network(block)
    except ValueError:
        return False
