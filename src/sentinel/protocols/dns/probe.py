"""DNS: does the name server answer, and is the answer the right one?"""

from __future__ import annotations

from collections.abc import Iterable

import dns.edns
import dns.exception
import dns.flags
import dns.message
import dns.rcode
import dns.rdata
from dns.rdtypes.ANY.SOA import SOA
from dns.rdtypes.ANY.TXT import TXT

from sentinel.domain.target import Target
from sentinel.protocols.dns.exchange import Answer, ask
from sentinel.protocols.dns.options import RCODES, DnsOptions
from sentinel.sdk.protocol import Protocol, Run, Value

_SHOWN = 500  # characters of a fact
_RECORDS_SHOWN = 20


async def probe(target: Target, options: DnsOptions, run: Run) -> None:
    """Ask once, put down what the answer says, then compare it with what is expected."""
    answer = await ask(target, options, run)
    message = answer.message
    _record(answer, run)
    with run.stage("expect"):
        _expect_rcode(message, options, run)
        if message.rcode() == dns.rcode.NOERROR:
            _expect_records(_records(message, run), options, run)
        if options.dnssec and not message.flags & dns.flags.AD:
            run.fail("mismatch", "the server does not say that it has authenticated the answer")


def _record(answer: Answer, run: Run) -> None:
    message = answer.message
    run.values.update(
        round_trip_seconds=answer.took,
        response_bytes=float(answer.size),
        rcode=float(message.rcode()),
        authenticated=float(bool(message.flags & dns.flags.AD)),
        authoritative=float(bool(message.flags & dns.flags.AA)),
    )
    run.facts["rcode"] = dns.rcode.to_text(message.rcode())
    run.facts["flags"] = dns.flags.to_text(message.flags)
    if explained := _explanation(message):
        run.facts["explanation"] = explained


def _explanation(message: dns.message.Message) -> str:
    """What the server says of its trouble (Extended DNS Errors, RFC 8914)."""
    said = [option for option in message.options if isinstance(option, dns.edns.EDEOption)]
    return "; ".join(f"{int(each.code)} {each.text or ''}".strip() for each in said)[:_SHOWN]


def _expect_rcode(message: dns.message.Message, options: DnsOptions, run: Run) -> None:
    """RFC 1035, 4.1.1, and RFC 6895, 2.3."""
    found = message.rcode()
    if RCODES.get(found) in options.rcode:
        return
    said = f"{dns.rcode.to_text(found)} {run.facts.get('explanation', '')}".rstrip()
    run.fail("name_not_found" if found == dns.rcode.NXDOMAIN else "bad_status", said)


def _records(message: dns.message.Message, run: Run) -> tuple[dns.rdata.Rdata, ...]:
    """The records of the type that was asked for, at the end of the aliases that lead to them (RFC 1034, 4.3.2)."""
    if not isinstance(message, dns.message.QueryMessage):
        run.fail("protocol_error", f"the answer is a message of another kind: {type(message).__name__}")
    if not message.question:
        run.fail("protocol_error", "the answer does not repeat the question")
    try:
        chain = message.resolve_chaining()
    except dns.exception.DNSException as error:
        run.fail("protocol_error", f"aliases: {str(error) or type(error).__name__}")
    records = () if chain.answer is None else tuple(chain.answer)
    run.values["answers"] = float(len(records))
    if chain.answer is not None:
        run.values["ttl_seconds"] = float(min(each.ttl for each in (*chain.cnames, chain.answer)))
        run.facts["answers"] = ", ".join(sorted(map(_text, records))[:_RECORDS_SHOWN])[:_SHOWN]
    if chain.cnames:
        run.facts["aliases"] = ", ".join(str(each[0].target) for each in chain.cnames)[:_SHOWN]
    serials = [each.serial for each in records if isinstance(each, SOA)]
    if serials:
        run.values["serial"] = float(serials[0])
    return records


def _expect_records(records: tuple[dns.rdata.Rdata, ...], options: DnsOptions, run: Run) -> None:
    if not records and not options.empty:
        run.fail("not_found", f"no record of type {options.type}")
    found = {_text(each) if options.type == "TXT" else each for each in records}
    wanted = set(options.expected)
    missing, more = wanted - found, found - wanted
    if wanted and len(missing) == len(wanted) and options.expect_mode == "any":
        run.fail("mismatch", f"none of those expected, but {_listed(found)}")
    if missing and options.expect_mode != "any":
        run.fail("mismatch", f"missing {_listed(missing)}, found {_listed(found)}")
    if more and options.expect_mode == "exact":
        run.fail("mismatch", f"not expected {_listed(more)}")
    if options.expect_matches and not any(options.expect_matches.found_in(_text(each)) for each in records):
        run.fail("mismatch", f"no record matches, found {_listed(found)}")


def _listed(records: Iterable[dns.rdata.Rdata | str]) -> str:
    return ", ".join(sorted(each if isinstance(each, str) else _text(each) for each in records)[:_RECORDS_SHOWN])


def _text(record: dns.rdata.Rdata) -> str:
    """As in a zone file; of a TXT its text, whose strings belong together (RFC 7208, 3.3)."""
    if isinstance(record, TXT):
        return b"".join(record.strings).decode("utf-8", "replace")
    return record.to_text()


PROTOCOL = Protocol(
    "dns",
    DnsOptions,
    probe,
    values=(
        Value("round_trip_seconds", "s", "From the question to its answer, without connecting."),
        Value("answers", "", "Records of the type that was asked for."),
        Value("ttl_seconds", "s", "How long the answer may be kept: the smallest of its records."),
        Value("response_bytes", "B", "Length of the answer."),
        Value("rcode", "", "Response code: 0 NOERROR, 2 SERVFAIL, 3 NXDOMAIN, 5 REFUSED."),
        Value("authenticated", "", "1 where the server says that it has authenticated the answer (AD)."),
        Value("authoritative", "", "1 where the answer is of the server's own zone (AA)."),
        Value("truncated", "", "1 where the answer over UDP was cut off (TC)."),
        Value("retransmissions", "", "Questions that were sent again over UDP."),
        Value("serial", "", "Serial number of the zone, where its SOA was asked for."),
        Value(
            "certificate_days_left", "d", "Days until the server's certificate ends, over TLS; negative where it has."
        ),
    ),
    transport="udp",
)
