"""NTP: does the time server keep time, how far is it from our clock, and how far from the true one?"""

from __future__ import annotations

import asyncio
import secrets
import struct
import time
from dataclasses import dataclass
from typing import Any, Final

from pydantic import Field

from sentinel.domain.target import Target
from sentinel.sdk.net import resolve
from sentinel.sdk.protocol import Options, Protocol, Run, Value

_ERA: Final = 2_208_988_800  # seconds from NTP's epoch, 1900, to Unix's (RFC 5905, 6)
_CLIENT: Final = (0 << 6) | (4 << 3) | 3  # no leap warning, version 4, client (RFC 5905, 7.3)
_SERVER: Final = 4
_UNSYNCHRONISED: Final = 3
_HEADER: Final = struct.Struct("!BBbbII4sQQQQ")
_KISSES: Final = {"DENY": "forbidden", "RSTR": "forbidden", "RATE": "busy"}  # RFC 5905, 7.4
_STRAGGLERS: Final = 1.0  # seconds that the last answers have, where others have come
_MARGIN: Final = 0.05  # seconds before the deadline at which what has come is made the best of


class NtpOptions(Options):
    """What to ask."""

    port: int = Field(default=123, ge=1, le=65_535, description="The server's UDP port.")
    samples: int = Field(
        default=3, ge=1, le=8, description="Questions a run; the answer that was quickest counts (RFC 5905, 10)."
    )
    interval: float = Field(
        default=0.2, ge=0.01, le=10, description="Seconds between two questions: servers refuse who asks too often."
    )
    synchronised: bool = Field(
        default=True, description="A server that says that it is not synchronised fails the check with mismatch."
    )


@dataclass(frozen=True, slots=True)
class _Sample:
    """One answer.  Seconds, but for ``leap`` and ``stratum``, the numbers of RFC 5905, 7.3."""

    offset: float
    delay: float
    leap: int
    version: int
    stratum: int
    precision: float
    root_delay: float
    root_dispersion: float
    reference: bytes
    reference_age: float


async def probe(target: Target, options: NtpOptions, run: Run) -> None:
    """Ask a few times (RFC 5905, 14), and put down what the quickest answer says.

    The offset is from this host's clock: it tells the server's error as far as that clock is right itself.
    """
    address = await resolve(run, target.address)
    loop = asyncio.get_running_loop()
    with run.stage("connect"):
        # Connected: the kernel drops what comes from another address, and tells of a port that is closed.
        transport, talk = await loop.create_datagram_endpoint(_Talk, remote_addr=(address, options.port))
    try:
        with run.stage("exchange"):
            samples = await _ask(talk, options, run)
    finally:
        transport.abort()
    best = min(samples, key=lambda sample: sample.delay)
    _record(best, run)
    run.values["loss_ratio"] = 1.0 - len(samples) / options.samples
    with run.stage("expect"):
        if options.synchronised and (best.leap == _UNSYNCHRONISED or best.stratum > 15):
            run.fail("mismatch", f"the server is not synchronised (leap {best.leap}, stratum {best.stratum})")


async def _ask(talk: _Talk, options: NtpOptions, run: Run) -> list[_Sample]:
    for _ in range(options.samples - 1):
        talk.send()
        await talk.wait(options.samples, min(options.interval, run.left - _MARGIN))
    talk.send()
    await talk.wait(options.samples, min(_STRAGGLERS, run.left - _MARGIN))
    await talk.wait(1, run.left - _MARGIN)
    if talk.samples:
        return talk.samples
    if talk.kiss:
        run.fail(_KISSES[talk.kiss], f"kiss-o'-death {talk.kiss}")
    if talk.strange:
        run.fail("protocol_error", f"{talk.strange} datagrams came, none of them an answer to what was asked")
    raise TimeoutError  # the stage says what that is


