"""GB/T 28181: a platform or device that registers with the daemon's registrar and answers what it asks.

It stands at its target's address and port, and registers where its checks say that the daemon listens.  Its catalogue
has a few cameras; whichever is played shows the lab's clip.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import struct
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

from sentinel.domain.target import Check
from sentinel.lab.camera import scene
from sentinel.lab.camera.clip import TICKS, Clip
from sentinel.lab.faults import DOWN, Fault
from sentinel.lab.program_stream import pack, payloads, pictures
from sentinel.lab.simulation import Ground, Place, Service, Simulation
from sentinel.wire import sdp
from sentinel.wire.digest import Login, MalformedChallenge
from sentinel.wire.manscdp import MEDIA_TYPE, MalformedBody, compose, parse
from sentinel.wire.sip import (
    Dialog,
    Request,
    Response,
    build,
    new_branch,
    new_call_id,
    new_tag,
    parse_datagram,
    reply_address,
    respond,
)
from sentinel.wire.sip_headers import MalformedMessage, Via
from sentinel.wire.sip_login import Realm, challenge_of

UNREGISTERED: Final = "gb28181-unregistered"
CAMERAS_OFF: Final = "gb28181-cameras-off"
NO_PICTURE: Final = "gb28181-no-picture"

CAMERAS: Final = 6
PAUSE_SECONDS: Final = 1.0
"""Between two keep-alives, and two tries to register: the daemon may begin anew at any time."""
ANSWER_SECONDS: Final = 1.0
EXPIRY: Final = 3_600
MAX_CALLS: Final = 16
CALL_SECONDS: Final = 300.0
"""A call that nobody ends is ended."""

_GB = "gb28181"
_TO_PLATFORM = ("options", "register")
_SSRC = re.compile(rb"^y\s*=\s*([0-9]{1,10})", re.MULTILINE)

Address = tuple[str, int]
Say = Callable[..., Response]


@dataclass(frozen=True, slots=True)
class Account:
    """Where a device registers, and as whom."""

    registrar: Address
    platform: str
    domain: str
    device: str
    password: str

    @classmethod
    def of(cls, check: Check) -> Account:
        """What a check tells of it."""
        told = check.options
        listen = "127.0.0.1" if told.listen in ("0.0.0.0", "::") else told.listen  # noqa: S104 - compared with
        place = (listen, told.listen_port)
        return cls(place, told.server_id, told.domain, told.device, told.password.get_secret_value())


class Device(asyncio.DatagramProtocol):
    """One platform or device with all its accounts; its faults may be set at any time."""

    def __init__(self, service: Service, clip: Clip) -> None:
        self.faults: frozenset[str] = frozenset()
        self._place = (service.address, service.port)
        own = [check for check in service.own if check.options.mode not in _TO_PLATFORM]
        self._accounts = list(dict.fromkeys(Account.of(check) for check in own))
        self._passwords = {
            check.options.server_id: check.options.password.get_secret_value()
            for check in service.own
            if check.options.mode == "register" and check.options.password is not None
        }
        self._realm = Realm(service.own[0].options.domain, qop=False)
        self._pictures = pictures(clip)
        self._transport: asyncio.DatagramTransport | None = None
        self._tasks: set[asyncio.Task[None]] = set()
        self._calls: dict[str, tuple[Request, Address, asyncio.Task[None] | None]] = {}
        self._waiting: dict[str, asyncio.Future[Response]] = {}
        self._begins = 0
        self._present: set[Account] = set()
        self._settling = asyncio.Lock()

    async def open(self) -> None:
        """Stand at the address and register from it; does nothing where it does already.

        Raises:
            OSError: the address or the port cannot be had.
        """
        if self._transport is None:
            loop = asyncio.get_running_loop()
            self._transport, _ = await loop.create_datagram_endpoint(lambda: self, local_addr=self._place)
            for account in self._accounts:
                self._own(self._live(account), f"gb28181 {account.device}")

    async def close(self) -> None:
        """Stop, without a word to anybody."""
        tasks = tuple(self._tasks)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        self._calls.clear()
        if self._transport is not None:
            self._transport.abort()
            self._transport = None

    async def show(self, faults: frozenset[str]) -> None:
        """Have these faults from now on; what they mean for its registrations is done before it returns."""
        if faults != self.faults:
            self.faults = faults
            for account in self._accounts:
                await self._settle(account)

    # -- registering ------------------------------------------------------------------------------------------

    async def _live(self, account: Account) -> None:
        while True:
            await self._settle(account)
            await asyncio.sleep(PAUSE_SECONDS)

    async def _settle(self, account: Account) -> None:
        """Register, say that it is there, or unregister, as its faults have it."""
        async with self._settling:
            if DOWN in self.faults:
                return
            if UNREGISTERED in self.faults:
                if account in self._present and await self._register(account, 0):
                    self._present.discard(account)
                return
            if account in self._present and not await self._keepalive(account):
                self._present.discard(account)  # the daemon has begun anew
            if account not in self._present and await self._register(account, EXPIRY):
                self._present.add(account)

    async def _register(self, account: Account, expires: int) -> bool:
        uri = f"sip:{account.platform}@{account.domain}"
        us = f"<sip:{account.device}@{account.domain}>"
        dialog = Dialog(f"{us};tag={new_tag()}", us, new_call_id())
        contact = f"<sip:{account.device}@{self._place[0]}:{self._place[1]}>"
        headers = [("contact", contact), ("expires", str(expires)), ("user-agent", "sentinel-lab")]
        answer = await self._ask("REGISTER", uri, dialog, 1, account.registrar, headers)
        if answer is None or answer.status != 401:
            return answer is not None and answer.status == 200
        try:
            challenge = challenge_of(answer)
        except MalformedChallenge:
            return False
        if challenge is None:
            return False
        login = Login(challenge, account.device, account.password)
        headers.append(("authorization", login.authorization("REGISTER", uri)))
        answer = await self._ask("REGISTER", uri, dialog, 2, account.registrar, headers)
        return answer is not None and answer.status == 200

    async def _keepalive(self, account: Account) -> bool:
        body = compose("Notify", "Keepalive", 1, account.device, {"Status": "OK"})
        return await self._message(account, body)

    async def _message(self, account: Account, body: bytes) -> bool:
        uri = f"sip:{account.platform}@{account.domain}"
        dialog = Dialog(f"<sip:{account.device}@{account.domain}>;tag={new_tag()}", f"<{uri}>", new_call_id())
        answer = await self._ask("MESSAGE", uri, dialog, 1, account.registrar, [("content-type", MEDIA_TYPE)], body)
        return answer is not None and answer.status == 200

    async def _ask(
        self,
        method: str,
        uri: str,
        dialog: Dialog,
        number: int,
        place: Address,
        headers: list[tuple[str, str]],
        body: bytes = b"",
    ) -> Response | None:
        """The final answer, None where there is none; asked once: nothing is lost on loopback."""
        via = Via("UDP", *self._place, {"rport": None, "branch": new_branch()})
        request = build(method, uri, dialog, via=via, number=number, headers=headers, body=body)
        waiting: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        self._waiting[via.branch] = waiting
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                self._send(request.encode(), place)
                return await waiting
        except TimeoutError:
            return None
        finally:
            del self._waiting[via.branch]

    # -- being asked ------------------------------------------------------------------------------------------

    def datagram_received(self, data: bytes, addr: Any) -> None:
        """Asyncio calls it for each datagram."""
        if DOWN in self.faults:
            return
        with contextlib.suppress(MalformedMessage):
            message = parse_datagram(data)
            if isinstance(message, Response):
                waiting = self._waiting.get(message.vias[0].branch) if message.vias else None
                if waiting is not None and not waiting.done() and message.final:
                    waiting.set_result(message)
                return
            answer = self._answer(message, (addr[0], addr[1]))
            if answer is not None:
                self._send(answer.encode(), reply_address(message, (addr[0], addr[1])))

    def _answer(self, request: Request, source: Address) -> Response | None:
        def say(status: int, *headers: tuple[str, str], body: bytes = b"") -> Response:
            return respond(request, status, tag=_tag(request), source=source, headers=headers, body=body)

        if request.method == "ACK":
            self._play(request.call_id)
            return None
        if request.method == "OPTIONS":
            return say(200)
        if request.method == "REGISTER":
            return self._registered(request, say)
        if request.method == "MESSAGE":
            self._question(request)
            return say(200)
        if request.method == "INVITE":
            return self._invited(request, source, say)
        if request.method in ("BYE", "CANCEL"):
            _, _, playing = self._calls.pop(request.call_id, (None, None, None))
            if playing is not None:
                playing.cancel()
            return say(200)
        return say(405, ("allow", "REGISTER, OPTIONS, MESSAGE, INVITE, ACK, BYE, CANCEL"))

    def _registered(self, request: Request, say: Say) -> Response:
        now = time.monotonic()
        judgement, _ = self._realm.judge(request.header("authorization"), "REGISTER", self._passwords.get, now)
        if judgement == "good":
            return say(200, ("expires", request.header("expires") or "0"))
        return say(401, ("www-authenticate", self._realm.challenge(now, stale=judgement == "stale")))

    def _question(self, request: Request) -> None:
        with contextlib.suppress(MalformedBody):
            asked = parse(request.body)
            account = next((one for one in self._accounts if one.device == request.recipient.uri.user), None)
            if account is not None and asked.kind == "Query" and asked.number is not None:
                self._own(self._tell(account, asked.command, asked.number), f"gb28181 {asked.command}")

    async def _tell(self, account: Account, command: str, number: int) -> None:
        if command == "Catalog":
            cameras = [self._camera(account, index) for index in range(1, CAMERAS + 1)]
            for some in (cameras[: CAMERAS // 2], cameras[CAMERAS // 2 :]):
                fields = {"SumNum": CAMERAS}
                await self._message(account, compose("Response", "Catalog", number, account.device, fields, items=some))
        elif command == "DeviceStatus":
            now = time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(time.time() + 8 * 3_600))  # noqa: TID251 - what a device's clock shows
            said = {"Result": "OK", "Online": "ONLINE", "Status": "OK", "Encode": "ON", "Record": "ON"}
            body = compose("Response", command, number, account.device, said | {"DeviceTime": now})
            await self._message(account, body)
        elif command == "DeviceInfo":
            said = {
                "DeviceName": "模拟平台",
                "Result": "OK",
                "Manufacturer": "Sentinel",
                "Model": "lab",
                "Firmware": "1",
            }
            body = compose("Response", command, number, account.device, said | {"Channel": str(CAMERAS)})
            await self._message(account, body)

    def _camera(self, account: Account, index: int) -> dict[str, object]:
        status = "OFF" if CAMERAS_OFF in self.faults and index > 1 else "ON"
        device = f"{account.device[:10]}132{index:07d}"
        return {"DeviceID": device, "Name": f"模拟摄像机{index}", "ParentID": account.device, "Status": status}

    # -- live pictures ----------------------------------------------------------------------------------------

    def _invited(self, request: Request, source: Address, say: Say) -> Response:
        if len(self._calls) >= MAX_CALLS:
            return say(486)
        try:
            offered = sdp.parse(request.body)
        except sdp.MalformedDescription:
            return say(488)
        video = next((media for media in offered.media if media.kind == "video"), None)
        if video is None or "TCP" in video.transport.upper():
            return say(488)  # this one sends over UDP alone
        self._calls[request.call_id] = (request, source, None)
        found = _SSRC.search(request.body)
        here = self._place[0]
        lines = ["v=0", f"o={request.recipient.uri.user} 0 0 IN IP4 {here}", "s=Play", f"c=IN IP4 {here}", "t=0 0"]
        lines += [f"m=video {self._place[1]} RTP/AVP 96", "a=sendonly", "a=rtpmap:96 PS/90000"]
        lines += [f"y={found[1].decode() if found else '0'}", ""]
        return say(200, ("content-type", "application/sdp"), body="\r\n".join(lines).encode())

    def _play(self, call_id: str) -> None:
        request, source, playing = self._calls.get(call_id, (None, None, None))
        if request is None or source is None or playing is not None or NO_PICTURE in self.faults:
            return
        offered = sdp.parse(request.body)
        video = next(media for media in offered.media if media.kind == "video")
        host = (video.connection or offered.connection or "").split()[-1:] or [source[0]]
        found = _SSRC.search(request.body)
        task = self._own(self._stream((host[0], video.port), int(found[1]) if found else 0), "gb28181 stream")
        self._calls[call_id] = (request, source, task)
        task.add_done_callback(lambda _: self._calls.pop(call_id, None))

    async def _stream(self, place: Address, ssrc: int) -> None:
        sequence, began = 0, time.monotonic()
        # Each call begins a second further on: a picture that is always the same would be a frozen one.
        self._begins = (self._begins + scene.RATE) % len(self._pictures)
        first = self._begins
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock, contextlib.suppress(OSError):
            sock.setblocking(False)
            sock.bind((self._place[0], 0))
            sock.connect(place)
            for number in range(int(CALL_SECONDS * scene.RATE)):
                picture = self._pictures[(first + number) % len(self._pictures)]
                cut = payloads(pack(picture, number, key=number % scene.RATE == 0))
                for index, payload in enumerate(cut, start=1):
                    mark = 0x80 if index == len(cut) else 0
                    sock.send(
                        struct.pack("!BBHII", 0x80, mark | 96, sequence, number * TICKS & 0xFFFFFFFF, ssrc) + payload
                    )
                    sequence = sequence + 1 & 0xFFFF
                    if index % 16 == 0:  # a key frame at once would be more than a socket holds
                        await asyncio.sleep(0.001)
                await asyncio.sleep(max(0.0, began + (number + 1) / scene.RATE - time.monotonic()))

    def _send(self, data: bytes, place: Address) -> None:
        if self._transport is not None:
            self._transport.sendto(data, place)

    def _own(self, work: Any, name: str) -> asyncio.Task[None]:
        task: asyncio.Task[None] = asyncio.get_running_loop().create_task(work, name=name)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task


def _tag(request: Request) -> str:
    """The same for each answer of one call, also where its INVITE comes again."""
    return f"lab{abs(hash(request.call_id)) & 0xFFFFFFFF:08x}"


async def _server(service: Service, ground: Ground) -> Device:
    return Device(service, await ground.clip())


def _place(check: Check) -> Place | None:
    return ("udp", int(check.options.port)) if check.options.transport == "udp" else None


SIMULATION = Simulation(
    (_GB,),
    _server,
    place=_place,
    abilities=lambda _: frozenset({_GB}),
    faults=(
        Fault(UNREGISTERED, "It unregisters, and stays away.", "GB/T 28181 platforms", frozenset({_GB})),
        Fault(CAMERAS_OFF, "All cameras of its catalogue but one are OFF.", "GB/T 28181 platforms", frozenset({_GB})),
        Fault(NO_PICTURE, "INVITE is answered, and no picture comes.", "GB/T 28181 platforms", frozenset({_GB})),
    ),
)
