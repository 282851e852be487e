"""A TLS service for each port that is looked at for its certificate alone; a check of another protocol plays it better.

Where words come before TLS it speaks them: SMTP, IMAP or POP3 as far as TLS begins (RFC 3207, RFC 2595).
"""

from __future__ import annotations

import asyncio
import ssl
from typing import Final

from sentinel.lab.authority import Authority
from sentinel.lab.faults import CERT_EXPIRED, TLS
from sentinel.lab.serving import OverTcp
from sentinel.lab.simulation import Ground, Service, Simulation

IDLE_SECONDS: Final = 30.0

# What is said first; and, by the word that is heard, what is answered. The last word begins TLS.
_WORDS: Final = {
    "smtp": (b"220 lab ESMTP\r\n", {b"EHLO": b"250-lab\r\n250 STARTTLS\r\n", b"STARTTLS": b"220 go ahead\r\n"}),
    "imap": (b"* OK lab\r\n", {b"STARTTLS": b"a1 OK begin\r\n"}),
    "pop3": (b"+OK lab\r\n", {b"STLS": b"+OK begin\r\n"}),
}


class TlsService:
    """One service: it shakes hands, and then listens until the client has gone."""

    def __init__(self, service: Service, authority: Authority) -> None:
        self._service, self._authority = service, authority
        self._faults: frozenset[str] = frozenset()
        spoken = (check.options.starttls for check in service.own)
        self._protocol = next((each for each in spoken if each is not None), None)
        self._context: ssl.SSLContext | None = None if self._protocol is None else authority.context(service.names)

    @property
    def faults(self) -> frozenset[str]:
        """What is wrong with it."""
        return self._faults

    @faults.setter
    def faults(self, faults: frozenset[str]) -> None:
        expired = CERT_EXPIRED in faults
        if self._context is not None and expired is not (CERT_EXPIRED in self._faults):
            self._authority.show(self._context, self._service.names, expired=expired)
        self._faults = faults

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Speak the words before TLS where there are some; then stay until the client goes or is silent."""
        async with asyncio.timeout(IDLE_SECONDS):
            if self._protocol is not None and self._context is not None:
                await self._agree(self._protocol, reader, writer)
                await writer.start_tls(self._context)
            while await reader.read(1024):
                pass

    async def _agree(self, protocol: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        greeting, answers = _WORDS[protocol]
        writer.write(greeting)
        last = list(answers)[-1]
        while True:
            line = await reader.readuntil(b"\n")
            word = next((word for word in answers if word in line.upper().split()), None)
            if word is not None:
                writer.write(answers[word])
                await writer.drain()
            if word == last:
                return


async def _server(service: Service, ground: Ground) -> OverTcp:
    return OverTcp(service, TlsService(service, ground.authority), ground.authority)


def _abilities(service: Service) -> frozenset[str]:
    del service
    return frozenset({TLS})


SIMULATION = Simulation(("tls",), _server, abilities=_abilities, rank=-1)
