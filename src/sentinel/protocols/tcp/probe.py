"""TCP: does the port accept a connection, and does what answers there say the right thing?"""

from __future__ import annotations

import asyncio

from sentinel.domain.target import Target
from sentinel.protocols.tcp.dialogue import SHOWN, speak
from sentinel.protocols.tcp.options import OWN_VALUES, TcpOptions, values_of
from sentinel.sdk.net import connect, discard, record_certificate
from sentinel.sdk.patterns import Pattern
from sentinel.sdk.protocol import Protocol, Run


async def probe(target: Target, options: TcpOptions, run: Run) -> None:
    """Connect; then greeting, request and answer, as far as the options ask for them, or a dialogue."""
    reader, writer = await connect(run, target.address, options.port, tls=options)
    try:
        if options.tls:
            record_certificate(run, writer.get_extra_info("ssl_object"))
        if options.dialogue:
            await speak(reader, writer, options, run)
            return
        if options.banner is not None:
            with run.stage("banner"):
                await _await(reader, options.banner, options.max_bytes, run)
        if options.request:
            with run.stage("send"):
                writer.write(options.request)
                await writer.drain()
        if options.awaited is not None:
            with run.stage("exchange"):
                await _await(reader, options.awaited, options.max_bytes, run)
    finally:
        discard(writer)


async def _await(reader: asyncio.StreamReader, awaited: bytes | Pattern, limit: int, run: Run) -> None:
    """Read until what is awaited has come; fail with ``closed`` or ``mismatch`` where it cannot come any more."""
    data = b""
    while True:
        more = await reader.read(limit - len(data))
        data += more
        run.values["received_bytes"] = run.values.get("received_bytes", 0.0) + len(more)
        if data:  # kept at each step: whoever looks into a timeout sees what had come
            run.facts["answer"] = data[:SHOWN].decode("utf-8", "replace")
        if awaited.found_in(data) if isinstance(awaited, Pattern) else awaited in data:
            return
        if not more and not data:
            run.fail("closed", "the peer said nothing")
        if not more or len(data) >= limit:
            run.fail("mismatch", f"the answer begins with {run.facts['answer']!r}")


PROTOCOL = Protocol("tcp", TcpOptions, probe, values=OWN_VALUES, values_of=values_of)
