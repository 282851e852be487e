"""One RTSP session over one connection: requests, logins, interleaved frames, keep-alive, and a goodbye."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from pydantic import SecretStr

from sentinel.protocols.rtsp.messages import Frame, Parser, Response, RtspFailure, answer_bytes, request_bytes
from sentinel.sdk.net import discard
from sentinel.wire.digest import Login, MalformedChallenge, parse_challenges, strongest

CHUNK = 16_384
"""Bytes read at once, and half of what the reader holds before it stops the sender."""
MAX_STRAY_ANSWERS = 16
MAX_KEEP_ALIVES = 8
"""Keep-alives without an answer that are remembered."""
USUAL_TIMEOUT: Final = 60.0
"""Seconds after which a session ends that says no other (RFC 2326, 12.37)."""

_CODES = {401: "unauthorized", 403: "forbidden", 404: "not_found", 410: "not_found", 453: "busy", 461: "unsupported"}
_TIMEOUT = re.compile(r";\s*timeout\s*=\s*(\d{1,6})", re.IGNORECASE)
_NOT_KNOWN = frozenset({400, 405, 451, 501, 551})  # a server that has no GET_PARAMETER, in whatever words


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user's name and password."""

    username: str
    password: SecretStr


class Session:
    """Speaks RTSP 1.0 (RFC 2326) over a connection that is open already, from ``open`` to ``close``.

    A task of its own takes in what comes; ``on_frame`` gets channel and payload of every interleaved frame, whenever
    it comes: servers send media before they have answered PLAY.  What ends the connection is raised by whoever waits.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        credentials: Credentials | None,
        limit: int,
    ) -> None:
        self.on_frame: Callable[[int, bytes], None] = ignore
        self.server: str | None = None
        self.timeout = USUAL_TIMEOUT
        self.kept = ""
        self._reader, self._writer = reader, writer
        self._credentials = credentials
        self._parser = Parser(limit)
        self._login: Login | None = None
        self._proven = False
        self._sequence = 0
        self._stray = 0
        self._session: str | None = None
        self._session_uri: str | None = None
        self._answers: list[Response] = []
        self._keep_alives: dict[int, str] = {}
        self._may_get_parameter = True
        self._awaits = False
        self._paused = False
        self._flow = asyncio.Event()
        self._flow.set()
        self._ended: Exception | None = None
        self._ready: Callable[[], bool] = _never
        self._wake: asyncio.Future[None] | None = None
        self._task: asyncio.Task[None] | None = None

    def open(self) -> None:
        """Begin to take in what comes."""
        self._task = asyncio.get_running_loop().create_task(self._pump(), name="rtsp session")

    @property
    def host(self) -> tuple[str, str]:
        """Our own address and the server's, of this connection."""
        transport = self._writer.transport
        return transport.get_extra_info("sockname")[0], transport.get_extra_info("peername")[0]

    async def request(self, method: str, uri: str, **headers: str) -> Response:
        """Send a request, log in where that is asked for, and give the answer, whatever its status.

        Raises:
            RtspFailure: the answer is no RTSP, too large, or asks for a login that we do not know.
            OSError, EOFError: of the connection.
        """
        answer = await self._exchange(method, uri, headers)
        # Once with what is asked for, and again only for a nonce that ran out: a camera locks the account after a
        # few wrong passwords.
        for _ in range(2):
            if answer.status != 401 or not self._may_log_in(answer):
                break
            answer = await self._exchange(method, uri, headers)
        if self._login is not None and answer.status != 401:
            self._proven = True
        if answer.ok:
            self.server = answer.header("server") or self.server
            self._keep_session(answer, uri)
            methods = answer.header("public")
            if method == "OPTIONS" and methods is not None:
                self._may_get_parameter = "GET_PARAMETER" in methods.upper()
        return answer

    async def until(self, ready: Callable[[], bool]) -> None:
        """Return once ``ready()``, which is asked after everything that comes in (see ``stir``).

        Raises:
            RtspFailure: what came is no RTSP, or past a limit.
            OSError, EOFError: of the connection.
        """
        while not ready():
            if self._ended is not None:
                raise self._ended
            self._ready, self._wake = ready, asyncio.get_running_loop().create_future()
            try:
                await self._wake
            finally:
                self._ready, self._wake = _never, None

    def stir(self) -> None:
        """Something came, by this connection or beside it: whoever waits may have got what it waits for."""
        if self._wake is not None and not self._wake.done() and (self._ended is not None or self._ready()):
            self._wake.set_result(None)

    def pause(self) -> None:
        """Take in nothing more, from the answer on that is awaited: the server feels it, and nothing piles up here."""
        self._paused = True
        if not self._awaits:
            self._flow.clear()

    def resume(self) -> None:
        """Go on."""
        self._paused = False
        self._flow.set()

    def send_frame(self, channel: int, payload: bytes) -> None:
        """Send interleaved binary data (10.12)."""
        if not self._writer.is_closing():
            self._writer.write(b"$" + bytes((channel,)) + len(payload).to_bytes(2, "big") + payload)

    def plays(self, uri: str) -> None:
        """From now on the session is kept and ended by this (aggregate) address."""
        self._session_uri = uri

    def keep_alive(self) -> None:
        """Ask for no parameter at all (10.8), or for the options; the answer is not waited for.

        ``kept`` tells of the last answer: some servers never give one, and play on.
        """
        if self._session is None or self._session_uri is None or self._writer.is_closing():
            return
        method = "GET_PARAMETER" if self._may_get_parameter else "OPTIONS"
        self._send(method, self._session_uri, {})
        while len(self._keep_alives) >= MAX_KEEP_ALIVES:
            del self._keep_alives[next(iter(self._keep_alives))]
        self._keep_alives[self._sequence] = method
        self.kept = self.kept or f"{method}: no answer"

    async def hang_up(self, seconds: float) -> None:
        """End the session with TEARDOWN (10.7) and wait for the answer, no longer than that many seconds.

        Nothing is raised: what was to be measured has been measured.
        """
        if self._session is None or self._session_uri is None or seconds <= 0:
            return
        uri, self.on_frame = self._session_uri, ignore
        self.resume()
        try:
            async with asyncio.timeout(seconds):
                await self._exchange("TEARDOWN", uri, {})
        except (OSError, EOFError, RtspFailure):
            return
        finally:
            self._session = None

    async def close(self) -> None:
        """Close the connection at once; says TEARDOWN without waiting where the session is still there."""
        if self._session is not None and self._session_uri is not None and not self._writer.is_closing():
            self._send("TEARDOWN", self._session_uri, {})
            self._session = None
        discard(self._writer)
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    async def _pump(self) -> None:
        try:
            while True:
                while (item := self._parser.next()) is not None:
                    self._handle(item)
                    if not self._flow.is_set():
                        await self._flow.wait()
                data = await self._reader.read(CHUNK)
                if not data:
                    raise EOFError("the server ended the connection")
                self._parser.feed(data)
                await asyncio.sleep(
                    0
                )  # read() does not wait while there is more: a flood must not hold up other checks
        except Exception as error:  # noqa: BLE001 - a defect is raised as well, by whoever waits
            self._ended = error
            self.stir()

    def _handle(self, item: Response | Frame | object) -> None:
        if isinstance(item, Frame):
            self.on_frame(item.channel, item.payload)
        elif isinstance(item, Response):
            self._take(item)
        else:
            method, sequence = getattr(item, "method", ""), getattr(item, "sequence", None)
            status = (200, "OK") if method == "OPTIONS" else (501, "Not Implemented")
            self._writer.write(answer_bytes(*status, sequence))
        self.stir()

    async def _exchange(self, method: str, uri: str, headers: dict[str, str]) -> Response:
        self._answers.clear()
        self._awaits = True
        self._send(method, uri, headers)
        await self._writer.drain()
        await self.until(lambda: bool(self._answers))
        return self._answers[0]

    def _send(self, method: str, uri: str, headers: dict[str, str]) -> None:
        self._sequence += 1
        lines = [("CSeq", str(self._sequence)), ("User-Agent", "sentinel")]
        if self._login is not None:
            lines.append(("Authorization", self._login.authorization(method, uri)))
        if self._session is not None:
            lines.append(("Session", self._session))
        self._writer.write(request_bytes(method, uri, [*lines, *headers.items()]))

    def _take(self, answer: Response) -> None:
        sequence = answer.sequence
        if sequence in self._keep_alives:
            self._keep(answer, self._keep_alives.pop(sequence))
            return
        if sequence is not None and sequence != self._sequence:
            self._stray += 1
            if self._stray > MAX_STRAY_ANSWERS:
                raise RtspFailure("protocol_error", "answers to requests that were never made")
            return
        if answer.status >= 200:  # 100 Continue says that more is to come (7.1.1)
            self._answers.append(answer)
            self._awaits = False
            if self._paused:
                self._flow.clear()

    def _keep(self, answer: Response, method: str) -> None:
        self.kept = f"{method}: {answer.status} {answer.reason}"
        if answer.status == 401:
            if self._may_log_in(answer):  # the nonce ran out
                self.keep_alive()
        elif method == "GET_PARAMETER" and answer.status in _NOT_KNOWN:
            self._may_get_parameter = False
            self.keep_alive()
        elif answer.ok:
            self._proven = True

    def _may_log_in(self, answer: Response) -> bool:
        if self._credentials is None:
            return False
        try:
            challenges = parse_challenges(answer.headers_of("www-authenticate"))
        except MalformedChallenge as error:
            raise RtspFailure("protocol_error", f"WWW-Authenticate: {error}") from error
        challenge = strongest(challenges)
        if challenge is None:
            names = ", ".join(sorted({f"{one.scheme} {one.algorithm}"[:40] for one in challenges})) or "none"
            raise RtspFailure("unsupported", f"the login that the server asks for: {names}")
        if self._login is not None and not challenge.stale and not self._proven:
            return False  # it has seen the password, and does not take it
        self._login = Login(challenge, self._credentials.username, self._credentials.password.get_secret_value())
        self._proven = False
        return True

    def _keep_session(self, answer: Response, uri: str) -> None:
        header = answer.header("session") or ""
        value = header.partition(";")[0].strip()
        if value and value.isascii() and value.isprintable():
            self._session = value
            self._session_uri = self._session_uri or uri
            said = _TIMEOUT.search(header)  # only SETUP's answer says it, mostly
            if said is not None and int(said[1]) > 0:
                self.timeout = float(said[1])


def demand(answer: Response, *, asked: str, logged_in: bool) -> None:
    """Go on only with a 2xx answer.

    Raises:
        RtspFailure: with the code that the status means.
    """
    if answer.ok:
        return
    code = _CODES.get(answer.status, "bad_status")
    detail = f"{asked}: {answer.status} {answer.reason}".strip()
    if answer.status == 401 and not logged_in:
        detail += " (the check has no username)"
    raise RtspFailure(code, detail)


def ignore(_channel: int, _payload: bytes) -> None:
    """Frames that nobody asked for."""


def _never() -> bool:
    return False