class _Talk(asyncio.DatagramProtocol):
    """Questions that are under way, and what came back."""

    def __init__(self) -> None:
        self.samples: list[_Sample] = []
        self.kiss = ""
        self.strange = 0
        self._asked: dict[int, tuple[int, float]] = {}
        self._changed = asyncio.Event()
        self._broken: Exception | None = None
        self._transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]  # of datagrams
        self._transport = transport

    def send(self) -> None:
        """Ask once.  Our own time is not told: a random number in its place is what only the server can repeat."""
        number = secrets.randbits(64)
        wall = _stamp(time.time_ns())
        self._asked[number] = wall, time.monotonic()
        self._transport.sendto(_HEADER.pack(_CLIENT, 0, 0, 0, 0, 0, bytes(4), 0, 0, 0, number))

    async def wait(self, wanted: int, seconds: float) -> None:
        """Return once there are that many answers, the server has refused, or the time is over.

        Raises:
            OSError: the network says that nobody listens.
        """
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                while len(self.samples) < wanted and not self.kiss and self._broken is None:
                    self._changed.clear()
                    await self._changed.wait()
        except TimeoutError:
            pass
        if self._broken is not None and not self.samples:
            raise self._broken

    def datagram_received(self, data: bytes, addr: object) -> None:  # noqa: ARG002 - the signature is asyncio's
        arrived = time.monotonic()
        found = _HEADER.unpack_from(data) if len(data) >= _HEADER.size else None
        asked = self._asked.pop(found[8], None) if found and found[0] & 7 == _SERVER else None
        if found is None or asked is None:
            self.strange += 1  # a forger has seen neither our number nor our port (RFC 5905, 8: the origin test)
            return
        reference = found[6].decode("ascii", "replace").rstrip("\0")
        if found[1] == 0 and reference in _KISSES:
            self.kiss = reference
        elif (sample := _sample(found, asked, arrived)) is not None:
            self.samples.append(sample)
        else:
            self.strange += 1
        self._changed.set()

    def error_received(self, exc: Exception) -> None:
        self._broken = exc
        self._changed.set()


def _sample(found: tuple[Any, ...], asked: tuple[int, float], arrived: float) -> _Sample | None:
    """The sample of an answer (RFC 5905, 8); None where its times make no sense."""
    flags, stratum, _, precision, root_delay, root_dispersion, reference, updated, _, heard, told = found
    wall, sent = asked
    elapsed = arrived - sent  # on the monotonic clock: a step of ours in between does not enter
    there, back = _apart(heard, wall), _apart(told, wall) - elapsed
    taken = _apart(told, heard)
    if told == 0 or not 0.0 <= taken <= elapsed + 1.0:
        return None
    return _Sample(
        offset=(there + back) / 2,
        delay=max(0.0, elapsed - taken),
        leap=flags >> 6,
        version=flags >> 3 & 7,
        stratum=stratum or 16,  # 0 means unspecified (RFC 5905, 7.3)
        precision=2.0**precision,
        root_delay=root_delay / 65_536,
        root_dispersion=root_dispersion / 65_536,
        reference=reference,
        reference_age=max(0.0, _apart(told, updated)) if updated else -1.0,
    )


def _record(best: _Sample, run: Run) -> None:
    run.values.update(
        offset_seconds=best.offset,
        delay_seconds=best.delay,
        stratum=float(best.stratum),
        leap=float(best.leap),
        precision_seconds=best.precision,
        root_delay_seconds=best.root_delay,
        root_dispersion_seconds=best.root_dispersion,
        root_distance_seconds=(best.root_delay + best.delay) / 2 + best.root_dispersion,  # RFC 5905, 11.2
    )
    if best.reference_age >= 0.0:
        run.values["reference_age_seconds"] = best.reference_age
    run.facts["version"] = str(best.version)
    run.facts["reference"] = _reference(best)


def _reference(sample: _Sample) -> str:
    """What the server follows (RFC 5905, 7.3): a clock's name at stratum 1, else an address or a part of its hash."""
    if sample.stratum in {1, 16}:
        return sample.reference.rstrip(b"\0").decode("ascii", "replace")
    return ".".join(map(str, sample.reference))


def _stamp(at: int) -> int:
    """An NTP time stamp of Unix nanoseconds: seconds since 1900, modulo their era, and their fraction in 2**-32 s."""
    whole, fraction = divmod(at, 1_000_000_000)
    return ((whole + _ERA) % 2**32 << 32) + (fraction << 32) // 1_000_000_000


def _apart(later: int, earlier: int) -> float:
    """Seconds between two time stamps, of whatever eras, where less than 68 years lie between (RFC 5905, 6)."""
    difference = (later - earlier) % 2**64
    return (difference - 2**64 if difference >= 2**63 else difference) / 2**32


PROTOCOL = Protocol(
    "ntp",
    NtpOptions,
    probe,
    values=(
        Value("offset_seconds", "s", "How far the server's clock is ahead of ours; negative where it is behind."),
        Value("delay_seconds", "s", "Round trip without the server's own time."),
        Value("stratum", "", "Steps from a reference clock: 1 has one, 16 is not synchronised."),
        Value("leap", "", "0 no warning, 1 and 2 a second is added or left out today, 3 not synchronised."),
        Value("precision_seconds", "s", "What the server's clock can tell apart."),
        Value("root_delay_seconds", "s", "Round trip from the server to its reference clock."),
        Value("root_dispersion_seconds", "s", "Error that the server's way to its reference clock may have."),
        Value("root_distance_seconds", "s", "The most that the time we get from here can be wrong."),
        Value("reference_age_seconds", "s", "Time since the server's clock was last set or corrected."),
        Value("loss_ratio", "", "Questions without an answer, 0 to 1."),
    ),
    transport="udp",
)
