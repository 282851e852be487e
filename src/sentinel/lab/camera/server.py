"""A camera: OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, TEARDOWN (RFC 2326), one picture track in H.264."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Final

from sentinel.lab.camera import scene
from sentinel.lab.camera.clip import Clip
from sentinel.lab.camera.playing import PAYLOAD_TYPE, Playing, Send, UdpPair, over_connection
from sentinel.lab.camera.requests import BadRequest, Door, Request, answer, read
from sentinel.lab.faults import NO_PACKETS, RTSP_HANG, RTSP_UNAUTHORIZED, SLOW
from sentinel.lab.simulation import Service

METHODS: Final = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER, TEARDOWN"
SESSION_SECONDS: Final = 60
_GUARDED: Final = frozenset({"DESCRIBE", "SETUP", "PLAY"})
_CLIENT_PORTS = re.compile(r"client_port=(\d{1,5})(?:-(\d{1,5}))?")
_CHANNELS = re.compile(r"interleaved=(\d{1,3})(?:-(\d{1,3}))?")


class Camera:
    """One camera; ``faults`` may change while it runs, and do so for those who are watching too."""

    def __init__(self, service: Service, clip: Clip) -> None:
        self._service, self._clip = service, clip
        self._door = Door()
        self._faults: frozenset[str] = frozenset()
        self._paths = {"/"}
        for check in service.own:
            options = check.options
            self._paths.add("/" + options.path.strip("/"))
            if options.username is not None and options.password is not None:
                self._door.users[options.username] = options.password.get_secret_value()

    @property
    def faults(self) -> frozenset[str]:
        """What is wrong with it."""
        return self._faults

    @faults.setter
    def faults(self, faults: frozenset[str]) -> None:
        self._faults = faults
        self._door.shut = RTSP_UNAUTHORIZED in faults

    @property
    def dark(self) -> bool:
        """Whether no picture leaves it."""
        return not self._faults.isdisjoint((NO_PACKETS, RTSP_HANG))

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection; its session ends with it."""
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            session = _Session(self._clip, writer, group, stack, lambda: self.dark)
            try:
                while not session.over:
                    request = await read(reader)
                    if RTSP_HANG in self._faults:
                        continue
                    if SLOW in self._faults and request.method == "DESCRIBE":
                        await asyncio.sleep(self._service.slow_seconds)
                    writer.write(self._answer(request, session))
                    await writer.drain()
                    session.after(request)
            except BadRequest:
                writer.write(answer(None, 400))
            except (OSError, EOFError, asyncio.LimitOverrunError):
                pass  # the client has gone
            finally:
                session.stop()

    def _answer(self, request: Request, session: _Session) -> bytes:
        if request.method == "OPTIONS":
            return answer(request, 200, [("Public", METHODS)])
        if request.method in _GUARDED and not self._door.admits(request):
            return answer(request, 401, [("WWW-Authenticate", self._door.challenge)])
        if request.method in _GUARDED and request.path not in self._paths:
            return answer(request, 404)
        if request.method == "DESCRIBE":
            base = request.uri if request.uri.endswith("/") else f"{request.uri}/"
            headers = [("Content-Base", base), ("Content-Type", "application/sdp")]
            return answer(request, 200, headers, self._description())
        if request.method == "SETUP":
            return session.set_up(request)
        if request.method in ("PLAY", "PAUSE", "TEARDOWN", "GET_PARAMETER", "SET_PARAMETER"):
            return session.order(request)
        return answer(request, 501)

    def _description(self) -> bytes:
        address = self._service.address
        lines = (
            "v=0",
            f"o=- 1 1 IN IP4 {address}",
            f"s={self._service.target.name}",
            f"c=IN IP4 {address}",
            "t=0 0",
            "a=control:*",
            "a=range:npt=now-",
            f"m=video 0 RTP/AVP {PAYLOAD_TYPE}",
            f"a=rtpmap:{PAYLOAD_TYPE} H264/90000",
            f"a=fmtp:{PAYLOAD_TYPE} {self._clip.format_parameters}",
            f"a=framerate:{scene.RATE}",
            f"a=framesize:{PAYLOAD_TYPE} {scene.WIDTH}-{scene.HEIGHT}",
            "a=control:trackID=0",
        )
        return ("\r\n".join(lines) + "\r\n").encode()


