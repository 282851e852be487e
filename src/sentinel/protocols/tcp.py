"""TCP: does the port accept a connection, and does what answers there say the right thing?"""

from __future__ import annotations

import asyncio
from typing import Annotated

from pydantic import Field, StringConstraints, model_validator

from sentinel.domain.target import Target
from sentinel.sdk.net import TlsOptions, connect, discard, record_certificate
from sentinel.sdk.patterns import Pattern
from sentinel.sdk.protocol import Protocol, Run, Value

_SHOWN = 200  # characters of the answer that people are shown

HexBytes = Annotated[str, StringConstraints(pattern=r"^([0-9A-Fa-f]{2}[ :]?)+$", max_length=8192)]
"""Bytes as hexadecimal digits, two a byte, with a space or a colon between bytes where one likes."""


class TcpOptions(TlsOptions):
    """What to connect to, what to say there and what to hear."""

    port: int = Field(ge=1, le=65_535, description="Port to connect to.")
    banner: Pattern | None = Field(
        default=None,
        description="Pattern (RE2) that the greeting must hold, before anything is sent.",
    )
    send: str | None = Field(
        default=None,
        max_length=8192,
        description='Text to send, as UTF-8; line ends are written out: "PING\\r\\n".',
    )
    send_hex: HexBytes | None = Field(default=None, description='Bytes to send, in place of send: "00 01 ff".')
    expect: str | None = Field(
        default=None, min_length=1, max_length=8192, description="Text that the answer must hold."
    )
    expect_hex: HexBytes | None = Field(
        default=None, description="Bytes that the answer must hold, in place of expect."
    )
    expect_matches: Pattern | None = Field(
        default=None,
        description="Pattern (RE2) that the answer must hold, in place of expect.",
    )
    max_bytes: int = Field(
        default=4096,
        ge=1,
        le=65_536,
        description="Bytes of the greeting, and of the answer, that are read at most to find what is expected.",
    )

    @model_validator(mode="after")
    def _one_of_each(self) -> TcpOptions:
        if self.send is not None and self.send_hex is not None:
            raise ValueError("send and send_hex exclude each other")
        if sum(option is not None for option in (self.expect, self.expect_hex, self.expect_matches)) > 1:
            raise ValueError("expect, expect_hex and expect_matches exclude each other")
        return self

    @property
    def request(self) -> bytes:
        """What is sent; empty where nothing is."""
        return (self.send or "").encode() or _bytes(self.send_hex or "")

    @property
    def awaited(self) -> bytes | Pattern | None:
        """What the answer must hold; None where none is awaited."""
        return self.expect_matches or (self.expect or "").encode() or _bytes(self.expect_hex or "") or None


async def probe(target: Target, options: TcpOptions, run: Run) -> None:
    """Connect; then greeting, request and answer, as far as the options ask for them."""
    reader, writer = await connect(run, target.address, options.port, tls=options)
    try:
        if options.tls:
            record_certificate(run, writer.get_extra_info("ssl_object"))
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
            run.facts["answer"] = data[:_SHOWN].decode("utf-8", "replace")
        if awaited.found_in(data) if isinstance(awaited, Pattern) else awaited in data:
            return
        if not more and not data:
            run.fail("closed", "the peer said nothing")
        if not more or len(data) >= limit:
            run.fail("mismatch", f"the answer begins with {run.facts['answer']!r}")


def _bytes(digits: str) -> bytes:
    return bytes.fromhex(digits.replace(":", " "))


PROTOCOL = Protocol(
    "tcp",
    TcpOptions,
    probe,
    values=(
        Value("received_bytes", "B", "Bytes of greeting and answer that were read."),
        Value("certificate_days_left", "d", "Days until the peer's certificate ends; negative where it has."),
    ),
)
