"""The words before TLS: a service is greeted in the clear and asked to begin (RFC 3207, RFC 2595)."""

from __future__ import annotations

import asyncio
import socket
from typing import Final

from sentinel.protocols.tls.options import Starttls
from sentinel.sdk.protocol import Run

MAX_BYTES: Final = 8_192
"""Of all that the peer says before TLS."""


async def agree(sock: socket.socket, protocol: Starttls, run: Run) -> None:
    """Go as far as the peer's word that TLS may begin; stages ``banner`` and ``exchange``.

    Raises:
        ProbeFailed: ``unsupported`` where it offers no TLS or refuses; ``protocol_error``, ``too_large``.
    """
    lines = _Lines(sock, run)
    if protocol == "smtp":
        await _smtp(lines, run)
    elif protocol == "imap":
        await _imap(lines, run)
    else:
        await _pop3(lines, run)
    if lines.waiting:  # it could not be told from what comes over TLS: how commands are injected
        run.fail("protocol_error", "more was said in the clear after TLS was agreed upon", stage="exchange")


async def _smtp(lines: _Lines, run: Run) -> None:
    with run.stage("banner"):
        await _reply(lines, "220", run)
    with run.stage("exchange"):
        await lines.say("EHLO sentinel.invalid")
        offered = await _reply(lines, "250", run)
        if not any(line[4:].strip().upper() == "STARTTLS" for line in offered):
            run.fail("unsupported", "the server does not offer STARTTLS")
        await lines.say("STARTTLS")
        await _reply(lines, "220", run)


async def _reply(lines: _Lines, wanted: str, run: Run) -> list[str]:
    """All lines of one reply (RFC 5321, 4.2)."""
    found = []
    while True:
        line = await lines.hear()
        if len(line) < 3 or not line[:3].isdigit() or line[3:4] not in {"", " ", "-"}:
            run.fail("protocol_error", f"no reply of SMTP: {line[:200]!r}")
        if line[:3] != wanted:
            run.fail("bad_status" if run.current == "banner" else "unsupported", line)
        found.append(line)
        if line[3:4] != "-":
            return found


async def _imap(lines: _Lines, run: Run) -> None:
    """RFC 3501, 6.2.1 and 7.1."""
    with run.stage("banner"):
        line = await lines.hear()
        if not line.upper().startswith("* OK"):
            run.fail("bad_status" if line.startswith("* ") else "protocol_error", f"{line[:200]!r}")
    with run.stage("exchange"):
        await lines.say("a1 STARTTLS")
        while (line := await lines.hear()).startswith("* "):
            pass
        if not line.upper().startswith("A1 OK"):
            run.fail("unsupported" if line.lower().startswith("a1 ") else "protocol_error", f"{line[:200]!r}")


async def _pop3(lines: _Lines, run: Run) -> None:
    """RFC 2595, 4."""
    with run.stage("banner"):
        line = await lines.hear()
        if not line.upper().startswith("+OK"):
            run.fail("bad_status" if line.upper().startswith("-ERR") else "protocol_error", f"{line[:200]!r}")
    with run.stage("exchange"):
        await lines.say("STLS")
        line = await lines.hear()
        if not line.upper().startswith("+OK"):
            run.fail("unsupported" if line.upper().startswith("-ERR") else "protocol_error", f"{line[:200]!r}")


class _Lines:
    """Lines over a socket that TLS will take over: nothing may be read ahead of need into a stream of its own."""

    def __init__(self, sock: socket.socket, run: Run) -> None:
        self._sock, self._run = sock, run
        self._held = b""
        self._heard = 0

    async def say(self, line: str) -> None:
        await asyncio.get_running_loop().sock_sendall(self._sock, f"{line}\r\n".encode())

    async def hear(self) -> str:
        """The next line without its end."""
        while b"\n" not in self._held:
            data = await asyncio.get_running_loop().sock_recv(self._sock, 1024)
            if not data:
                raise EOFError("the peer ended the connection before TLS")
            self._heard += len(data)
            if self._heard > MAX_BYTES:
                self._run.fail("too_large", f"more than {MAX_BYTES} bytes before TLS")
            self._held += data
        line, _, self._held = self._held.partition(b"\n")
        return line.rstrip(b"\r").decode("utf-8", "replace")

    @property
    def waiting(self) -> bool:
        """Whether something was said that nobody has asked for yet."""
        return bool(self._held)
