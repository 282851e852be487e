"""A clip and its sound on their way to one client: paced, looped, over the RTSP connection or over UDP (RFC 3550)."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
import struct
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from typing import Final

from sentinel.lab.camera import scene
from sentinel.lab.camera.clip import TICKS, Clip

PAYLOAD_TYPE: Final = 96
SOUND_TYPE: Final = 8
"""PCMA (RFC 3551, 6)."""
SOUND_CLOCK: Final = 8_000
SOUND_TICKS: Final = 800
"""A tenth of a second in a packet."""
LOST_OF: Final = 20
"""One packet of so many does not arrive, where packets are lost."""
REPORT_SECONDS: Final = 5
"""Between two sender reports (RFC 3550, 6.2)."""

_HEADER = struct.Struct("!BBHII")
_REPORT = struct.Struct("!BBHIIIIII")
_1900 = 2_208_988_800  # seconds from NTP's epoch to Unix's

Send = Callable[[bytes, bool], None]
"""Sends one packet; True for RTCP."""


@dataclass(slots=True)
class Playing:
    """One client's stream, from the picture ``begins`` on, a key frame.

    Its numbers go on where the clip begins anew, and where the scene changes.
    """

    clip: Clip
    send: Send
    shows: Callable[[], str]
    other: Callable[[str], Awaitable[Clip]]
    loses: Callable[[], bool]
    begins: int
    ssrc: int = field(default_factory=lambda: secrets.randbits(32))
    sequence: int = field(default_factory=lambda: secrets.randbits(16))
    timestamp: int = field(default_factory=lambda: secrets.randbits(32))
    packets: int = 0
    octets: int = 0
    _shown: str = scene.LIVE

    async def run(self, drain: Callable[[], object], *, silent: Callable[[], bool]) -> None:
        """Send picture after picture in real time, the first, a key frame, at once.  Ends only by cancellation.

        While ``silent()`` nothing is sent, and time goes on.  A client that does not read is waited for.
        """
        began, number = time.monotonic(), 0
        while True:
            if number % scene.RATE == 0 and self.shows() != self._shown:  # a key frame is next
                self._shown = self.shows()
                self.clip = await self.other(self._shown)
            if not silent():
                if number % (REPORT_SECONDS * scene.RATE) == 0:
                    self._report()
                self._picture(self.begins + number)
                waiting = drain()
                if asyncio.iscoroutine(waiting):
                    await waiting
            number += 1
            self.timestamp = self.timestamp + TICKS & 0xFFFFFFFF
            ahead = began + number / scene.RATE - time.monotonic()
            if ahead < -1:  # the client held us up: go on from here, without a burst
                began -= ahead
            await asyncio.sleep(max(0.0, ahead))

    def _picture(self, number: int) -> None:
        payloads = self.clip.units[number % len(self.clip.units)]
        lossy = self.loses()
        for index, payload in enumerate(payloads, start=1):
            marker = 0x80 if index == len(payloads) else 0
            header = _HEADER.pack(0x80, marker | PAYLOAD_TYPE, self.sequence, self.timestamp, self.ssrc)
            if not lossy or self.packets % LOST_OF:
                self.send(header + payload, False)
            self.sequence = self.sequence + 1 & 0xFFFF
            self.packets += 1
            self.octets = self.octets + len(payload) & 0xFFFFFFFF

    def _report(self) -> None:
        now = time.time() + _1900  # noqa: TID251 - a sender report ties the stream to the wall's time
        seconds, fraction = int(now) & 0xFFFFFFFF, int(now % 1 * (1 << 32))
        packed = _REPORT.pack(
            0x80, 200, 6, self.ssrc, seconds, fraction, self.timestamp, self.packets & 0xFFFFFFFF, self.octets
        )
        self.send(packed, True)


async def play_sound(send: Send, drain: Callable[[], object], *, silent: Callable[[], bool]) -> None:
    """Send quiet sound in G.711's A law (RFC 3551, 4.5.14) in real time.  Ends only by cancellation."""
    ssrc, sequence, timestamp = secrets.randbits(32), secrets.randbits(16), secrets.randbits(32)
    quiet = bytes((0xD5, 0x55)) * (SOUND_TICKS // 2)
    began, number = time.monotonic(), 0
    while True:
        if not silent():
            header = _HEADER.pack(0x80, SOUND_TYPE, sequence, timestamp, ssrc)
            send(header + quiet, False)
            waiting = drain()
            if asyncio.iscoroutine(waiting):
                await waiting
            sequence = sequence + 1 & 0xFFFF
        number += 1
        timestamp = timestamp + SOUND_TICKS & 0xFFFFFFFF
        await asyncio.sleep(max(0.0, began + number * SOUND_TICKS / SOUND_CLOCK - time.monotonic()))


def over_connection(writer: asyncio.StreamWriter, channel: int) -> Send:
    """Into the RTSP connection, interleaved (RFC 2326, 10.12): media on ``channel``, RTCP on the next."""

    def send(packet: bytes, rtcp: bool) -> None:  # noqa: FBT001 - the signature of Send
        writer.write(b"$" + bytes((channel + rtcp,)) + len(packet).to_bytes(2, "big") + packet)

    return send


class UdpPair:
    """Two neighbouring UDP ports, the even one for media (RFC 3550, 11), connected to a client's."""

    def __init__(self, host: str, peer: str, client_ports: tuple[int, int]) -> None:
        """Take the ports.

        Raises:
            OSError: none are free.
        """
        self._media, self._rtcp = _neighbours(host)
        try:
            for sock, port in zip((self._media, self._rtcp), client_ports, strict=True):
                sock.setblocking(False)
                sock.connect((peer, port))
        except OSError:
            self.close()
            raise

    @property
    def ports(self) -> tuple[int, int]:
        """The two ports."""
        return self._media.getsockname()[1], self._rtcp.getsockname()[1]

    def send(self, packet: bytes, rtcp: bool) -> None:  # noqa: FBT001 - the signature of Send
        """Send one packet; what the network does not take is lost, as it is on a network."""
        with contextlib.suppress(OSError):
            (self._rtcp if rtcp else self._media).send(packet)

    def close(self) -> None:
        """Give the ports back."""
        self._media.close()
        self._rtcp.close()


def _neighbours(host: str) -> tuple[socket.socket, socket.socket]:
    for _ in range(50):
        media = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        rtcp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            media.bind((host, 0))
            port = media.getsockname()[1]
            if port % 2 == 0:
                rtcp.bind((host, port + 1))
                return media, rtcp
        except OSError:
            pass
        media.close()
        rtcp.close()
    raise OSError("no pair of UDP ports is free")
