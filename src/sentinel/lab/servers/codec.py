"""A conference endpoint or an MCU for each port that a codec check looks at, as its profile expects it."""

from __future__ import annotations

import asyncio
from base64 import b64encode
from http import HTTPStatus
from typing import Final

import asyncssh

from sentinel.domain.target import Check
from sentinel.lab.codec import bridge, poly, roomos
from sentinel.lab.codec.state import (
    CAMERA_UNPLUGGED,
    MCU_NOT_FULL,
    MCU_PARTLY,
    MICROPHONE_UNPLUGGED,
    PACKET_LOSS,
    UNREGISTERED,
    State,
)
from sentinel.lab.faults import SLOW, TALK, Fault
from sentinel.lab.servers.ssh import SshServer
from sentinel.lab.serving import OverTcp
from sentinel.lab.simulation import Ground, Place, Service, Simulation

ENDPOINT: Final = "conference-endpoint"
MCU: Final = "conference-mcu"
IDLE_SECONDS: Final = 30.0
_STEPS: Final = 16  # a run has about as many answers


def _state(service: Service, faults: frozenset[str], up: float) -> State:
    """What is so now: the checks say how many there have to be."""
    options = [check.options for check in service.own]

    def told(name: str, otherwise: int) -> int:
        return max((getattr(each, name) for each in options if getattr(each, name) is not None), default=otherwise)

    return State(service.target.name, faults, up, told("participants", 4), told("cameras", 1), told("microphones", 2))


class EndpointShell(SshServer):
    """An endpoint that is talked with in its shell."""

    def __init__(self, service: Service, ground: Ground) -> None:
        super().__init__(service, ground)
        self._poly = service.own[0].options.plan.format == "text"

    async def _run(self, process: asyncssh.SSHServerProcess[str]) -> None:
        self._say(process, poly.greeting(self._now()) if self._poly else roomos.GREETING)
        try:
            async for line in process.stdin:
                if SLOW in self.faults:
                    await asyncio.sleep(self._service.slow_seconds / _STEPS)
                self._say(process, (poly if self._poly else roomos).answer(line.strip(), self._now()))
        except (asyncssh.Error, OSError):
            return  # the client has gone
        process.exit(0)

    def _say(self, process: asyncssh.SSHServerProcess[str], lines: list[str] | tuple[str, ...]) -> None:
        process.stdout.write("".join(f"{line}\r\n" for line in lines) + (poly.PROMPT if self._poly else ""))

    def _now(self) -> State:
        return _state(self._service, self.faults, self._clock() - self._started)


class Pages:
    """An endpoint or an MCU that is asked over HTTP."""

    def __init__(self, service: Service, ground: Ground) -> None:
        self.faults: frozenset[str] = frozenset()
        self._service = service
        self._clock, self._started = ground.clock, ground.clock()
        first = service.own[0].options
        self._authorization = ""
        if first.username is not None and first.password is not None:
            pair = f"{first.username}:{first.password.get_secret_value()}".encode()
            self._authorization = f"Basic {b64encode(pair).decode()}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection's requests until it is idle."""
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            if SLOW in self.faults:
                await asyncio.sleep(self._service.slow_seconds / _STEPS)
            first, *lines = head.split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines)}
            status, body = self._answer(first.split(" "), headers.get("authorization", ""))
            more = 'WWW-Authenticate: Basic realm="Sentinel lab"\r\n' if status == HTTPStatus.UNAUTHORIZED else ""
            kind = "application/json" if body.startswith(b"{") else "text/xml; charset=utf-8"
            writer.write(
                f"HTTP/1.1 {status.value} {status.phrase}\r\nServer: sentinel-lab\r\nContent-Type: {kind}\r\n{more}"
                f"Content-Length: {len(body)}\r\n\r\n".encode()
            )
            writer.write(body)
            await writer.drain()

    def _answer(self, request: list[str], authorization: str) -> tuple[HTTPStatus, bytes]:
        if len(request) != 3 or not request[2].startswith("HTTP/1."):
            return HTTPStatus.BAD_REQUEST, b""
        if request[0] != "GET":
            return HTTPStatus.METHOD_NOT_ALLOWED, b""
        if self._authorization and authorization != self._authorization:
            return HTTPStatus.UNAUTHORIZED, b""
        path, state = request[1], _state(self._service, self.faults, self._clock() - self._started)
        found: bytes | None = None
        if path.startswith("/api/v1/"):
            found = bridge.cms(path, state)
        elif path.startswith("/api/admin/status/v1/"):
            found = bridge.pexip(path, state)
        elif path == "/status.xml":
            found = roomos.document(state)
        return (HTTPStatus.NOT_FOUND, b"") if found is None else (HTTPStatus.OK, found)


async def _server(service: Service, ground: Ground) -> EndpointShell | OverTcp:
    if service.own[0].options.plan.transport == "ssh":
        return EndpointShell(service, ground)
    return OverTcp(service, Pages(service, ground), ground.authority)


def _place(check: Check) -> Place:
    return "tcp", int(check.options.at_port)


def _abilities(service: Service) -> frozenset[str]:
    measured = {value.name for check in service.own for value in check.options.plan.declared()}
    able = {TALK}
    if "registered_sip" in measured:
        able.add(ENDPOINT)
    if "camera_connected" in measured:
        able.add(CAMERA_UNPLUGGED)
    if "participants_connected" in measured:
        able.add(MCU)
    return frozenset(able)


SIMULATION = Simulation(
    ("codec",),
    _server,
    place=_place,
    abilities=_abilities,
    rank=15,
    faults=(
        Fault(
            UNREGISTERED,
            "It is registered neither with its gatekeeper nor with its SIP server, and says so.",
            "conference endpoints",
            frozenset({ENDPOINT}),
        ),
        Fault(
            PACKET_LOSS,
            "Of what it receives, 5 % is lost, with jitter.",
            "conference endpoints and MCUs",
            frozenset({ENDPOINT, MCU}),
        ),
        Fault(
            CAMERA_UNPLUGGED,
            "One of its cameras is unplugged.",
            "conference endpoints that tell it",
            frozenset({CAMERA_UNPLUGGED}),
        ),
        Fault(
            MICROPHONE_UNPLUGGED, "One of its microphones is unplugged.", "conference endpoints", frozenset({ENDPOINT})
        ),
        Fault(MCU_NOT_FULL, "Two participants are missing from the conference.", "MCUs", frozenset({MCU})),
        Fault(MCU_PARTLY, "One participant is called and not connected through.", "MCUs", frozenset({MCU})),
    ),
)
