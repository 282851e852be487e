"""A camera: OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, TEARDOWN (RFC 2326), a picture in H.264 and sound."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Final

from sentinel.lab.camera import clip as clips
from sentinel.lab.camera import scene
from sentinel.lab.camera.clip import Clip
from sentinel.lab.camera.playing import PAYLOAD_TYPE, SOUND_CLOCK, SOUND_TYPE
from sentinel.lab.camera.requests import BadRequest, Door, Request, answer, read
from sentinel.lab.camera.session import Session, View
from sentinel.lab.faults import NO_PACKETS, RTSP_HANG, RTSP_UNAUTHORIZED, SLOW
from sentinel.lab.simulation import Service

METHODS: Final = "OPTIONS, DESCRIBE, SETUP, PLAY, PAUSE, GET_PARAMETER, SET_PARAMETER, TEARDOWN"

SOUND_ONLY: Final = "rtsp-sound-only"
LOSS: Final = "rtsp-loss"
FROZEN: Final = "picture-frozen"
BLACK: Final = "picture-black"
NO_SIGNAL: Final = "picture-no-signal"
SNOW: Final = "picture-snow"

_SCENES: Final = {BLACK: scene.BLACK, NO_SIGNAL: scene.NO_SIGNAL, SNOW: scene.SNOW, FROZEN: scene.FROZEN}
_GUARDED: Final = frozenset({"DESCRIBE", "SETUP", "PLAY"})


class Camera:
    """One camera; ``faults`` may change while it runs, and do so for those who are watching too."""

    def __init__(self, service: Service, clip: Clip, state: Path) -> None:
        """Make the camera; ``clip`` is what it shows when nothing is wrong, ``state`` where other clips are kept."""
        self._service, self._clip, self._state = service, clip, state
        self._others: dict[str, Clip] = {scene.LIVE: clip}
        self.door = Door(algorithm="SHA-256" if service.tls else "MD5")
        self._faults: frozenset[str] = frozenset()
        self._begins = 0
        self._paths = {"/"}
        for check in service.own:
            options = check.options
            self._paths |= {"/" + channel.path.strip("/") for channel in options.looked_at}
            if options.username is not None and options.password is not None:
                self.door.users[options.username] = options.password.get_secret_value()

    @property
    def faults(self) -> frozenset[str]:
        """What is wrong with it."""
        return self._faults

    @faults.setter
    def faults(self, faults: frozenset[str]) -> None:
        self._faults = faults
        self.door.shut = RTSP_UNAUTHORIZED in faults

    @property
    def dark(self) -> bool:
        """Whether no picture leaves it."""
        return not self._faults.isdisjoint((NO_PACKETS, RTSP_HANG, SOUND_ONLY))

    @property
    def mute(self) -> bool:
        """Whether no sound leaves it."""
        return not self._faults.isdisjoint((NO_PACKETS, RTSP_HANG))

    @property
    def scene(self) -> str:
        """What it shows."""
        return next((shown for fault, shown in _SCENES.items() if fault in self._faults), scene.LIVE)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answer one connection; its session ends with it."""
        async with AsyncExitStack() as stack, asyncio.TaskGroup() as group:
            session = Session(self._view(), writer, group, stack)
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

    def _answer(self, request: Request, session: Session) -> bytes:
        if request.method == "OPTIONS":
            return answer(request, 200, [("Public", METHODS)])
        if request.method in _GUARDED and not self.door.admits(request):
            return answer(request, 401, [("WWW-Authenticate", self.door.challenge)])
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

    def _view(self) -> View:
        return View(
            self._clip,
            self._other,
            lambda: self.scene,
            lambda: self.dark,
            lambda: self.mute,
            lambda: LOSS in self._faults,
            self._next_second,
        )

    def _next_second(self) -> int:
        # Each look begins a second further on, however unevenly they come: the same picture would be a frozen one.
        self._begins = (self._begins + scene.RATE) % (scene.SECONDS * scene.RATE)
        return self._begins

    async def _other(self, name: str) -> Clip:
        """The clip of another scene; made when it is first shown, which takes some tenths of a second."""
        if name not in self._others:
            self._others[name] = await asyncio.to_thread(clips.load, self._state, name)
        return self._others[name]

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
            f"m=audio 0 RTP/AVP {SOUND_TYPE}",
            f"a=rtpmap:{SOUND_TYPE} PCMA/{SOUND_CLOCK}",
            "a=control:trackID=1",
        )
        return ("\r\n".join(lines) + "\r\n").encode()
