"""A TCP service for each port that is only connected to: it greets and answers as the check expects, and listens."""

from __future__ import annotations

import asyncio
from typing import Final

from sentinel.lab.dialogue import Dialogue
from sentinel.lab.examples import NoExample, text_for
from sentinel.lab.faults import SLOW, TALK
from sentinel.lab.serving import OverTcp
from sentinel.lab.simulation import Ground, Service, Simulation
from sentinel.sdk.patterns import Pattern

IDLE_SECONDS: Final = 60.0
CHUNK: Final = 4_096


class TcpService:
    """One service.  A connection that is silent for a minute is ended, as real services do."""

    def __init__(self, service: Service, notes: list[str]) -> None:
        """Make greeting and answers; what cannot be made is told in ``notes``."""
        self.faults: frozenset[str] = frozenset()
        self._late = service.slow_seconds
        self._greeting = b""
        self._answers: list[tuple[bytes, bytes]] = []
        self._dialogue: Dialogue | None = None
        for check in service.own:
            try:
                if check.options.dialogue:
                    if self._dialogue is not None:
                        raise NoExample("another check has a dialogue there")
                    self._dialogue = Dialogue(check)
                    continue
                if check.options.banner is not None and not self._greeting:
                    self._greeting = text_for(check.options.banner).encode() + b"\r\n"
                awaited = check.options.awaited
                if awaited is not None:
                    answer = text_for(awaited).encode() if isinstance(awaited, Pattern) else awaited
                    self._answers.append((check.options.request, answer))
            except NoExample as error:
                notes.append(f"{check.id}: {error}")
        # What awaits an answer without a request is a greeting by another name.
        self._greeting = self._greeting + b"".join(answer for request, answer in self._answers if not request)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Greet, then answer each request that is known, until the client goes or is silent."""
        if self._dialogue is not None:
            await self._converse(self._dialogue, reader, writer)
            return
        if self._greeting:
            await self._say(writer, self._greeting)
        heard = b""
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                data = await reader.read(CHUNK)
            if not data:
                return
            heard = (heard + data)[-CHUNK:]
            for request, answer in self._answers:
                if request and request in heard:
                    heard = b""
                    await self._say(writer, answer)
                    break

    async def _converse(self, dialogue: Dialogue, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Go through the dialogue with one client; what is not the next request stays unanswered."""
        heard = b""
        for asked, answer in dialogue.turns:
            while asked not in heard:
                async with asyncio.timeout(IDLE_SECONDS):
                    data = await reader.read(CHUNK)
                if not data:
                    return
                heard = (heard + data)[-CHUNK:]
            heard = heard[heard.index(asked) + len(asked) :]
            if answer:
                await self._say(writer, answer)
        while await reader.read(CHUNK):
            pass

    async def _say(self, writer: asyncio.StreamWriter, text: bytes) -> None:
        if SLOW in self.faults:
            await asyncio.sleep(self._late)
        writer.write(text)
        await writer.drain()


async def _server(service: Service, ground: Ground) -> OverTcp:
    return OverTcp(service, TcpService(service, ground.notes), ground.authority)


def _abilities(service: Service) -> frozenset[str]:
    says = any(check.options.banner or check.options.awaited or check.options.dialogue for check in service.own)
    return frozenset({TALK} if says else ())


SIMULATION = Simulation(("tcp",), _server, abilities=_abilities, rank=0, greets=True)
