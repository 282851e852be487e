"""SIP: does the conference endpoint or server answer OPTIONS?

One OPTIONS (RFC 3261, section 11), sent again over UDP until an answer comes; whatever the final answer is, who gives
it is alive.  Where a login is given and asked for, the request is repeated with it.  OPTIONS is the only method that
this module can write: nothing rings, no session begins.
"""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass
from typing import Final, NoReturn

from sentinel.domain.target import Target
from sentinel.protocols.sip.channel import NO_HOST, Channel, reach
from sentinel.protocols.sip.options import SipOptions
from sentinel.sdk.protocol import Run
from sentinel.wire.digest import Login, MalformedChallenge
from sentinel.wire.sip import Dialog, Message, Request, Response, build, new_branch, new_call_id, new_tag
from sentinel.wire.sip_headers import Address, MalformedMessage, Uri, Via, bracketed
from sentinel.wire.sip_login import CHALLENGES, CREDENTIALS, challenge_of
from sentinel.wire.sip_transaction import ClientTransaction

_METHOD: Final = "OPTIONS"
_STRAYS: Final = 1_000  # messages that answer nothing, until the peer is one that floods us
_ROUNDS: Final = 3  # a proxy asks, the endpoint asks, one of them finds its nonce stale
_LAST_WORD: Final = 0.05  # share of the time left that is kept to say what came in place of an answer
_LAST_SECONDS: Final = 0.1  # but no more than this
_SHOWN: Final = 200  # characters of a header that people are shown


async def probe(target: Target, options: SipOptions, run: Run) -> None:
    """Ask, log in where that is wanted, and put down what the final answer says."""
    async with reach(target, options, run) as channel:
        question = Question(target, options, channel)
        with run.stage("options"):
            answer = await _ask(channel, question.request(()), run)
        _put_down(answer, channel, run)
        if options.username is not None and answer.status in CHALLENGES:
            with run.stage("login"):
                answer = await _log_in(answer, question, channel, options, run)
    if not options.expects(answer.status):
        run.fail("bad_status", _said(answer), stage="expect")


class Question:
    """Writes the OPTIONS of one run; each sending is a transaction of its own (8.1.3.5)."""

    def __init__(self, target: Target, options: SipOptions, channel: Channel) -> None:
        port = options.port or options.usual_port
        host = target.address.partition("%")[0]  # the interface of a link-local address is our business
        self._transport = options.transport
        self._local = channel.local
        here = Uri(channel.local[0], options.from_user)
        asked = Uri(
            options.domain or host,
            options.user or "",
            None if options.domain or port == options.usual_port else port,
            parameters={} if options.transport == "udp" else {"transport": options.transport},
        )
        self.uri = str(asked)
        sender = Address(str(here), parameters={"tag": new_tag()})
        self._dialog = Dialog(sender, Address(str(asked)), new_call_id())
        self._contact = Address(str(Uri(channel.local[0], options.from_user, channel.local[1])))
        self._number = 0

    def request(self, credentials: tuple[tuple[str, str], ...]) -> Request:
        """The next OPTIONS, with the headers that log in."""
        self._number += 1
        host, port = self._local
        via = Via(self._transport.upper(), host, port, {"rport": None, "branch": new_branch()})
        headers = (
            ("contact", str(self._contact)),
            ("accept", "application/sdp"),
            ("user-agent", "Sentinel"),
            *credentials,
        )
        return build(_METHOD, self.uri, self._dialog, via=via, number=self._number, headers=headers)

    def login(self, answer: Response, options: SipOptions, run: Run) -> tuple[Login, bool]:
        """The login that a 401 or 407 asks for, and whether it says that a former one was only too old."""
        try:
            challenge = challenge_of(answer)
        except MalformedChallenge as error:
            run.fail("protocol_error", f"{_said(answer)}: {error}")
        if challenge is None:
            run.fail("unsupported", f"{_said(answer)}, and no Digest with an algorithm that is known here")
        assert options.username is not None  # noqa: S101 - the caller's condition, for the type checker
        assert options.password is not None  # noqa: S101 - the model's
        return Login(challenge, options.username, options.password.get_secret_value()), challenge.stale


