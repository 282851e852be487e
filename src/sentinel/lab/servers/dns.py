"""A name server for each port that a DNS check looks at: it has the records that the checks expect (RFC 1035)."""

from __future__ import annotations

import asyncio
import struct
from typing import Final

import dns.exception
import dns.flags
import dns.message
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.rrset

from sentinel.domain.target import Check
from sentinel.lab.datagrams import OverUdp
from sentinel.lab.examples import NoExample, text_for
from sentinel.lab.faults import SLOW, TALK, Fault
from sentinel.lab.serving import OverTcp
from sentinel.lab.simulation import Ground, Place, Service, Simulation

DNS_SERVFAIL: Final = "dns-servfail"
DNS_EMPTY: Final = "dns-empty"

IDLE_SECONDS: Final = 30.0
TTL: Final = 300

_EXAMPLES: Final = {
    "A": "192.0.2.1",
    "AAAA": "2001:db8::1",
    "CAA": '0 issue "ca.example"',
    "CNAME": "host.example.",
    "DNSKEY": "257 3 13 AAAA",
    "DS": "12345 13 2 " + "00" * 32,
    "HTTPS": "1 .",
    "MX": "10 mail.example.",
    "NAPTR": '10 10 "s" "SIP+D2U" "" _sip._udp.example.',
    "NS": "ns.example.",
    "PTR": "host.example.",
    "SOA": "ns.example. hostmaster.example. 2026010101 3600 600 86400 300",
    "SRV": "0 0 5060 sip.example.",
    "SSHFP": "4 2 " + "00" * 32,
    "SVCB": "1 .",
    "TLSA": "3 1 1 " + "00" * 32,
    "TXT": '"Sentinel lab"',
}

_Question = tuple[dns.name.Name, int]


class NameServer:
    """One server; what no check asks for does not exist there."""

    def __init__(self, service: Service, notes: list[str]) -> None:
        """Take the records from the checks; what cannot be made is told in ``notes``."""
        self.faults: frozenset[str] = frozenset()
        self._late = service.slow_seconds
        self._records: dict[_Question, tuple[dns.rdata.Rdata, ...]] = {}
        self._rcodes: dict[_Question, dns.rcode.Rcode] = {}
        for check in service.own:
            options = check.options
            key = options.question, int(dns.rdatatype.from_text(options.type))
            self._rcodes[key] = dns.rcode.from_text(options.rcode[0])
            try:
                found = _records(check)
            except NoExample as error:
                notes.append(f"{check.id}: {error}")
                continue
            self._records[key] = tuple(dict.fromkeys((*self._records.get(key, ()), *found)))

    def answer(self, data: bytes, source: tuple[str, int]) -> tuple[bytes, tuple[str, int]] | None:
        """The answer to a datagram, and where it goes."""
        said = self.respond(data, size=512)
        return None if said is None else (said, source)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the questions of one connection until the client goes or is silent (RFC 7766)."""
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                (size,) = struct.unpack("!H", await reader.readexactly(2))
                said = self.respond(await reader.readexactly(size), size=65_535)
            if said is None:
                return
            if SLOW in self.faults:
                await asyncio.sleep(self._late)
            writer.write(struct.pack("!H", len(said)) + said)
            await writer.drain()

    def respond(self, data: bytes, *, size: int) -> bytes | None:
        """The answer to a message, cut off where it is longer than ``size`` or what EDNS allows; None where it is none.

        The zone says that it is authenticated where DNSSEC is asked for: there is nobody in the lab to prove it to.
        """
        try:
            question = dns.message.from_wire(data)
            answer = dns.message.make_response(question, recursion_available=True)
        except (dns.exception.DNSException, ValueError):
            return None
        if len(question.question) != 1:
            answer.set_rcode(dns.rcode.FORMERR)
        elif DNS_SERVFAIL in self.faults:
            answer.set_rcode(dns.rcode.SERVFAIL)
        else:
            self._fill(answer, question)
        if question.edns >= 0:
            size = max(size, question.payload)
        return answer.to_wire(max_size=size, prefer_truncation=True)

    def _fill(self, answer: dns.message.Message, question: dns.message.Message) -> None:
        asked = question.question[0]
        key = asked.name, int(asked.rdtype)
        known = any(name == asked.name for name, _ in self._rcodes)
        answer.set_rcode(self._rcodes.get(key, dns.rcode.NOERROR if known else dns.rcode.NXDOMAIN))
        answer.flags |= dns.flags.AA
        if question.flags & dns.flags.AD or question.ednsflags & dns.flags.DO:
            answer.flags |= dns.flags.AD
        records = self._records.get(key, ())
        if records and DNS_EMPTY not in self.faults:
            answer.answer.append(dns.rrset.from_rdata_list(asked.name, TTL, records))


def _records(check: Check) -> tuple[dns.rdata.Rdata, ...]:
    """The records that the check is content with.

    Raises:
        NoExample: none can be made.
    """
    options = check.options
    if options.rcode[0] != "NOERROR":
        return ()
    kind = dns.rdatatype.from_text(options.type)
    texts = [_quoted(text) for text in options.expect] if options.type == "TXT" else list(options.expect)
    if options.expect_matches is not None:
        text = text_for(options.expect_matches)
        texts.append(_quoted(text) if options.type == "TXT" else text)
    try:
        return tuple(
            dns.rdata.from_text(dns.rdataclass.IN, kind, text, origin=dns.name.root, relativize=False)
            for text in texts or [_EXAMPLES[options.type]]
        )
    except (dns.exception.DNSException, ValueError) as error:
        raise NoExample(f"no record of type {options.type} can be made: {error}") from None


def _quoted(text: str) -> str:
    """A TXT's text in the strings of a zone file: 255 bytes each at most (RFC 1035, 3.3.14)."""
    data = text.encode()
    pieces = [data[at : at + 255] for at in range(0, len(data), 255)] or [b""]
    return " ".join('"' + "".join(f"\\{byte:03}" for byte in piece) + '"' for piece in pieces)


def _place(check: Check) -> Place:
    return ("udp" if check.options.transport == "udp" else "tcp"), int(check.options.port)


async def _server(service: Service, ground: Ground) -> OverUdp | OverTcp:
    server = NameServer(service, ground.notes)
    if service.transport == "udp":
        return OverUdp(service, server)
    return OverTcp(service, server, ground.authority)


def _abilities(service: Service) -> frozenset[str]:
    del service
    return frozenset({TALK, "names"})


SIMULATION = Simulation(
    ("dns",),
    _server,
    place=_place,
    abilities=_abilities,
    faults=(
        Fault(DNS_SERVFAIL, "Every question is answered with SERVFAIL.", "name servers", frozenset({"names"})),
        Fault(DNS_EMPTY, "Names exist, but have no records any more.", "name servers", frozenset({"names"})),
    ),
)
