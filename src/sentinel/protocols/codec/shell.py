"""A device's shell over SSH: a greeting, then commands one after the other, each with an answer that ends somewhere.

Devices echo or do not, end an answer with a line, a prompt or both, and let another line follow after a moment; so
what comes before a short silence still belongs to the answer.
"""

from __future__ import annotations

import asyncio
import re
from dataclasses import dataclass, field
from typing import Final

import asyncssh

from sentinel.protocols.codec.profile import Ask, Shell
from sentinel.sdk.protocol import Run

MAX_LINE: Final = 8_192
"""Bytes of one line; a longer one is cut into several."""

_PROMPT: Final = 200  # bytes of an unfinished line that may be a prompt
_CONTROL: Final = re.compile(r"\x1b\[[0-9;?]{0,16}[ -/]{0,4}[@-~]|\x1b[=>]|[\x00-\x08\x0b-\x1f\x7f]")

Process = asyncssh.SSHClientProcess[bytes]


@dataclass(slots=True)
class Answer:
    """What came; ``refusal`` is the line with which the device says that it does not know the command."""

    lines: list[str] = field(default_factory=list)
    refusal: str = ""
    begun: bool = False


class Session:
    """One run's talk with the shell.  ``limit`` is in bytes, for all answers together."""

    def __init__(self, process: Process, shell: Shell, limit: int, run: Run) -> None:
        self._process, self._shell, self._run = process, shell, run
        self._limit, self._received = limit, 0
        self._tail = b""

    async def greet(self) -> None:
        """Wait for the end of the greeting, where the profile knows it, and switch off echo and pages."""
        shell, ready = self._shell, self._shell.ready is None and self._shell.prompt is None
        while not ready:
            lines = await self._needed()
            ready = self._prompted() or (shell.ready is not None and any(map(shell.ready.found_in, lines)))
        await self._settle(Answer(), "")
        for command in shell.setup:
            self._send(command)
            await self._settle(Answer(), "")

    async def ask(self, ask: Ask) -> Answer:
        """Send a command and gather its answer.

        Raises:
            ProbeFailed: ``closed`` where the shell ends, ``too_large`` where it says more than the limit.
        """
        shell, answer, command = self._shell, Answer(), ask.name
        ends = [pattern for pattern in (ask.end, shell.end) if pattern is not None]
        self._send(command)
        ended = False
        while not ended:
            for line in await self._needed():
                ended |= self._take(line, command, answer) or any(pattern.found_in(line) for pattern in ends)
            ended |= answer.begun and self._prompted()
        await self._settle(answer, command)
        return answer

    def _take(self, line: str, command: str, answer: Answer) -> bool:
        """Take in a line of an answer; whether it says that the command is not known."""
        if not line:
            return False
        first, answer.begun = not answer.begun, True
        if first and line.endswith(command):  # its echo, after a prompt or without one
            return False
        if self._shell.error is not None and self._shell.error.found_in(line):
            answer.refusal = answer.refusal or line
            return True
        answer.lines.append(line)
        return False

    async def _settle(self, answer: Answer, command: str) -> None:
        """Take in what still comes, until it is quiet for a moment."""
        lines: list[str] | None = []
        while lines is not None:
            for line in lines:
                self._take(line, command, answer)
            try:
                async with asyncio.timeout(self._shell.settle):
                    lines = await self._more()
            except TimeoutError:
                break
        if self._prompted():
            self._tail = b""

    async def _needed(self) -> list[str]:
        lines = await self._more()
        if lines is None:
            self._run.fail("closed", "the shell ended before it had answered")
        return lines

    async def _more(self) -> list[str] | None:
        """The lines that the next bytes complete; None where no more will come."""
        data = await self._process.stdout.read(self._limit + 1 - self._received)
        self._received += len(data)
        if self._received > self._limit:
            self._process.channel.abort()
            self._run.fail("too_large", f"more than {self._limit} bytes")
        if not data and not self._tail:
            return None
        *whole, self._tail = (self._tail + (data or b"\n")).split(b"\n")
        while len(self._tail) > MAX_LINE:
            whole.append(self._tail[:MAX_LINE])
            self._tail = self._tail[MAX_LINE:]
        return [_plain(line) for line in whole]

    def _prompted(self) -> bool:
        prompt = self._shell.prompt
        return prompt is not None and 0 < len(self._tail) <= _PROMPT and prompt.found_in(_shown(self._tail))

    def _send(self, command: str) -> None:
        try:
            self._process.stdin.write(command.encode() + self._shell.line_end.encode())
        except OSError:  # the far end closed the channel between two commands
            self._run.fail("closed", "the shell ended before it was asked")


def _plain(line: bytes) -> str:
    """A whole line."""
    return _shown(line).rstrip(" ")


def _shown(data: bytes) -> str:
    """A text without what moves a terminal's cursor."""
    return _CONTROL.sub("", data.decode("utf-8", "replace"))