@dataclass(slots=True)
class _Session:
    """What one connection has set up, and the task that plays for it."""

    clip: Clip
    writer: asyncio.StreamWriter
    group: asyncio.TaskGroup
    stack: AsyncExitStack
    silent: Callable[[], bool]
    id: str = ""
    send: Send | None = None
    playing: Playing | None = None
    interleaved: bool = True
    over: bool = False
    _task: asyncio.Task[None] | None = None

    def set_up(self, request: Request) -> bytes:
        """SETUP: the first transport of the client's list that can be had."""
        if self.id and self.id != _session_of(request):
            return answer(request, 454)
        if self.playing is not None:
            return answer(request, 455)
        for offer in request.headers.get("transport", "").split(","):
            chosen = self._transport(offer.strip())
            if chosen is not None:
                self.id = self.id or secrets.token_hex(8)
                session = ("Session", f"{self.id};timeout={SESSION_SECONDS}")
                return answer(request, 200, [("Transport", chosen), session])
        return answer(request, 461)

    def order(self, request: Request) -> bytes:
        """PLAY, PAUSE, TEARDOWN and the parameters, which serve to keep a session alive."""
        keeping = request.method.endswith("PARAMETER")
        if self.send is None or _session_of(request) != self.id:
            return answer(request, 200 if keeping and not self.id else 454)
        session = ("Session", self.id)
        if request.method == "PLAY":
            self.playing = self.playing or Playing(self.clip, self.send)
            base = request.uri.removesuffix("/").removesuffix("/trackID=0")
            played = f"url={base}/trackID=0;seq={self.playing.sequence};rtptime={self.playing.timestamp}"
            return answer(request, 200, [session, ("Range", "npt=0.000-"), ("RTP-Info", played)])
        return answer(request, 200, [session])

    def after(self, request: Request) -> None:
        """What an order sets going, once its answer is on its way."""
        if request.method == "PLAY" and self.playing is not None and self._task is None:
            self._task = self.group.create_task(self._play(self.playing), name="playing")
        elif request.method in ("PAUSE", "TEARDOWN") and self.id and _session_of(request) == self.id:
            self.stop()
            self.over = request.method == "TEARDOWN"

    def stop(self) -> None:
        """Play no more."""
        if self._task is not None:
            self._task.cancel()
            self._task = None

    async def _play(self, playing: Playing) -> None:
        try:
            await playing.run(self.writer.drain if self.interleaved else _at_once, silent=self.silent)
        except OSError:
            return  # the client has gone; the reading side notices as well

    def _transport(self, offer: str) -> str | None:
        """Take an offer of the client's; None where it cannot be had."""
        words = offer.split(";")
        if "multicast" in words:
            return None
        if words[0] == "RTP/AVP/TCP":
            found = _CHANNELS.search(offer)
            channel = int(found[1]) if found else 0
            if channel > 254:
                return None
            self.send, self.interleaved = over_connection(self.writer, channel), True
            return f"RTP/AVP/TCP;unicast;interleaved={channel}-{channel + 1}"
        found = _CLIENT_PORTS.search(offer)
        if words[0] not in ("RTP/AVP", "RTP/AVP/UDP") or found is None or self.writer.get_extra_info("sslcontext"):
            return None
        first = int(found[1])
        ports = first, int(found[2] or first + 1)
        if not 0 < min(ports) <= max(ports) < 65_536:
            return None
        try:
            pair = UdpPair(self.writer.get_extra_info("sockname")[0], self.writer.get_extra_info("peername")[0], ports)
        except OSError:
            return None
        self.stack.callback(pair.close)
        self.send, self.interleaved = pair.send, False
        return f"RTP/AVP;unicast;client_port={ports[0]}-{ports[1]};server_port={pair.ports[0]}-{pair.ports[1]}"


def _session_of(request: Request) -> str:
    return request.headers.get("session", "").partition(";")[0].strip()


def _at_once() -> None:
    """A datagram waits for nobody."""
