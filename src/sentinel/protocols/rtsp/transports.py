"""How media comes: interleaved in the RTSP connection, or as datagrams; one object a session, one number a track."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Protocol

from sentinel.protocols.rtsp.datagrams import Announced, Ports
from sentinel.protocols.rtsp.messages import RtspFailure
from sentinel.protocols.rtsp.session import Session, ignore
from sentinel.sdk.net import is_literal

_INTERLEAVED = re.compile(r"interleaved\s*=\s*(\d{1,3})", re.IGNORECASE)
_SERVER_PORT = re.compile(r"server_port\s*=\s*(\d{1,5})(?:\s*-\s*(\d{1,5}))?", re.IGNORECASE)
_SOURCE = re.compile(r"source\s*=\s*\"?([0-9A-Fa-f:.]{2,45})", re.IGNORECASE)


class Receiver(Protocol):
    """Takes what comes of one track."""

    def receive(self, data: bytes) -> None:
        """One RTP packet."""

    def control(self, data: bytes) -> None:
        """One RTCP compound."""


class Media(Protocol):
    """The way of all tracks of one session."""

    reorders: bool

    def offer(self, number: int) -> str:
        """What SETUP of that track asks for (RFC 2326, 12.39).

        Raises:
            OSError: this host has no ports left.
        """

    def agree(self, number: int, answer: str | None, receiver: Receiver) -> None:
        """Take the server's answer; what comes of the track goes to ``receiver`` from now on.

        Raises:
            RtspFailure: ``unsupported``: the server chose another way.
        """

    def greet(self) -> None:
        """Open the way back through what stands between, where that is needed."""

    def report(self, number: int, data: bytes) -> None:
        """Send RTCP about that track."""

    def pause(self) -> None:
        """Take in nothing more."""

    def resume(self) -> None:
        """Go on."""

    def close(self) -> None:
        """Give everything back."""

    def story(self) -> str:
        """What came and belonged to nobody, for people; empty where there is nothing to say."""

    @property
    def dropped(self) -> int:
        """Packets that this host threw away because it read them too late."""


class Interleaved:
    """In the RTSP connection (RFC 2326, 10.12): nothing is lost, nothing overtakes."""

    reorders = False
    dropped = 0

    def __init__(self, session: Session) -> None:
        self._session = session
        self._channels: dict[int, int] = {}
        self._ways: dict[int, Callable[[bytes], None]] = {}
        self._elsewhere = 0

    def offer(self, number: int) -> str:
        """Channels of their own for each track."""
        return f"RTP/AVP/TCP;unicast;interleaved={2 * number}-{2 * number + 1}"

    def agree(self, number: int, answer: str | None, receiver: Receiver) -> None:
        """Servers send as soon as they have answered, some before: whatever channel they chose is known by then."""
        chosen = answer or self.offer(number)
        match = _INTERLEAVED.search(chosen)
        if match is None and "TCP" not in chosen.upper():
            raise RtspFailure("unsupported", f"the server chose another transport: {chosen[:100]}")
        channel = int(match[1]) if match else 2 * number
        self._channels[number] = channel
        self._ways |= {channel: receiver.receive, channel + 1: receiver.control}
        self._session.on_frame = self._frame

    def greet(self) -> None:
        """The connection is the way back."""

    def report(self, number: int, data: bytes) -> None:
        """On the channel beside the media's."""
        self._session.send_frame(self._channels[number] + 1 & 0xFF, data)

    def pause(self) -> None:
        """What comes waits in the connection."""
        self._session.pause()

    def resume(self) -> None:
        """Go on."""
        self._session.resume()

    def close(self) -> None:
        """Nothing comes any more."""
        self._session.on_frame = ignore

    def story(self) -> str:
        """Frames on channels that nobody asked for."""
        return f"{self._elsewhere} frames on other channels" if self._elsewhere else ""

    def _frame(self, channel: int, payload: bytes) -> None:
        way = self._ways.get(channel)
        if way is None:
            self._elsewhere += 1
        else:
            way(payload)


class Datagrams:
    """Over UDP: a pair of ports a track, and only what the server itself sends to it."""

    reorders = True

    def __init__(self, session: Session) -> None:
        self._session = session
        self._pairs: dict[int, Ports] = {}

    @property
    def dropped(self) -> int:
        """Of all ports."""
        return sum(pair.dropped for pair in self._pairs.values())

    def offer(self, number: int) -> str:
        """Two neighbouring ports at the address that the connection goes out from (RFC 3550, section 11)."""
        pair = self._pairs.get(number)
        if pair is None:
            pair = self._pairs[number] = Ports(*self._session.host)
        return f"RTP/AVP;unicast;client_port={pair.numbers[0]}-{pair.numbers[1]}"

    def agree(self, number: int, answer: str | None, receiver: Receiver) -> None:
        """Where the server says that it sends from; an answer without it is taken at its word."""
        chosen = answer or ""
        words = chosen.upper()
        if "TCP" in words or "INTERLEAVED" in words or "MULTICAST" in words:
            raise RtspFailure("unsupported", f"the server chose another transport: {chosen[:100]}")
        ports, source = _SERVER_PORT.search(chosen), _SOURCE.search(chosen)
        pair = self._pairs[number]
        pair.announced = Announced(
            source[1] if source is not None and is_literal(source[1]) else None,
            int(ports[1]) if ports is not None else None,
            int(ports[2] or int(ports[1]) + 1) if ports is not None else None,
        )
        pair.open(receiver.receive, receiver.control, self._session.stir)

    def greet(self) -> None:
        """A packet from each of our ports, so that a firewall or NAT between lets the server's in."""
        for pair in self._pairs.values():
            pair.greet()

    def report(self, number: int, data: bytes) -> None:
        """To the server's second port."""
        self._pairs[number].report(data)

    def pause(self) -> None:
        """What comes waits in the kernel's buffers, and what does not fit there is dropped and counted."""
        for pair in self._pairs.values():
            pair.pause()

    def resume(self) -> None:
        """Go on."""
        for pair in self._pairs.values():
            pair.resume()

    def close(self) -> None:
        """Give the ports back."""
        for pair in self._pairs.values():
            pair.close()

    def story(self) -> str:
        """What came from strangers, and what we were too slow for."""
        parts = []
        if strangers := sum(pair.strangers for pair in self._pairs.values()):
            parts.append(f"{strangers} datagrams of strangers")
        if dropped := self.dropped:
            parts.append(f"{dropped} dropped by this host")
        return ", ".join(parts)
