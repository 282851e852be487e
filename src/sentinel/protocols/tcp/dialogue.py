"""A dialogue over one connection: say something, hear lines, take numbers from them, and go on."""

from __future__ import annotations

import asyncio
import math
from typing import Final

from sentinel.protocols.tcp.options import Step, TcpOptions, hex_bytes
from sentinel.sdk.patterns import Pattern
from sentinel.sdk.placeholders import fill
from sentinel.sdk.protocol import Run
from sentinel.sdk.steps import hiding, step

SHOWN: Final = 200
"""Characters of an answer that people are shown."""

_MAX_LINES: Final = 1_000  # in one answer: each is compared with every pattern of its step
_FAREWELL: Final = 0.2  # seconds that the peer has to end its side


async def speak(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, options: TcpOptions, run: Run) -> None:
    """Go through the steps in order; the first that fails ends the dialogue.  The caller ends the connection."""
    heard = _Heard(reader, options, run)
    secrets = {name: secret.get_secret_value() for name, secret in options.secrets.items()}
    with hiding(run, options.secrets.values()):
        for label, each in options.steps:
            async with step(run, label, each.timeout):
                said = fill(each.send.get_secret_value(), secrets).encode() if each.send else b""
                if said := said or hex_bytes(each.send_hex or ""):
                    with run.stage("send"):
                        writer.write(said)
                        await writer.drain()
                if each.listens:
                    with run.stage("exchange"):
                        await heard.answer(each)
    await _part(reader, writer, run)


class _Heard:
    """What the peer has said and no step has used yet."""

    def __init__(self, reader: asyncio.StreamReader, options: TcpOptions, run: Run) -> None:
        self._reader, self._options, self._run = reader, options, run
        self._rest = b""

    async def answer(self, asked: Step) -> None:
        """Hear until the step has what it wants; what came after that is left to the next step."""
        end = (self._options.line_end if asked.line_end is None else asked.line_end).encode()
        if asked.expect_hex is not None or not end:
            await self._unended(asked)
            return
        wanted = _Wanted(asked, self._run)
        size = 0
        for _ in range(_MAX_LINES):
            line = await self._line(end, size)
            size += len(line) + len(end)
            if wanted.found_all(line):
                return
        self._run.fail("too_large", f"more than {_MAX_LINES} lines; the last is {_shown(line)!r}")

    async def _line(self, end: bytes, before: int) -> bytes:
        while (at := self._rest.find(end)) < 0:
            if before + len(self._rest) >= self._options.max_bytes:
                self._run.fail("too_large", f"more than {self._options.max_bytes} bytes without what is awaited")
            await self._more()
        line, self._rest = self._rest[:at], self._rest[at + len(end) :]
        return line

    async def _unended(self, asked: Step) -> None:
        awaited = asked.expect_matches or (asked.expect or "").encode() or hex_bytes(asked.expect_hex or "")
        while True:
            if asked.error_matches is not None and asked.error_matches.found_in(self._rest):
                self._run.fail("mismatch", f"the peer says no: {_shown(self._rest)!r}")
            if isinstance(awaited, Pattern):
                if awaited.found_in(self._rest):
                    self._rest = b""
                    return
            elif (at := self._rest.find(awaited)) >= 0:
                self._rest = self._rest[at + len(awaited) :]
                return
            if len(self._rest) >= self._options.max_bytes:
                self._run.fail("mismatch", f"the answer begins with {_shown(self._rest)!r}")
            await self._more()

    async def _more(self) -> None:
        more = await self._reader.read(self._options.max_bytes)
        run = self._run
        if not more:
            run.fail("closed", f"the last it said is {_shown(self._rest)!r}" if self._rest else "the peer said no more")
        self._rest += more
        run.values["received_bytes"] = run.values.get("received_bytes", 0.0) + len(more)
        run.facts["answer"] = _shown(self._rest)


class _Wanted:
    """What a step still looks for."""

    def __init__(self, asked: Step, run: Run) -> None:
        self._run, self._error = run, asked.error_matches
        self._expected: bytes | Pattern | None = asked.expect_matches or (asked.expect or "").encode() or None
        self._numbers, self._facts = dict(asked.numbers), dict(asked.facts)

    def found_all(self, line: bytes) -> bool:
        """Whether, with this line, nothing is missing any more.

        Raises:
            ProbeFailed: ``mismatch`` where the line says no, or holds no number where one is captured.
        """
        if self._error is not None and self._error.found_in(line):
            self._run.fail("mismatch", f"the peer says no: {_shown(line)!r}")
        expected = self._expected
        if expected is not None and (expected.found_in(line) if isinstance(expected, Pattern) else expected in line):
            self._expected = None
        text = line.decode("utf-8", "replace")
        for name, number in tuple(self._numbers.items()):
            if (found := number.matches.find(text)) is not None:
                self._run.values[name] = number.scale * self._number(name, found, number.words)
                del self._numbers[name]
        for name, pattern in tuple(self._facts.items()):
            if (found := pattern.find(text)) is not None:
                self._run.facts[name] = found[:SHOWN]
                del self._facts[name]
        return self._expected is None and not self._numbers and not self._facts

    def _number(self, name: str, text: str, words: dict[str, float]) -> float:
        if text in words:
            return words[text]
        try:
            number = float(text)
        except ValueError:
            number = math.nan
        if not math.isfinite(number):
            self._run.fail("mismatch", f"{name} is {text[:SHOWN]!r}, which is no number and no word that is known")
        return number


async def _part(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, run: Run) -> None:
    """Say that we have nothing more to say, and let the peer end: a control host has few places for callers."""
    if not writer.can_write_eof():  # TLS
        return
    try:
        async with asyncio.timeout(min(_FAREWELL, run.left)):
            writer.write_eof()
            while await reader.read(4096):
                pass
    except (OSError, TimeoutError):
        return  # all that was to be measured has been


def _shown(data: bytes) -> str:
    return data[:SHOWN].decode("utf-8", "replace")
