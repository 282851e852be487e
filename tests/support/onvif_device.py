"""A device that answers each operation as a test tells it to, and notes what it was asked."""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

from sentinel.lab.camera import scene
from sentinel.lab.camera.still import stills

HOST = "127.0.0.1"
MEDIA = "http://www.onvif.org/ver10/media/wsdl"
CLOCK = (
    "<SystemDateAndTime><UTCDateTime><Time><Hour>{0.hour}</Hour><Minute>{0.minute}</Minute><Second>{0.second}</Second>"
    "</Time><Date><Year>{0.year}</Year><Month>{0.month}</Month><Day>{0.day}</Day></Date></UTCDateTime>"
    "</SystemDateAndTime>"
)

Answerer = Callable[[bytes], bytes]


@dataclass(slots=True)
class Asked:
    """What came in, and how many connections it took."""

    port: int
    requests: list[bytes] = field(default_factory=list)
    connections: int = 0

    @property
    def operations(self) -> list[str]:
        """The names of the operations, and the paths of what was asked by GET."""
        return [operation_of(request) for request in self.requests]


def operation_of(request: bytes) -> str:
    """The operation of a request in SOAP, the path of another."""
    found = re.search(rb"<s:Body><(\w+)", request)
    return found[1].decode() if found else request.split(b" ", 2)[1].decode()


def http(status: str, body: bytes = b"", *headers: str) -> bytes:
    """An answer with its length."""
    lines = [f"HTTP/1.1 {status}", f"Content-Length: {len(body)}", *headers, "", ""]
    return "\r\n".join(lines).encode() + body


def soap(inside: str | bytes, status: str = "200 OK", *headers: str) -> bytes:
    """A message that holds this, as an answer."""
    inside = inside.encode() if isinstance(inside, str) else inside
    body = (
        b'<s:Envelope xmlns:s="http://www.w3.org/2003/05/soap-envelope"><s:Body>' + inside + b"</s:Body></s:Envelope>"
    )
    return http(status, body, "Content-Type: application/soap+xml", *headers)


def fault(code: str, reason: str = "no", status: str = "400 Bad Request", *headers: str) -> bytes:
    """A fault of the sender's with that subcode."""
    return soap(
        "<s:Fault><s:Code><s:Value>s:Sender</s:Value><s:Subcode><s:Value>ter:"
        + code
        + "</s:Value></s:Subcode></s:Code>"
        f"<s:Reason><s:Text>{reason}</s:Text></s:Reason></s:Fault>",
        status,
        *headers,
    )


def wall_clock() -> datetime:
    """Now, as a camera's own clock would have it that is right."""
    return datetime.now(UTC)  # noqa: TID251 - what is measured is one wall clock against another


def working(**changed: bytes | Answerer) -> dict[str, bytes | Answerer]:
    """The answers of a camera, plain and whole; ``port`` in a text is its own."""

    def own(request: bytes) -> bytes:
        return request.split(b"Host: ")[1].split(b"\r\n")[0]

    def services(request: bytes) -> bytes:
        text = f"<Service><Namespace>{MEDIA}</Namespace><XAddr>http://%s/m?a=1&b=2</XAddr></Service>".encode()
        return soap(b"<GetServicesResponse>" + text % own(request) + b"</GetServicesResponse>")

    def snapshot(request: bytes) -> bytes:
        return soap(uri("GetSnapshotUri", b"http://%s/snap.jpg?ch=1&x=2" % own(request)))

    profiles = '<GetProfilesResponse><Profiles token="p0"/><Profiles token="p1"><VideoSourceConfiguration token="v"/>'
    return {
        "GetSystemDateAndTime": lambda _: clock(),
        "GetDeviceInformation": soap(
            "<GetDeviceInformationResponse><Manufacturer>Maker</Manufacturer></GetDeviceInformationResponse>"
        ),
        "GetServices": services,
        "GetProfiles": soap(f"{profiles}</Profiles></GetProfilesResponse>"),
        "GetStreamUri": soap(uri("GetStreamUri", b"rtsp://127.0.0.1:1/live")),
        "GetSnapshotUri": snapshot,
        "/snap.jpg?ch=1&x=2": http("200 OK", stills(scene.LIVE)[3], "Content-Type: image/jpeg"),
        **changed,
    }


def clock(ahead: float = 0.0) -> bytes:
    """The clock of a device that is so many seconds ahead."""
    now = wall_clock() + timedelta(seconds=ahead)
    return soap(f"<GetSystemDateAndTimeResponse>{CLOCK.format(now)}</GetSystemDateAndTimeResponse>")


def uri(operation: str, address: bytes) -> bytes:
    """What the media service says of an address."""
    name = operation.encode()
    return b"<%sResponse><MediaUri><Uri>%s</Uri></MediaUri></%sResponse>" % (name, address, name)


@contextlib.asynccontextmanager
async def device(answers: Mapping[str, bytes | Answerer]) -> AsyncIterator[Asked]:
    """Answer operations and paths by name; what is not named gets 404.

    An answer that has no length is ended by closing the connection, and so is one that says ``Connection: close``.
    """
    served: dict[asyncio.Task[None], asyncio.StreamWriter] = {}

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        served[task] = writer
        asked.connections += 1
        try:
            while True:
                head = await reader.readuntil(b"\r\n\r\n")
                length = re.search(rb"(?i)content-length: (\d+)", head)
                request = head + await reader.readexactly(int(length[1]) if length else 0)
                asked.requests.append(request)
                found = answers.get(operation_of(request), http("404 Not Found"))
                answer = found(request) if callable(found) else found
                writer.write(answer)
                await writer.drain()
                top = answer.partition(b"\r\n\r\n")[0]
                if b"Connection: close" in top or not re.search(rb"Content-Length|chunked", top):
                    break
        except (OSError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async with await asyncio.start_server(serve, HOST, 0) as server:
        asked = Asked(server.sockets[0].getsockname()[1])
        try:
            yield asked
        finally:
            for writer in served.values():
                writer.transport.abort()
            await asyncio.gather(*served, return_exceptions=True)
