"""ONVIF beside the cameras' RTSP: clock, information, services, profiles, addresses, and a picture as JPEG."""

from __future__ import annotations

import asyncio
import base64
import binascii
import hmac
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import formatdate
from http import HTTPStatus
from typing import Final
from xml.sax.saxutils import escape

from sentinel.lab.addresses import RAISED
from sentinel.lab.camera import scene
from sentinel.lab.camera.requests import Door, Request
from sentinel.lab.camera.server import BLACK, FROZEN, NO_SIGNAL, SNOW
from sentinel.lab.camera.still import moment, stills
from sentinel.lab.faults import SLOW, TALK, Fault
from sentinel.lab.serving import OverTcp
from sentinel.lab.simulation import Ground, Service, Simulation
from sentinel.wire.soap import MEDIA_TYPE, Element, MalformedMessage, compose, envelope
from sentinel.wire.ws_security import password_digest

CLOCK_DRIFT: Final = "clock-drift"
UNAUTHORIZED: Final = "onvif-unauthorized"

DRIFT: Final = timedelta(minutes=10)
"""By which the clock is ahead where it drifts."""
FRESH: Final = timedelta(minutes=5)
"""By which a login may be older or newer than the device's clock."""
IDLE_SECONDS: Final = 30.0
MAX_BODY: Final = 65_536

MEDIA_PATH: Final = "/onvif/media_service"
SNAPSHOT_PATH: Final = "/onvif/snapshot"

_ONVIF: Final = "http://www.onvif.org/ver10"
_OPEN: Final = frozenset({"GetSystemDateAndTime", "GetServices", "GetCapabilities"})  # their access class is PRE_AUTH
_SCENES: Final = {BLACK: scene.BLACK, NO_SIGNAL: scene.NO_SIGNAL, SNOW: scene.SNOW, FROZEN: scene.FROZEN}


@dataclass(frozen=True, slots=True)
class _Answer:
    status: HTTPStatus
    body: bytes
    kind: str = f"{MEDIA_TYPE}; charset=utf-8"
    headers: Mapping[str, str] | None = None


