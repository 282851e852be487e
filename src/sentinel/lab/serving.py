"""A conversation over TCP or TLS, made a server: what most simulations are."""

from __future__ import annotations

import asyncio
import ssl
from typing import Protocol

from sentinel.lab.authority import Authority
from sentinel.lab.faults import CERT_EXPIRED, DOWN
from sentinel.lab.listener import Listener
from sentinel.lab.simulation import Service


class Conversation(Protocol):
    """Talks to one client at a time; its faults may be set at any time."""

    faults: frozenset[str]

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Talk until the client goes."""
        ...


class OverTcp:
    """Listens for a conversation; over TLS where the service's checks expect that."""

    def __init__(self, service: Service, conversation: Conversation, authority: Authority) -> None:
        self._service, self._conversation, self._authority = service, conversation, authority
        self._context: ssl.SSLContext | None = authority.context(service.names) if service.tls else None
        self._expired = False
        self._listener = Listener(service.address, service.port, conversation.serve, tls=self._context)

    async def open(self) -> None:
        """Listen; does nothing where it does already.

        Raises:
            OSError: the address or the port cannot be had.
        """
        await self._listener.open()

    async def close(self) -> None:
        """Listen no more, and break every connection."""
        await self._listener.close()

    async def show(self, faults: frozenset[str]) -> None:
        """Have these faults from now on; one that is down refuses connections."""
        expired = CERT_EXPIRED in faults
        if self._context is not None and expired is not self._expired:
            self._expired = expired
            self._authority.show(self._context, self._service.names, expired=expired)
        self._conversation.faults = faults
        if DOWN in faults:
            await self._listener.close()
        else:
            await self._listener.open()