async def _log_in(answer: Response, question: Question, channel: Channel, options: SipOptions, run: Run) -> Response:
    logins: dict[int, Login] = {}
    rounds = 0
    while True:
        login, stale = question.login(answer, options, run)
        if rounds == _ROUNDS or (answer.status in logins and not stale):
            run.fail("unauthorized", _said(answer))
        rounds += 1
        logins[answer.status] = login
        credentials = tuple(
            (CREDENTIALS[status], each.authorization(_METHOD, question.uri)) for status, each in logins.items()
        )
        answer = await _ask(channel, question.request(credentials), run)
        _put_down(answer, channel, run)
        if answer.status not in CHALLENGES:
            if answer.status == 403 and not options.expect:  # how many servers refuse a wrong password
                run.fail("forbidden", _said(answer))
            return answer


async def _ask(channel: Channel, request: Request, run: Run) -> Response:
    """Send until a final answer comes; ends a little before the deadline, to say what came in its place."""
    data = request.encode()
    ends = run.deadline - min(_LAST_SECONDS, run.left * _LAST_WORD)
    transaction = ClientTransaction(request, channel.reliable, time.monotonic())
    strays = Strays()
    await channel.send(data)
    try:
        while True:
            now = time.monotonic()
            if now >= ends:
                _unanswered(transaction, strays, run)
            if transaction.repeats(now):
                await channel.send(data)
            try:
                message = await _next(channel, min(transaction.due, ends) - now)
            except MalformedMessage as error:
                if channel.reliable:  # nothing that follows can be told apart
                    run.fail(error.code, error.detail)
                strays.add(error.detail, run)
                continue
            answer = None if message is None else transaction.takes(message)
            if answer is not None and answer.final:
                run.values["round_trip_seconds"] = time.monotonic() - transaction.started
                return answer
            if message is not None and answer is None:
                strays.add(f"{type(message).__name__.lower()} of another transaction", run)
    finally:
        run.values["retransmissions"] = run.values.get("retransmissions", 0.0) + transaction.retransmissions


async def _next(channel: Channel, seconds: float) -> Message | None:
    try:
        async with asyncio.timeout(seconds) as pause:
            return await channel.receive()
    except TimeoutError:
        if pause.expired():
            return None
        raise  # the connection's own (ETIMEDOUT)


@dataclass(slots=True)
class Strays:
    """What came and is no answer: passed over, but counted, for a peer may send nothing else, or never end."""

    count: int = 0
    first: str = ""

    def add(self, what: str, run: Run) -> None:
        """One more.

        Raises:
            ProbeFailed: too many.
        """
        self.count += 1
        self.first = self.first or what
        if self.count > _STRAYS:
            run.fail("protocol_error", self.story)

    @property
    def story(self) -> str:
        """For people."""
        return f"{self.count} messages that are no answer, the first: {self.first}"


def _unanswered(transaction: ClientTransaction, strays: Strays, run: Run) -> NoReturn:
    if transaction.provisional is not None:
        run.fail("timed_out", f"no final answer after {_said(transaction.provisional)}")
    if strays.count:
        run.fail("protocol_error", strays.story)
    run.fail("timed_out", f"no answer to {transaction.retransmissions + 1} sendings")


def _put_down(answer: Response, channel: Channel, run: Run) -> None:
    run.values["status"] = answer.status
    facts = {
        "answer": _said(answer),
        "server": answer.header("server") or answer.header("user-agent") or "",
        "allow": ", ".join(answer.headers_of("allow")),
        "seen_as": _seen_as(answer, channel.local),
    }
    run.facts.update({name: text[:_SHOWN] for name, text in facts.items() if text})


def _said(answer: Response) -> str:
    return f"{answer.status} {answer.reason}".rstrip()


def _seen_as(answer: Response, local: tuple[str, int]) -> str:
    """Where the peer saw us (RFC 3581), where that is not where we are: an address is translated on the way."""
    if local[0] == NO_HOST:
        return ""
    via = answer.vias[0].parameters
    host, port = via.get("received") or local[0], via.get("rport") or str(local[1])
    return "" if (host, port) == (local[0], str(local[1])) else f"{bracketed(host)}:{port}"
