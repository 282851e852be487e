"""BER for scripted SNMP agents: requests taken apart, answers put together, sound or not (X.690, RFC 3416)."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import cast

from sentinel.protocols.snmp import datagram

GET, NEXT, RESPONSE, BULK, REPORT = 0xA0, 0xA1, 0xA2, 0xA5, 0xA8
END_OF_VIEW, NO_SUCH_INSTANCE = b"\x82\x00", b"\x81\x00"


def tlv(tag: int, content: bytes) -> bytes:
    size = len(content)
    if size < 128:
        return bytes((tag, size)) + content
    length = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(length))) + length + content


def integer(value: int, tag: int = 0x02) -> bytes:
    return tlv(tag, value.to_bytes(value.bit_length() // 8 + 1, "big", signed=True))


def counter32(value: int) -> bytes:
    return integer(value, 0x41)


def counter64(value: int) -> bytes:
    return integer(value, 0x46)


def ticks(value: int) -> bytes:
    return integer(value, 0x43)


def octets(value: bytes) -> bytes:
    return tlv(0x04, value)


def oid(name: str) -> bytes:
    first, second, *rest = map(int, name.split("."))
    content = bytearray((40 * first + second,))
    for part in rest:
        septets = [part & 0x7F]
        while part := part >> 7:
            septets.append(0x80 | part & 0x7F)
        content += bytes(reversed(septets))
    return tlv(0x06, bytes(content))


def name_of(content: bytes) -> str:
    parts, number = [content[0] // 40, content[0] % 40], 0
    for byte in content[1:]:
        number = number << 7 | byte & 0x7F
        if not byte & 0x80:
            parts.append(number)
            number = 0
    return ".".join(map(str, parts))


def variables(rows: Iterable[tuple[str, bytes]]) -> bytes:
    return tlv(0x30, b"".join(tlv(0x30, oid(name) + value) for name, value in rows))


def pdu(tag: int, number: int, rows: Iterable[tuple[str, bytes]], status: int = 0, index: int = 0) -> bytes:
    return tlv(tag, integer(number) + integer(status) + integer(index) + variables(rows))


def v2c(body: bytes, community: bytes = b"public") -> bytes:
    return tlv(0x30, integer(1) + octets(community) + body)


@dataclass(frozen=True)
class Request:
    """A v2c request; ``repetitions`` is None but for a bulk request."""

    number: int
    names: list[str]
    repetitions: int | None

    def answer(self, rows: Iterable[tuple[str, bytes]], *, status: int = 0, number: int | None = None) -> bytes:
        return v2c(pdu(RESPONSE, self.number if number is None else number, rows, status))


def read(data: bytes) -> Request:
    at, end = datagram._inside(data, 0, len(data), 0x30)
    _, at = datagram._integer(data, at, end)
    _, at = datagram._inside(data, at, end, 0x04)
    tag, at, end = datagram._header(data, at, end)
    number, at = datagram._integer(data, at, end)
    _, at = datagram._integer(data, at, end)
    repetitions, at = datagram._integer(data, at, end)
    at, end = datagram._inside(data, at, end, 0x30)
    names = []
    while at < end:
        start, at = datagram._inside(data, at, end, 0x30)
        first, last = datagram._inside(data, start, at, 0x06)
        names.append(name_of(data[first:last]))
    return Request(number, names, repetitions if tag == BULK else None)


def view(values: Mapping[str, bytes]) -> Callable[[bytes], list[bytes]]:
    """An honest agent that has these values, read anew for each request."""

    def answer(data: bytes) -> list[bytes]:
        request = read(data)
        if request.repetitions is None:
            return [request.answer((name, values.get(name, NO_SUCH_INSTANCE)) for name in request.names)]
        order = sorted((tuple(map(int, name.split("."))), name) for name in values)
        after = [name for key, name in order if key > tuple(map(int, request.names[0].split(".")))]
        rows = [(name, values[name]) for name in after[: request.repetitions]]
        return [request.answer(rows or [(request.names[0], END_OF_VIEW)])]

    return answer


class Agent(asyncio.DatagramProtocol):
    """An agent on loopback whose every answer a function makes; ``requests`` counts what came."""

    def __init__(self, answer: Callable[[bytes], Iterable[bytes]]) -> None:
        self.answer, self.requests, self.port = answer, 0, 0
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(
            "asyncio.DatagramTransport", transport
        )  # the selector loop's own does not derive from it
        self.port = transport.get_extra_info("sockname")[1]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        self.requests += 1
        assert self._transport is not None
        for reply in self.answer(data):
            self._transport.sendto(reply, addr)


@contextlib.asynccontextmanager
async def agent(answer: Callable[[bytes], Iterable[bytes]]) -> AsyncIterator[Agent]:
    transport, protocol = await asyncio.get_running_loop().create_datagram_endpoint(
        lambda: Agent(answer), local_addr=("127.0.0.1", 0)
    )
    try:
        yield protocol
    finally:
        transport.close()