class Device:
    """One camera's web server; ``faults`` may change while it runs."""

    def __init__(self, service: Service, stream_port: int = 554 + RAISED) -> None:
        """Make the device; its stream is the lab's camera's, at that port."""
        self.faults: frozenset[str] = frozenset()
        self._service, self._stream_port = service, stream_port
        self._users = {
            check.options.username: check.options.password.get_secret_value()
            for check in service.own
            if check.options.username is not None and check.options.password is not None
        }
        self._door = Door(dict(self._users), algorithm="SHA-256")

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer the requests of one connection until it is idle or the client has had enough."""
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                request, body = await _read(reader)
            if SLOW in self.faults:
                await asyncio.sleep(self._service.slow_seconds)
            if request.method == "POST":
                answer = self._serviced(body)
            elif request.path == SNAPSHOT_PATH:
                answer = await self._snapshot(request)
            else:
                answer = _Answer(HTTPStatus.NOT_FOUND, b"", "text/plain")
            writer.write(_bytes(answer))
            await writer.drain()

    @property
    def now(self) -> datetime:
        """What its clock says."""
        return datetime.fromtimestamp(time.time(), UTC) + (  # noqa: TID251 - a camera's clock is on the wall
            DRIFT if CLOCK_DRIFT in self.faults else timedelta()
        )

    def _serviced(self, body: bytes) -> _Answer:
        """An operation of the device's or the media service."""
        try:
            message = envelope(body)
        except MalformedMessage:
            return _fault("Sender", "WellFormed", "not well formed")
        asked = message.find("Body")
        if asked is None or not asked.children:
            return _fault("Sender", "WellFormed", "no operation")
        operation = asked.children[0]
        if operation.name not in _OPEN and not self._admits(message):
            return _fault("Sender", "NotAuthorized", "Sender not authorized")
        contents: dict[str, Callable[[], str]] = {
            "GetSystemDateAndTime": self._clock,
            "GetDeviceInformation": self._information,
            "GetServices": self._services,
            "GetProfiles": self._profiles,
            "GetStreamUri": lambda: _uri(f"rtsp://{self._service.address}:{self._stream_port}/"),
            "GetSnapshotUri": lambda: _uri(self._address(SNAPSHOT_PATH)),
        }
        if operation.name not in contents:
            return _fault("Receiver", "ActionNotSupported", "not implemented")
        if operation.name in ("GetStreamUri", "GetSnapshotUri") and operation.text_of("ProfileToken") != "main":
            return _fault("Sender", "InvalidArgVal", "no such profile", "NoProfile")
        space = "t" if operation.name in (*_OPEN, "GetDeviceInformation") else "m"
        name = f"{space}:{operation.name}Response"
        spaces = f'xmlns:t="{_ONVIF}/device/wsdl" xmlns:m="{_ONVIF}/media/wsdl" xmlns:tt="{_ONVIF}/schema"'
        return _Answer(HTTPStatus.OK, compose(f"<{name} {spaces}>{contents[operation.name]()}</{name}>"))

    def _admits(self, message: Element) -> bool:
        """Whether the message bears a login that is good (OASIS, Username Token Profile 1.1, 3.1)."""
        if UNAUTHORIZED in self.faults:
            return False
        if not self._users:
            return True
        token = message.find("Header", "Security", "UsernameToken") or Element("")
        password = self._users.get(token.text_of("Username"))
        if password is None:
            return False
        created = token.text_of("Created")
        try:
            nonce = base64.b64decode(token.text_of("Nonce"), validate=True)
            age = self.now - datetime.fromisoformat(created)
        except (binascii.Error, ValueError, TypeError):
            return False
        mine = password_digest(nonce, created, password)
        return abs(age) <= FRESH and hmac.compare_digest(mine.encode(), token.text_of("Password").encode())

    def _clock(self) -> str:
        now = self.now
        return (
            "<t:SystemDateAndTime><tt:DateTimeType>NTP</tt:DateTimeType><tt:DaylightSavings>false</tt:DaylightSavings>"
            f"<tt:TimeZone><tt:TZ>CST-8</tt:TZ></tt:TimeZone><tt:UTCDateTime><tt:Time><tt:Hour>{now.hour}</tt:Hour>"
            f"<tt:Minute>{now.minute}</tt:Minute><tt:Second>{now.second}</tt:Second></tt:Time><tt:Date>"
            f"<tt:Year>{now.year}</tt:Year><tt:Month>{now.month}</tt:Month><tt:Day>{now.day}</tt:Day></tt:Date>"
            "</tt:UTCDateTime></t:SystemDateAndTime>"
        )

    def _information(self) -> str:
        told = {
            "Manufacturer": "Sentinel",
            "Model": "实验室摄像机",
            "FirmwareVersion": "1.0",
            "SerialNumber": self._service.target.id,
            "HardwareId": "lab",
        }
        return "".join(f"<t:{name}>{escape(text)}</t:{name}>" for name, text in told.items())

    def _services(self) -> str:
        paths = {"device": min(check.options.path for check in self._service.own), "media": MEDIA_PATH}
        return "".join(
            f"<t:Service><t:Namespace>{_ONVIF}/{name}/wsdl</t:Namespace><t:XAddr>{escape(self._address(path))}</t:XAddr>"
            "<t:Version><tt:Major>2</tt:Major><tt:Minor>60</tt:Minor></t:Version></t:Service>"
            for name, path in paths.items()
        )

    def _profiles(self) -> str:
        return (
            '<m:Profiles token="main" fixed="true"><tt:Name>主码流</tt:Name>'
            '<tt:VideoSourceConfiguration token="source"><tt:Name>source</tt:Name><tt:UseCount>1</tt:UseCount>'
            "<tt:SourceToken>source</tt:SourceToken>"
            f'<tt:Bounds x="0" y="0" width="{scene.WIDTH}" height="{scene.HEIGHT}"/></tt:VideoSourceConfiguration>'
            "</m:Profiles>"
        )

    def _address(self, path: str) -> str:
        scheme = "https" if self._service.tls else "http"
        return f"{scheme}://{self._service.address}:{self._service.port}{path}"

    async def _snapshot(self, request: Request) -> _Answer:
        if UNAUTHORIZED in self.faults or not self._door.admits(request):
            return _Answer(HTTPStatus.UNAUTHORIZED, b"", "text/plain", {"WWW-Authenticate": self._door.challenge})
        shown = next((name for fault, name in _SCENES.items() if fault in self.faults), scene.LIVE)
        files = await asyncio.to_thread(stills, shown)
        return _Answer(HTTPStatus.OK, moment(files, time.monotonic()), "image/jpeg")


