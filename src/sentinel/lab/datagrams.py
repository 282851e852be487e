"""Questions and answers over UDP, made a server: each datagram is answered by itself."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from sentinel.lab.faults import DOWN, SLOW
from sentinel.lab.simulation import Service


class Respondent(Protocol):
    """Answers datagrams; its faults may be set at any time."""

    faults: frozenset[str]

    def answer(self, data: bytes, source: tuple[str, int]) -> tuple[bytes, tuple[str, int]] | None:
        """What to send, and where to; None where nothing is said."""
        ...


class OverUdp(asyncio.DatagramProtocol):
    """Listens for a respondent.  One that is down keeps its port and is silent, as a dead machine is."""

    def __init__(self, service: Service, respondent: Respondent) -> None:
        self._service, self._respondent = service, respondent
        self._late = service.slow_seconds
        self._transport: asyncio.DatagramTransport | None = None

    async def open(self) -> None:
        """Listen; does nothing where it does already.

        Raises:
            OSError: the address or the port cannot be had.
        """
        if self._transport is None:
            place = (self._service.address, self._service.port)
            loop = asyncio.get_running_loop()
            self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=place)

    async def close(self) -> None:
        """Listen no more."""
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    async def show(self, faults: frozenset[str]) -> None:
        """Have these faults from now on."""
        self._respondent.faults = faults

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Asyncio calls it for each datagram."""
        faults = self._respondent.faults
        reply = None if DOWN in faults else self._respondent.answer(data, (addr[0], addr[1]))
        if reply is not None and SLOW in faults:
            asyncio.get_running_loop().call_later(self._late, self._send, *reply)
        elif reply is not None:
            self._send(*reply)

    def _send(self, data: bytes, place: tuple[str, int]) -> None:
        if self._transport is not None:
            self._transport.sendto(data, place)
