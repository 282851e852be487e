"""H.323: does the terminal take calls, does the gatekeeper answer?

``call_signalling`` connects to the port of H.225.0 call signalling and closes it again: a SETUP would ring a room in
session, so none can be written here.  ``gatekeeper`` asks by RAS who is a gatekeeper (ITU-T H.225.0, 7.8.1); whoever
confirms or rejects is alive.
"""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Final, Literal

from pydantic import Field, model_validator

from sentinel.domain.target import Target
from sentinel.sdk.datagrams import Peer, talk
from sentinel.sdk.net import dial, resolve
from sentinel.sdk.protocol import Options, Protocol, Run, Value
from sentinel.wire.h225 import (
    MAX_IDENTIFIER,
    Answer,
    GatekeeperConfirm,
    GatekeeperReject,
    GatekeeperRequest,
    RequestInProgress,
    UnknownMessage,
    parse_answer,
)
from sentinel.wire.h225_per import MalformedPer

_STRAYS: Final = 1_000  # datagrams that answer nothing, until the peer is one that floods us
_LAST_WORD: Final = 0.05  # share of the time left that is kept to say what came in place of an answer
_LAST_SECONDS: Final = 0.1  # but no more than this


class H323Options(Options):
    """Which of the two doors of H.323 is tried; the address is the target's."""

    mode: Literal["call_signalling", "gatekeeper"] = Field(
        default="gatekeeper",
        description="gatekeeper asks by RAS (UDP) and wants an answer; call_signalling only connects (TCP).",
    )
    port: int | None = Field(
        default=None, ge=1, le=65_535, description="Port; 1719, or 1720 for call signalling, where not given."
    )
    gatekeeper: str | None = Field(
        default=None,
        min_length=1,
        max_length=MAX_IDENTIFIER,
        pattern=r"^[\u0020-\ud7ff\ue000-\uffff]+$",
        description="Identifier of the gatekeeper that is asked for; another one rejects then. Without it any answers.",
    )
    resend_after: float = Field(
        default=1.0, ge=0.2, le=10.0, description="Seconds after which a request is sent again where no answer came."
    )

    @model_validator(mode="after")
    def _belongs_to_the_mode(self) -> H323Options:
        if self.gatekeeper is not None and self.mode != "gatekeeper":
            raise ValueError("gatekeeper belongs to mode: gatekeeper")
        return self

    @property
    def transport(self) -> Literal["udp", "tcp"]:
        """What the mode is carried by."""
        return "udp" if self.mode == "gatekeeper" else "tcp"

    @property
    def usual_port(self) -> int:
        """The port that the mode has by itself."""
        return 1719 if self.mode == "gatekeeper" else 1720


async def probe(target: Target, options: H323Options, run: Run) -> None:
    """Connect and go, or ask for the gatekeeper."""
    port = options.port or options.usual_port
    if options.mode == "call_signalling":
        (await dial(run, await resolve(run, target.address), port)).close()
        return
    with run.stage("exchange"):
        async with talk(run, target.address, port) as peer:
            # The number names the question: drawn by chance, so that an answer to a former run is not taken for ours.
            request = GatekeeperRequest(secrets.randbelow(65_535) + 1, peer.local, options.gatekeeper)
            _put_down(await _ask(peer, request, options, run), run)


async def _ask(peer: Peer, request: GatekeeperRequest, options: H323Options, run: Run) -> Answer:
    """Send until an answer comes; ends a little before the deadline, to say what came in its place."""
    data = request.encode()
    ends = run.deadline - min(_LAST_SECONDS, run.left * _LAST_WORD)
    started = time.monotonic()
    again = started + options.resend_after
    told, strays = "", 0
    run.values["retransmissions"] = 0.0
    peer.send(data)
    while True:
        now = time.monotonic()
        if now >= ends or strays > _STRAYS:
            run.fail("protocol_error" if strays else "timed_out", told or "no answer to the question")
        if now >= again:
            # The same number again: to the gatekeeper it is the same question (7.19).
            peer.send(data)
            run.values["retransmissions"] += 1
            again = now + options.resend_after
        answer = await _next(peer, min(again, ends) - now)
        if answer is None:
            continue
        if isinstance(answer, str) or answer.number != request.number:
            strays, told = strays + 1, answer if isinstance(answer, str) else "an answer to another question"
        elif isinstance(answer, RequestInProgress):
            again = time.monotonic() + max(answer.delay, options.resend_after)
            told = told or f"told to wait {answer.delay:g} s, then nothing"
        else:
            run.values["round_trip_seconds"] = time.monotonic() - started
            return answer


async def _next(peer: Peer, seconds: float) -> Answer | str | None:
    """The next answer, a text where it is none, None where the time is over."""
    try:
        async with asyncio.timeout(seconds) as pause:
            data = await peer.receive()
    except TimeoutError:
        if pause.expired():
            return None
        raise  # the network's own (ETIMEDOUT)
    try:
        return parse_answer(data)
    except MalformedPer as error:
        return f"no answer of RAS: {error}: {data[:20]!r}"


def _put_down(answer: Answer, run: Run) -> None:
    if isinstance(answer, UnknownMessage):
        run.fail("unsupported", "it speaks RAS, and is no gatekeeper")
    run.facts["answer"] = "confirmed" if isinstance(answer, GatekeeperConfirm) else "rejected"
    run.values["confirmed"] = float(isinstance(answer, GatekeeperConfirm))
    if isinstance(answer, GatekeeperConfirm | GatekeeperReject) and answer.gatekeeper:
        run.facts["gatekeeper"] = answer.gatekeeper
    if isinstance(answer, GatekeeperReject):
        run.facts["reason"] = answer.reason


PROTOCOL = Protocol(
    "h323",
    H323Options,
    probe,
    values=(
        Value("confirmed", "", "1 where the gatekeeper confirmed, 0 where it rejected; both are alive."),
        Value("round_trip_seconds", "s", "From the first sending of the question to its answer."),
        Value("retransmissions", "", "How often the question was sent again because no answer had come."),
    ),
    transport="udp",
)
