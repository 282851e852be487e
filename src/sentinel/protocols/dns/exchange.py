"""Questions to a name server over UDP, TCP or TLS, and the answers that are really theirs (RFC 1035, 4; RFC 5452)."""

from __future__ import annotations

import asyncio
import struct
import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.rdatatype

from sentinel.domain.target import Target
from sentinel.protocols.dns.options import DnsOptions
from sentinel.sdk.datagrams import Peer, talk
from sentinel.sdk.net import connect, discard, record_certificate
from sentinel.sdk.protocol import Run

MAX_BYTES: Final = 16_384
"""Of an answer.  What is longer is told by its length alone."""

MAX_RECORDS: Final = 200
"""In an answer.  A record takes up to 0.25 ms of the loop where its name is made to: 64 KiB of them took a second."""

_STRAYS: Final = 1_000  # datagrams that answer nothing, until the peer is one that floods us
_MALFORMED: Final = 10  # of these each was taken apart
_LAST_WORD: Final = 0.05  # share of the time left that is kept to say what came in place of an answer
_LAST_SECONDS: Final = 0.1  # but no more than this
_COUNTS: Final = struct.Struct("!HHHHHH")
_LENGTH: Final = struct.Struct("!H")


_Asked = dict[int, tuple[dns.message.Message, float]]
"""Questions by their numbers, each with the time at which it was sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A message that answers the question; ``took`` is seconds since the sending that it answers."""

    message: dns.message.Message
    size: int
    took: float


class _NotOurs(Exception):
    """What came is no answer to the question; the text says why.  ``costly``: it had to be taken apart to see that."""

    def __init__(self, why: str, *, costly: bool = False) -> None:
        super().__init__(why)
        self.costly = costly


async def ask(target: Target, options: DnsOptions, run: Run) -> Answer:
    """The answer, over TCP where that over UDP was cut off and the options want it.

    Raises:
        ProbeFailed: of the stages ``resolve``, ``prepare``, ``connect``, ``tls`` and ``exchange``.
    """
    if options.transport != "udp":
        return await _connected(target, options, run)
    answer = await _datagrams(target, options, run)
    cut = bool(answer.message.flags & dns.flags.TC)
    run.values["truncated"] = float(cut)
    return await _connected(target, options, run) if cut and options.tcp_fallback else answer


async def _datagrams(target: Target, options: DnsOptions, run: Run) -> Answer:
    async with AsyncExitStack() as held:
        with run.stage("prepare"):
            peer = await held.enter_async_context(talk(run, target.address, options.port))
        with run.stage("exchange"):
            return await _persist(peer, options, run)


async def _persist(peer: Peer, options: DnsOptions, run: Run) -> Answer:
    """Send until an answer comes: each sending has a number of its own, so that the time of each is its own."""
    asked: _Asked = {}
    strays = Strays()
    ends = run.deadline - min(_LAST_SECONDS, run.left * _LAST_WORD)
    wait, due = options.resend_after, 0.0
    while (now := time.monotonic()) < ends:
        if now >= due:
            query = question(options)
            asked[query.id] = query, now
            peer.send(query.to_wire())
            run.values["retransmissions"] = float(len(asked) - 1)
            due, wait = now + wait, wait * 2
        try:
            async with asyncio.timeout(min(due, ends) - now):
                data = await peer.receive()
        except TimeoutError:
            continue
        try:
            return _answer(data, asked, run)
        except _NotOurs as error:
            strays.add(error, run)
    if strays.count:
        run.fail("protocol_error", strays.story)
    return run.fail("timed_out", f"no answer to {len(asked)} sendings")


async def _connected(target: Target, options: DnsOptions, run: Run) -> Answer:
    """Ask over a connection of its own, where each message follows its length (RFC 1035, 4.2.2; RFC 7858)."""
    reader, writer = await connect(run, target.address, options.port, tls=options, limit=MAX_BYTES)
    try:
        if options.wants_tls:
            record_certificate(run, writer.get_extra_info("ssl_object"))
        with run.stage("exchange"):
            query = question(options)
            wire = query.to_wire()
            asked: _Asked = {query.id: (query, time.monotonic())}
            writer.write(_LENGTH.pack(len(wire)) + wire)
            await writer.drain()
            (size,) = _LENGTH.unpack(await reader.readexactly(_LENGTH.size))
            if size > MAX_BYTES:
                run.values["response_bytes"] = float(size)
                run.fail("too_large", f"an answer of {size} bytes")
            data = await reader.readexactly(size)
            try:
                return _answer(data, asked, run)
            except _NotOurs as error:  # nobody else has asked over this connection
                run.fail("protocol_error", str(error))
    finally:
        discard(writer)


def question(options: DnsOptions) -> dns.message.QueryMessage:
    """The question, with a new number; AD asks for the flag without DO as well (RFC 6840, 5.7)."""
    query = dns.message.make_query(
        options.question,
        dns.rdatatype.from_text(options.type),
        use_edns=0 if options.edns_bytes else False,
        want_dnssec=options.dnssec,
        payload=options.edns_bytes or None,
    )
    flags = (dns.flags.RD if options.recursion else 0) | (dns.flags.AD if options.dnssec else 0)
    query.flags = dns.flags.Flag(flags)
    return query


def _answer(data: bytes, asked: _Asked, run: Run) -> Answer:
    """The answer in a message: to one of our questions, by its number and by the question that it repeats.

    Raises:
        _NotOurs: it is none.
        ProbeFailed: ``too_large``.
    """
    arrived = time.monotonic()
    if len(data) < _COUNTS.size:
        raise _NotOurs(f"{len(data)} bytes")
    number, flags, *counts = _COUNTS.unpack_from(data)
    if number not in asked or not flags & dns.flags.QR:
        raise _NotOurs("another number than the question's" if flags & dns.flags.QR else "a question")
    if len(data) > MAX_BYTES or sum(counts) > MAX_RECORDS:
        run.values["response_bytes"] = float(len(data))
        run.fail("too_large", f"an answer of {len(data)} bytes that says it has {sum(counts)} records")
    query, sent = asked[number]
    try:
        message = dns.message.from_wire(data, ignore_trailing=True, raise_on_truncation=False)
    except (dns.exception.DNSException, ValueError) as error:
        raise _NotOurs(f"malformed: {str(error) or type(error).__name__}", costly=True) from None
    if not query.is_response(message):
        raise _NotOurs("another question than ours", costly=True)
    return Answer(message, len(data), arrived - sent)


@dataclass(slots=True)
class Strays:
    """What came and is no answer: passed over, but counted, for a peer may send nothing else, or never end."""

    count: int = 0
    costly: int = 0
    first: str = ""

    def add(self, error: _NotOurs, run: Run) -> None:
        """One more.

        Raises:
            ProbeFailed: too many.
        """
        self.count += 1
        self.costly += error.costly
        self.first = self.first or str(error)
        if self.count > _STRAYS or self.costly > _MALFORMED:
            run.fail("protocol_error", self.story)

    @property
    def story(self) -> str:
        """For people."""
        return f"{self.count} messages that are no answer, the first: {self.first}"