def _uri(address: str) -> str:
    return (
        f"<m:MediaUri><tt:Uri>{escape(address)}</tt:Uri><tt:InvalidAfterConnect>false</tt:InvalidAfterConnect>"
        "<tt:InvalidAfterReboot>false</tt:InvalidAfterReboot><tt:Timeout>PT0S</tt:Timeout></m:MediaUri>"
    )


def _fault(code: str, subcode: str, reason: str, detail: str = "") -> _Answer:
    """A fault in SOAP 1.2 (5.4); ONVIF answers those of the sender with 400."""
    inner = f"<s:Subcode><s:Value>ter:{detail}</s:Value></s:Subcode>" if detail else ""
    body = (
        f'<s:Fault xmlns:ter="{_ONVIF}/error"><s:Code><s:Value>s:{code}</s:Value><s:Subcode><s:Value>ter:{subcode}'
        f'</s:Value>{inner}</s:Subcode></s:Code><s:Reason><s:Text xml:lang="en">{reason}</s:Text></s:Reason></s:Fault>'
    )
    status = HTTPStatus.BAD_REQUEST if code == "Sender" else HTTPStatus.INTERNAL_SERVER_ERROR
    return _Answer(status, compose(body))


async def _read(reader: asyncio.StreamReader) -> tuple[Request, bytes]:
    """The next request and its body.

    Raises:
        EOFError, OSError: the client has gone, or what it says is no request.
    """
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    first, *lines = head.split("\r\n")[:-2]
    words = first.split(" ")
    headers = {name.strip().lower(): text.strip() for name, _, text in (line.partition(":") for line in lines)}
    length = headers.get("content-length", "0")
    if len(words) != 3 or not length.isdigit() or int(length) > MAX_BODY:
        raise EOFError("no request")
    return Request(words[0], words[1], headers), await reader.readexactly(int(length))


def _bytes(answer: _Answer) -> bytes:
    headers = {
        "Server": "sentinel-lab",
        "Date": formatdate(usegmt=True),
        "Content-Type": answer.kind,
        "Content-Length": str(len(answer.body)),
        **(answer.headers or {}),
    }
    lines = [f"HTTP/1.1 {answer.status.value} {answer.status.phrase}", *(f"{k}: {v}" for k, v in headers.items())]
    return "\r\n".join([*lines, "", ""]).encode() + answer.body


async def _server(service: Service, ground: Ground) -> OverTcp:
    await asyncio.to_thread(stills, scene.LIVE)  # now, so that no check waits for it
    return OverTcp(service, Device(service), ground.authority)


SIMULATION = Simulation(
    ("onvif",),
    _server,
    abilities=lambda _: frozenset({TALK, "onvif"}),
    rank=25,
    faults=(
        Fault(CLOCK_DRIFT, "The clock is ten minutes ahead.", "cameras that speak ONVIF", frozenset({"onvif"})),
        Fault(UNAUTHORIZED, "No login is good enough for ONVIF.", "cameras that speak ONVIF", frozenset({"onvif"})),
    ),
)
