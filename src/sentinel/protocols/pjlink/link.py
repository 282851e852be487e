"""A connection to a projector: greeting, authentication, and one question after the other (PJLink Class 1 and 2)."""

from __future__ import annotations

import asyncio
import hashlib
import re
from typing import Final

from pydantic import SecretStr

from sentinel.sdk.protocol import Run

MAX_LINE: Final = 512
"""Bytes of a line: the standard's longest has 136 with its end, and devices exceed it by a little."""

_GREETING: Final = re.compile(r"PJLINK (?:0|1 ([0-9A-Za-z]{1,32})|(ERRA))", re.IGNORECASE)


class Refused(Exception):
    """The device knows the question and has no answer: ``code`` is ERR1 to ERR4.

    ERR1: it does not know the question; ERR2: not with this parameter; ERR3: not now; ERR4: it is faulty.
    """

    def __init__(self, code: str) -> None:
        super().__init__(code)
        self.code = code


class Link:
    """Questions over one connection.  The device answers them one at a time, so none is asked ahead."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, run: Run) -> None:
        self._reader, self._writer, self._run = reader, writer, run
        self._digest = ""

    async def greet(self, password: SecretStr | None) -> None:
        """Hear the greeting, and take the random number from it that the first question is signed with.

        Raises:
            ProbeFailed: at ``banner``; ``unauthorized`` at ``login`` where a password is needed and none is given.
        """
        run = self._run
        with run.stage("banner"):
            line = await self._line()
            found = _GREETING.fullmatch(line)
            if found is None:
                run.fail("protocol_error", f"no greeting of PJLink: {line[:100]!r}")
        run.facts["authentication"] = "md5" if found[1] else "none"
        if found[2]:
            run.fail("unauthorized", "PJLINK ERRA", stage="login")
        if found[1]:
            if password is None:
                run.fail("unauthorized", "the device wants a password", stage="login")
            text = found[1] + password.get_secret_value()
            self._digest = hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()

    async def ask(self, command: str, level: int = 1) -> str:
        """The answer to a question: ``ask("POWR")`` is "1".

        Raises:
            Refused: ERR1 to ERR4.
            ProbeFailed: ``unauthorized`` at ``login``; ``protocol_error`` or of the network at ``query``.
        """
        run = self._run
        with run.stage("login" if self._digest else "query"):
            self._writer.write(f"{self._digest}%{level}{command} ?\r".encode())
            await self._writer.drain()
            line = await self._line()
            if line.upper() == "PJLINK ERRA":
                run.fail("unauthorized", "the device refuses the password", stage="login")
        self._digest = ""  # the whole connection is authenticated by its first question
        head, equals, answer = line.partition("=")
        if not equals or head.upper() not in {f"%1{command}", f"%2{command}"}:
            run.fail("protocol_error", f"{line[:100]!r} is no answer to {command}", stage="query")
        if re.fullmatch("ERR[1-4]", answer.upper()):
            raise Refused(answer.upper())
        return answer

    async def _line(self) -> str:
        try:
            data = await self._reader.readuntil(b"\r")
        except asyncio.LimitOverrunError:
            self._run.fail("too_large", f"a line of more than {MAX_LINE} bytes")
        except asyncio.IncompleteReadError as error:
            if not error.partial:
                raise
            self._run.fail("closed", f"the last it said is {error.partial[:100].decode('utf-8', 'replace')!r}")
        return data.decode("utf-8", "replace").strip("\r\n")
