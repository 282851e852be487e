"""A conference endpoint or server by SIP over UDP, TCP or TLS: answers OPTIONS, asks for a login where checks have one.

It takes no calls: whoever sends INVITE hears that this is not done here (405).
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Final

from sentinel.domain.target import Check
from sentinel.lab.datagrams import OverUdp
from sentinel.lab.faults import SLOW, TALK, Fault
from sentinel.lab.serving import OverTcp
from sentinel.lab.simulation import Ground, Place, Service, Simulation
from sentinel.wire.sip import Request, Response, StreamParser, new_tag, parse_datagram, reply_address, respond
from sentinel.wire.sip_headers import MalformedMessage
from sentinel.wire.sip_login import Realm
from sentinel.wire.sip_transaction import Answered

SIP_SILENT: Final = "sip-silent"
SIP_UNAVAILABLE: Final = "sip-unavailable"

IDLE_SECONDS: Final = 60.0
_CHUNK: Final = 16_384
_ALLOW: Final = "OPTIONS"
_REALM: Final = "Sentinel lab"


class SipEndpoint:
    """One endpoint; ``faults`` may change while it runs.  ``clock`` gives monotonic seconds."""

    def __init__(self, service: Service, clock: Callable[[], float]) -> None:
        self.faults: frozenset[str] = frozenset()
        self._late = service.slow_seconds
        self._clock = clock
        self._realm = Realm(_REALM)
        self._answered = Answered()
        self._users = {
            check.options.username: check.options.password.get_secret_value()
            for check in service.own
            if check.options.username is not None
        }
        self._status = _status(service)

    def answer(self, data: bytes, source: tuple[str, int]) -> tuple[bytes, tuple[str, int]] | None:
        """The answer to a datagram, and where it goes; one that comes again has the same answer."""
        try:
            message = parse_datagram(data)
            if not isinstance(message, Request) or SIP_SILENT in self.faults:
                return None
            place = reply_address(message, source)
            known = self._answered.recall(message, self._clock())
            if known is None:
                answer = self.respond(message, source)
                if answer is None:
                    return None
                known = answer.encode()
                self._answered.keep(message, known, self._clock())
        except MalformedMessage:
            return None
        return known, place

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until the client goes, is silent or speaks no SIP."""
        parser = StreamParser()
        source = writer.get_extra_info("peername")[:2]
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                data = await reader.read(_CHUNK)
            if not data:
                return
            parser.feed(data)
            try:
                while (message := parser.next()) is not None:
                    answer = self.respond(message, source) if isinstance(message, Request) else None
                    if answer is not None and SIP_SILENT not in self.faults:
                        await self._say(writer, answer)
            except MalformedMessage:
                return

    async def _say(self, writer: asyncio.StreamWriter, answer: Response) -> None:
        if SLOW in self.faults:
            await asyncio.sleep(self._late)
        writer.write(answer.encode())
        await writer.drain()

    def respond(self, request: Request, source: tuple[str, int]) -> Response | None:
        """The answer to a request; None for an ACK, which has none.

        Raises:
            MalformedMessage: headers that an answer has to repeat cannot be read.
        """
        said = [("server", "sentinel-lab")]
        if request.method == "ACK":
            return None
        if request.method != "OPTIONS":
            status, more = 405, [("allow", _ALLOW)]
        elif SIP_UNAVAILABLE in self.faults:
            status, more = 503, [("retry-after", "60")]
        elif self._users and (challenge := self._asks(request)):
            status, more = 401, [("www-authenticate", challenge)]
        else:
            status, more = self._status, [("allow", _ALLOW), ("accept", "application/sdp")]
        return respond(request, status, tag=new_tag(), source=source, headers=said + more)

    def _asks(self, request: Request) -> str:
        """The challenge that the request still has to answer; empty where it has."""
        now = self._clock()
        judgement, _ = self._realm.judge(request.header("authorization"), request.method, self._users.get, now)
        return "" if judgement == "good" else self._realm.challenge(now, stale=judgement == "stale")


def _status(service: Service) -> int:
    """A status that the checks are content with: 200 where that is one."""
    wanted = [check.options for check in service.own]
    statuses = (status for status in range(200, 700) if all(options.expects(status) for options in wanted))
    return next(statuses, 200)


def _place(check: Check) -> Place | None:
    port = check.options.port or check.options.usual_port
    return ("udp" if check.options.transport == "udp" else "tcp"), port


async def _server(service: Service, ground: Ground) -> OverUdp | OverTcp:
    endpoint = SipEndpoint(service, ground.clock)
    if service.transport == "udp":
        return OverUdp(service, endpoint)
    return OverTcp(service, endpoint, ground.authority)


def _abilities(service: Service) -> frozenset[str]:
    del service
    return frozenset({TALK, SIP_SILENT})


SIMULATION = Simulation(
    ("sip",),
    _server,
    place=_place,
    abilities=_abilities,
    faults=(
        Fault(
            SIP_SILENT,
            "SIP has hung: requests stay unanswered, while the machine answers pings.",
            "conference terminals and SIP servers",
            frozenset({SIP_SILENT}),
        ),
        Fault(
            SIP_UNAVAILABLE,
            "OPTIONS is answered with 503: alive, unless the check expects a better answer.",
            "conference terminals and SIP servers",
            frozenset({SIP_SILENT}),
        ),
    ),
)
