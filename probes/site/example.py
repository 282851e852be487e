"""NTP: is the clock right?  An example of a protocol of one's own.

A file in this directory has the same contract as the protocols that are built in: one options model, one async
function, one constant ``PROTOCOL``.  It is loaded where ``config/sentinel.yaml`` says ``site_protocols: true``, if
root or the daemon's user owns it and nobody else may write it.  Then a probe may name it:

    probes:
      site-clock: {protocol: example_ntp, options: {port: 123}}

and it has validated options, a schema for editors, a command (``sentinel probe example_ntp ADDRESS``) and metrics
(``sentinel_example_ntp_offset_seconds``) like any other.
"""

# ruff: noqa: INP001 - a file that is loaded by its path, not a part of a package

from __future__ import annotations

import asyncio
import struct
import time

from pydantic import Field

from sentinel.domain.target import Target
from sentinel.sdk.net import resolve
from sentinel.sdk.protocol import Options, Protocol, Run, Value

_ERA = 2_208_988_800  # seconds from NTP's epoch, 1900, to Unix's (RFC 5905, 6)
_CLIENT = (0 << 6) | (4 << 3) | 3  # no leap warning, version 4, client (RFC 5905, 7.3)
_SERVER = 4


class NtpOptions(Options):
    """What to ask."""

    port: int = Field(default=123, ge=1, le=65_535, description="The server's UDP port.")
    max_stratum: int = Field(default=15, ge=1, le=15, description="The worst stratum that counts as synchronised.")


async def probe(target: Target, options: NtpOptions, run: Run) -> None:
    """Ask once (RFC 5905, 14) and measure how far the server's clock is from ours."""
    address = await resolve(run, target.address)
    loop = asyncio.get_running_loop()
    with run.stage("connect"):
        transport, answer = await loop.create_datagram_endpoint(_Answer, remote_addr=(address, options.port))
    try:
        with run.stage("exchange"):
            sent = time.time()  # noqa: TID251 - an offset from our own wall clock is what is measured
            transport.sendto(struct.pack("!B39xII", _CLIENT, *_stamp(sent)))
            packet, received = await answer.packet
        with run.stage("expect"):
            stratum = _check(packet, sent, options, run)
    finally:
        transport.abort()
    heard, told = (_seconds(packet, at) for at in (32, 40))
    run.values["offset_seconds"] = ((heard - sent) + (told - received)) / 2  # RFC 5905, 8
    run.values["delay_seconds"] = (received - sent) - (told - heard)
    run.values["stratum"] = stratum


class _Answer(asyncio.DatagramProtocol):
    """The first datagram, and when it came."""

    def __init__(self) -> None:
        self.packet: asyncio.Future[tuple[bytes, float]] = asyncio.get_running_loop().create_future()

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - the signature is asyncio's
        if not self.packet.done():
            self.packet.set_result((data, time.time()))  # noqa: TID251 - see probe

    def error_received(self, exc: Exception) -> None:
        if not self.packet.done():
            self.packet.set_exception(exc)


def _check(packet: bytes, sent: float, options: NtpOptions, run: Run) -> int:
    if len(packet) < 48 or packet[0] & 7 != _SERVER:
        run.fail("protocol_error", "the answer is no NTP server's")
    if struct.unpack_from("!II", packet, 24) != _stamp(sent):
        run.fail("mismatch", "the answer is not to our question")
    stratum = packet[1]
    if packet[0] >> 6 == 3 or not 1 <= stratum <= options.max_stratum:
        run.fail("mismatch", f"the server is not synchronised (stratum {stratum})")
    return stratum


def _stamp(at: float) -> tuple[int, int]:
    """An NTP time stamp: seconds since 1900, modulo its era, and their fraction in 2**-32 s."""
    whole = int(at)
    return (whole + _ERA) % 2**32, int((at - whole) * 2**32)


def _seconds(packet: bytes, offset: int) -> float:
    whole: int
    fraction: int
    whole, fraction = struct.unpack_from("!II", packet, offset)
    return (whole - _ERA) % 2**32 + fraction / 2**32


PROTOCOL = Protocol(
    "example_ntp",
    NtpOptions,
    probe,
    values=(
        Value("offset_seconds", "s", "How far the server's clock is ahead of ours."),
        Value("delay_seconds", "s", "Round trip without the server's own time."),
        Value("stratum", "", "Steps from a reference clock."),
    ),
    transport="udp",
)
