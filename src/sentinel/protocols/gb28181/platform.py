"""Asking a platform from below: OPTIONS, and REGISTER as one of its devices would (GB/T 28181-2016, 9.1.2)."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Final

from sentinel.domain.target import Target
from sentinel.protocols.gb28181.asking import AGENT, code_of
from sentinel.protocols.gb28181.options import Gb28181Options
from sentinel.sdk.datagrams import Peer, talk
from sentinel.sdk.net import connect, discard
from sentinel.sdk.protocol import Run
from sentinel.wire.digest import Challenge, Login, MalformedChallenge
from sentinel.wire.sip import (
    Dialog,
    Message,
    Request,
    Response,
    StreamParser,
    build,
    new_branch,
    new_call_id,
    new_tag,
    parse_datagram,
)
from sentinel.wire.sip_headers import MalformedMessage, Via, bracketed
from sentinel.wire.sip_login import CHALLENGES, CREDENTIALS, challenge_of
from sentinel.wire.sip_transaction import ClientTransaction

EXPIRY: Final = 60
"""Seconds that a registration of ours would last, were we to die before we end it."""
MAX_STRAYS: Final = 200
CHUNK: Final = 16_384


class _Datagrams:
    transport, reliable = "UDP", False

    def __init__(self, peer: Peer) -> None:
        self.local, self.send, self._peer = peer.local, peer.send, peer

    async def receive(self) -> Message:
        return parse_datagram(await self._peer.receive())


class _Connection:
    transport, reliable = "TCP", True

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.local: tuple[str, int] = writer.get_extra_info("sockname")[:2]
        self.send, self._reader, self._parser = writer.write, reader, StreamParser()

    async def receive(self) -> Message:
        while (message := self._parser.next()) is None:
            data = await self._reader.read(CHUNK)
            if not data:
                raise EOFError("the platform ended the connection before it answered")
            self._parser.feed(data)
        return message


class Conversation:
    """Speaks to one platform over a socket of its own; ``way`` receives and sends."""

    def __init__(self, target: Target, options: Gb28181Options, way: _Datagrams | _Connection, run: Run) -> None:
        self._way, self._run, self._options = way, run, options
        self._number = 0
        host, port = way.local
        domain = options.domain
        ours = f"<sip:{options.server_id}@{domain}>"
        self._peer = f"{bracketed(target.address.partition('%')[0])}:{options.port}"
        whose = f"<sip:{options.device}@{self._peer}>" if options.device else f"<sip:{self._peer}>"
        tag = f";tag={new_tag()}"
        self._options_dialog = Dialog(ours + tag, whose, new_call_id())
        self._register_dialog = Dialog(ours + tag, ours, new_call_id())
        self._contact = f"<sip:{options.server_id}@{bracketed(host)}:{port}>"

    async def options(self) -> Response:
        """The final answer to OPTIONS."""
        user = f"{self._options.device}@" if self._options.device else ""
        return await self._ask(self._request("OPTIONS", f"sip:{user}{self._peer}", self._options_dialog))

    async def register(self, expires: int, login: Login | None = None, status: int = 401) -> Response:
        """The final answer to REGISTER."""
        return await self._ask(self.registration(expires, login, status))

    def registration(self, expires: int, login: Login | None, status: int = 401) -> Request:
        """A REGISTER of our number, ended where ``expires`` is 0."""
        uri = f"sip:{self._options.device}@{self._options.domain}" if self._options.device else f"sip:{self._peer}"
        headers = [("contact", self._contact), ("expires", str(expires))]
        if login is not None:
            headers.append((CREDENTIALS[status], login.authorization("REGISTER", uri)))
        return self._request("REGISTER", uri, self._register_dialog, *headers)

    def send(self, request: Request) -> None:
        """Send, and wait for nothing."""
        self._way.send(request.encode())

    def _request(self, method: str, uri: str, dialog: Dialog, *headers: tuple[str, str]) -> Request:
        self._number += 1
        host, port = self._way.local
        via = Via(self._way.transport, host, port, {"rport": None, "branch": new_branch()})
        return build(method, uri, dialog, via=via, number=self._number, headers=[AGENT, *headers])

    async def _ask(self, request: Request) -> Response:
        data = request.encode()
        transaction = ClientTransaction(request, self._way.reliable, time.monotonic())
        self._way.send(data)
        strays = 0
        while True:
            message: Message | None = None
            try:
                async with asyncio.timeout(max(0.0, transaction.due - time.monotonic())):
                    message = await self._way.receive()
            except MalformedMessage as error:
                strays += 1
                if self._way.reliable or strays > MAX_STRAYS:
                    self._run.fail(error.code, error.detail)
            except TimeoutError:
                if transaction.repeats(time.monotonic()):
                    self._way.send(data)
            if message is None:
                continue
            answer = transaction.takes(message)
            if answer is not None and answer.final:
                return answer
            strays += answer is None
            if strays > MAX_STRAYS:
                self._run.fail("protocol_error", "answers to questions that were never asked")


async def ask_options(target: Target, options: Gb28181Options, run: Run) -> None:
    """Any final answer means that the platform is alive."""
    async with _conversation(target, options, run) as talking:
        with run.stage("options"):
            _put_down(await talking.options(), run)


async def ask_register(target: Target, options: Gb28181Options, run: Run) -> None:
    """Without a password a challenge is what is wanted; with one a registration, which is ended again."""
    async with _conversation(target, options, run) as talking:
        with run.stage("register"):
            answer = await talking.register(EXPIRY)
            _put_down(answer, run)
            challenge = _challenge(answer, run)
            if challenge is not None and options.password is None:
                return
        login = None
        if challenge is not None and options.password is not None:
            login = Login(challenge, options.server_id, options.password.get_secret_value())
        try:
            if login is not None:
                with run.stage("login"):
                    answer = await talking.register(EXPIRY, login, answer.status)
                    _put_down(answer, run)
                    if answer.status in CHALLENGES:
                        run.fail("unauthorized", _said(answer))
            if answer.status >= 300:
                run.fail(code_of(answer.status), _said(answer), stage="register")
        finally:
            # Also where we are cancelled: it may have been accepted.
            with contextlib.suppress(OSError):
                talking.send(talking.registration(0, login, _asked_with(challenge, answer)))


def _asked_with(challenge: Challenge | None, answer: Response) -> int:
    return answer.status if challenge is not None and answer.status in CHALLENGES else 401


def _challenge(answer: Response, run: Run) -> Challenge | None:
    """The Digest challenge of a 401 or 407; None for another answer."""
    if answer.status not in CHALLENGES:
        return None
    try:
        challenge = challenge_of(answer)
    except MalformedChallenge as error:
        run.fail("protocol_error", f"{_said(answer)}: {error}")
    if challenge is None:
        run.fail("unsupported", f"{_said(answer)}, and no Digest with an algorithm that is known here")
    run.facts["realm"] = challenge.realm[:200]
    run.facts["digest"] = challenge.algorithm[:40]
    return challenge


def _put_down(answer: Response, run: Run) -> None:
    run.values["status"] = answer.status
    facts = {"answer": _said(answer), "server": answer.header("server") or answer.header("user-agent") or ""}
    run.facts.update({name: text[:200] for name, text in facts.items() if text})


def _said(answer: Response) -> str:
    return f"{answer.status} {answer.reason}".rstrip()


@contextlib.asynccontextmanager
async def _conversation(target: Target, options: Gb28181Options, run: Run) -> AsyncIterator[Conversation]:
    if options.transport == "udp":
        async with AsyncExitStack() as held:
            with run.stage("prepare"):
                peer = await held.enter_async_context(talk(run, target.address, options.port))
            yield Conversation(target, options, _Datagrams(peer), run)
        return
    reader, writer = await connect(run, target.address, options.port, limit=CHUNK)
    try:
        yield Conversation(target, options, _Connection(reader, writer), run)
    finally:
        discard(writer)
