"""A camera that is told how to be sloppy: each answer and each packet of its own choosing."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sentinel.wire.rtp import Packet
from tests.unit.wire.streams import encoded, h264_payloads, nals, packets, raw

SDP = """v=0
o=- 0 0 IN IP4 192.0.2.1
s=camera
t=0 0
a=control:{control}
m=audio 0 RTP/AVP 8
a=control:audio
m=video 0 RTP/AVP 96
a=rtpmap:96 H264/90000
a=control:{track}
"""


def pieces(low: int, high: int) -> int:
    """Every NAL unit in fragments."""
    return 1 if (low, high) == (0, 2) else high


def stream(codec: str = "libx264", *, markers: bool = True) -> list[Packet]:
    """Six pictures; the first and the fifth are key frames."""
    payloads = [h264_payloads(nals(unit), pieces) for unit in encoded(codec)]
    return packets(payloads, markers=markers)


def frame(payload: bytes, channel: int = 0) -> bytes:
    """Interleaved binary data."""
    return b"$" + bytes([channel]) + len(payload).to_bytes(2, "big") + payload


def media(sent: Sequence[Packet], channel: int = 0) -> bytes:
    """Packets as interleaved frames."""
    return b"".join(frame(raw(packet), channel) for packet in sent)


@dataclass(slots=True)
class Request:
    """What a client asked."""

    method: str
    uri: str
    headers: dict[str, str]

    @property
    def sequence(self) -> str:
        """CSeq."""
        return self.headers["cseq"]


Answer = Callable[["Camera", Request], bytes]


@dataclass(slots=True)
class Camera:
    """Answers each method by ``answers``, or as RFC 2326 would have it."""

    description: str = SDP.format(control="*", track="trackID=1")
    describe_headers: str = ""
    transport: str | None = "RTP/AVP/TCP;unicast;interleaved=0-1"
    session: str | None = "1234;timeout=60"
    before_play: bytes = b""
    after_play: bytes = b""
    forever: bytes = b""
    closes: bool = False
    answers: dict[str, Answer] = field(default_factory=dict)
    requests: list[Request] = field(default_factory=list)
    received: bytearray = field(default_factory=bytearray)
    port: int = 0
    open: int = 0

    @property
    def methods(self) -> list[str]:
        """What was asked, in order."""
        return [request.method for request in self.requests]

    def ok(self, request: Request, *lines: str, body: str = "") -> bytes:
        """A 200 with these header lines."""
        head = ["RTSP/1.0 200 OK", f"CSeq: {request.sequence}", *[line for line in lines if line]]
        if body:
            head += ["Content-Type: application/sdp", f"Content-Length: {len(body.encode())}"]
        return ("\r\n".join([*head, "", ""]) + body).encode()

    def status(self, request: Request, status: str, *lines: str) -> bytes:
        """Another status."""
        return "\r\n".join([f"RTSP/1.0 {status}", f"CSeq: {request.sequence}", *lines, "", ""]).encode()

    def answer(self, request: Request) -> bytes:
        """What is said to a request."""
        if request.method in self.answers:
            return self.answers[request.method](self, request)
        session = f"Session: {self.session}" if self.session else ""
        if request.method == "DESCRIBE":
            return self.ok(request, self.describe_headers, body=self.description)
        if request.method == "SETUP":
            return self.ok(request, session, f"Transport: {self.transport}" if self.transport else "")
        if request.method == "PLAY":
            return self.before_play + self.ok(request, session) + self.after_play
        return self.ok(request, session if request.method != "OPTIONS" else "Public: DESCRIBE")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.open += 1
        try:
            while True:
                head = (await reader.readuntil(b"\r\n\r\n")).decode()
                self.received += head.encode()
                line, *lines = head.strip().split("\r\n")
                if line.startswith("RTSP/"):
                    continue  # the answer to a request of ours
                method, uri, _ = line.split(" ")
                headers = dict(one.split(": ", 1) for one in lines)
                request = Request(method, uri, {name.lower(): value for name, value in headers.items()})
                self.requests.append(request)
                writer.write(self.answer(request))
                await writer.drain()
                if self.closes and method == "PLAY":
                    return
                while self.forever and method == "PLAY":
                    writer.write(self.forever)
                    await writer.drain()
        except (OSError, asyncio.IncompleteReadError):
            pass  # the client has left
        finally:
            self.open -= 1
            writer.transport.abort() if not self.closes else writer.close()

    async def gone(self) -> None:
        """Return once every client has hung up."""
        while self.open:
            await asyncio.sleep(0.005)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator["Camera"]:
        """Listen on loopback while the block runs."""
        async with await asyncio.start_server(self._serve, "127.0.0.1", 0) as server:
            self.port = server.sockets[0].getsockname()[1]
            yield self
            async with asyncio.timeout(5):
                await self.gone()
