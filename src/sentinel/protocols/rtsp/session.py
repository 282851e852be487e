"""One RTSP session over one connection: requests, logins, interleaved frames, and a goodbye."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from pydantic import SecretStr

from sentinel.protocols.rtsp.messages import Frame, Parser, Response, RtspFailure, answer_bytes, request_bytes
from sentinel.sdk.net import discard
from sentinel.wire.digest import Login, MalformedChallenge, parse_challenges, strongest

CHUNK = 16_384
"""Bytes read at once, and half of what the reader holds before it stops the sender."""
MAX_STRAY_ANSWERS = 16

_CODES = {401: "unauthorized", 403: "forbidden", 404: "not_found", 410: "not_found", 453: "busy", 461: "unsupported"}


@dataclass(frozen=True, slots=True)
class Credentials:
    """A user's name and password."""

    username: str
    password: SecretStr


class Session:
    """Speaks RTSP 1.0 (RFC 2326) over a connection that is open already.

    ``on_frame`` gets channel and payload of every interleaved frame, whenever it comes: servers send media before
    they have answered PLAY.
    """

    def __init__(
        self,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        credentials: Credentials | None,
        limit: int,
    ) -> None:
        self.on_frame: Callable[[int, bytes], None] = _ignore
        self.server: str | None = None
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
        return answer

    async def pump(self) -> None:
        """Take the next message or frame, and receive where there is none yet.

        Raises:
            RtspFailure: see Parser.next.
            OSError, EOFError: of the connection.
        """
        while (item := self._parser.next()) is None:
            data = await self._reader.read(CHUNK)
            if not data:
                raise EOFError("the server ended the connection")
            self._parser.feed(data)
            await asyncio.sleep(0)  # read() does not wait while there is more: a flood must not hold up other checks
        if isinstance(item, Frame):
            self.on_frame(item.channel, item.payload)
        elif isinstance(item, Response):
            self._take(item)
        else:
            status = (200, "OK") if item.method == "OPTIONS" else (501, "Not Implemented")
            self._writer.write(answer_bytes(*status, item.sequence))

    def plays(self, uri: str) -> None:
        """From now on the session is ended by this (aggregate) address."""
        self._session_uri = uri

    async def hang_up(self, seconds: float) -> None:
        """End the session with TEARDOWN (10.7) and wait for the answer, no longer than that many seconds.

        Nothing is raised: what was to be measured has been measured.
        """
        if self._session is None or self._session_uri is None or seconds <= 0:
            return
        uri, self.on_frame = self._session_uri, _ignore
        try:
            async with asyncio.timeout(seconds):
                await self._exchange("TEARDOWN", uri, {})
        except (OSError, EOFError, RtspFailure):
            return
        finally:
            self._session = None

    def abandon(self) -> None:
        """Close the connection at once; says TEARDOWN without waiting where the session is still there."""
        if self._session is not None and self._session_uri is not None and not self._writer.is_closing():
            self._send("TEARDOWN", self._session_uri, {})
            self._session = None
        discard(self._writer)

    async def _exchange(self, method: str, uri: str, headers: dict[str, str]) -> Response:
        self._answers.clear()
        self._send(method, uri, headers)
        await self._writer.drain()
        while not self._answers:
            await self.pump()
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
        if sequence is not None and sequence != self._sequence:
            self._stray += 1
            if self._stray > MAX_STRAY_ANSWERS:
                raise RtspFailure("protocol_error", "answers to requests that were never made")
            return
        if answer.status >= 200:  # 100 Continue says that more is to come (7.1.1)
            self._answers.append(answer)

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
        value = (answer.header("session") or "").partition(";")[0].strip()  # ";timeout=60" follows (12.37)
        if value and value.isascii() and value.isprintable():
            self._session = value
            self._session_uri = self._session_uri or uri


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


def _ignore(_channel: int, _payload: bytes) -> None:
    """Frames that nobody asked for."""
