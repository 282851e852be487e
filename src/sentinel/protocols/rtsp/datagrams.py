"""Two neighbouring UDP ports for one track: RTP and RTCP (RFC 3550, section 11), from one sender only."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import ipaddress
import socket
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

RECEIVE_BUFFER: Final = 2 << 20
"""Bytes asked for: a key frame comes in one burst, and the kernel counts twice a packet's size."""
AT_ONCE: Final = 64
"""Datagrams read before others have their turn."""
LARGEST: Final = 65_535
PAIRS_TRIED: Final = 50

_SO_MEMINFO = 55  # Linux's numbers that Python's socket module does not name
_DROPS = 8
# A packet of RTP without payload, and an empty receiver report: what other clients send, and every server passes over.
_RTP_GREETING = struct.pack("!BBHII", 0x80, 0, 0, 0, 0)
_RTCP_GREETING = struct.pack("!BBHI", 0x80, 201, 1, 0)


@dataclass(frozen=True, slots=True)
class Announced:
    """Where the answer to SETUP says that media comes from; None for what it does not say."""

    source: str | None = None
    media: int | None = None
    control: int | None = None


class Ports:
    """A pair of ports; ``strangers`` counts the datagrams that others sent to it.

    Only the server's address may send, and the one that its answer names.  Of its ports the one that was announced
    comes first; where nothing comes from there, the first that sends what looks like RTP.  Once a sender is known the
    socket is connected to it, so that the kernel keeps a stranger's flood away.
    """

    def __init__(self, own: str, server: str) -> None:
        """Take the ports.

        Raises:
            OSError: there are none.
        """
        self.announced = Announced()
        self.strangers = 0
        self._server = server
        self._sockets = _neighbours(own)
        self._senders: list[tuple[Any, ...] | None] = [None, None]
        self._ways: tuple[Callable[[bytes], None], Callable[[bytes], None]] | None = None
        self._stir: Callable[[], None] = _nothing
        self._reading = False
        self._dropped = 0
        self._hosts: frozenset[object] = frozenset()

    @property
    def numbers(self) -> tuple[int, int]:
        """The two ports."""
        media, control = (sock.getsockname()[1] for sock in self._sockets)
        return media, control

    @property
    def dropped(self) -> int:
        """Media datagrams that the kernel threw away because its buffer was full."""
        with contextlib.suppress(OSError):
            packed = self._sockets[0].getsockopt(socket.SOL_SOCKET, _SO_MEMINFO, 4 * (_DROPS + 1))
            self._dropped = int(struct.unpack_from("=I", packed, 4 * _DROPS)[0])
        return self._dropped

    def open(
        self, receive: Callable[[bytes], None], control: Callable[[bytes], None], stir: Callable[[], None]
    ) -> None:
        """From now on give what comes to these; ``stir`` is called after each batch."""
        self._ways, self._stir = (receive, control), stir
        self._hosts = frozenset({_address(self._server), _address(self.announced.source or self._server)})
        self.resume()

    def resume(self) -> None:
        """Read what comes."""
        if self._ways is not None and not self._reading:
            self._reading = True
            loop = asyncio.get_running_loop()
            for which, sock in enumerate(self._sockets):
                loop.add_reader(sock.fileno(), self._readable, which)

    def pause(self) -> None:
        """Read nothing more."""
        if self._reading:
            self._reading = False
            loop = asyncio.get_running_loop()
            for sock in self._sockets:
                loop.remove_reader(sock.fileno())

    def greet(self) -> None:
        """Send something harmless to the server, so that what stands between knows of us.

        Never to what an answer names as the source: a hostile server could aim us at others.
        """
        for sock, port, greeting in zip(
            self._sockets,
            (self.announced.media, self.announced.control),
            (_RTP_GREETING, _RTCP_GREETING),
            strict=True,
        ):
            if port:
                self._send(sock, greeting, port)

    def report(self, data: bytes) -> None:
        """Send RTCP to the server's second port."""
        if self.announced.control:
            self._send(self._sockets[1], data, self.announced.control)

    def close(self) -> None:
        """Give the ports back."""
        self.pause()
        self._dropped = self.dropped
        for sock in self._sockets:
            sock.close()

    def _send(self, sock: socket.socket, data: bytes, port: int) -> None:
        with contextlib.suppress(OSError):  # a network that is full or closed loses it, as it may
            sock.sendto(data, (self._server.partition("%")[0], port))

    def _readable(self, which: int) -> None:
        sock, ways = self._sockets[which], self._ways
        if ways is None:
            return
        try:
            for _ in range(AT_ONCE):
                if not self._reading:
                    break
                try:
                    data, sender = sock.recvfrom(LARGEST)
                except BlockingIOError:
                    break
                except OSError:
                    continue  # an ICMP message about what we sent: it says nothing of the media
                if self._senders[which] == sender or self._known(which, sender, data):
                    ways[which](data)
        finally:
            self._stir()

    def _known(self, which: int, sender: tuple[Any, ...], data: bytes) -> bool:
        """Whether a sender that has sent nothing before may; it is the only one then."""
        host, port = sender[0], sender[1]
        announced = (self.announced.media, self.announced.control)[which]
        plausible = len(data) >= 8 and data[0] >> 6 == 2
        if (
            _address(host) not in self._hosts
            or not plausible
            or (self._senders[which] is not None and port != announced)
        ):
            self.strangers += 1
            return False
        self._senders[which] = sender
        if port == announced:
            with contextlib.suppress(OSError):
                self._sockets[which].connect(sender)
        return True


def _address(text: str) -> object:
    return ipaddress.ip_address(text.partition("%")[0])


def _neighbours(own: str) -> tuple[socket.socket, socket.socket]:
    family, *_, place = socket.getaddrinfo(own, 0, type=socket.SOCK_DGRAM, flags=socket.AI_NUMERICHOST)[0]
    for _ in range(PAIRS_TRIED):
        media = socket.socket(family, socket.SOCK_DGRAM)
        control = socket.socket(family, socket.SOCK_DGRAM)
        try:
            media.bind(place)
            at = media.getsockname()
            if at[1] % 2 == 0:
                control.bind((at[0], at[1] + 1, *at[2:]))
                for sock in (media, control):
                    sock.setblocking(False)
                media.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
                return media, control
        except OSError as error:
            if error.errno != errno.EADDRINUSE:
                media.close()
                control.close()
                raise
        media.close()
        control.close()
    raise OSError(errno.EADDRNOTAVAIL, "no pair of UDP ports is free")


def _nothing() -> None:
    """Nobody waits."""
