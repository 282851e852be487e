"""One client's session with a camera: what it has set up, and the tasks that play for it (RFC 2326)."""

from __future__ import annotations

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Final

from sentinel.lab.camera.clip import Clip
from sentinel.lab.camera.playing import Playing, Send, UdpPair, over_connection, play_sound
from sentinel.lab.camera.requests import Request, answer

SESSION_SECONDS: Final = 60
PICTURE, SOUND = 0, 1
"""The numbers of the tracks."""

_CLIENT_PORTS = re.compile(r"client_port=(\d{1,5})(?:-(\d{1,5}))?")
_CHANNELS = re.compile(r"interleaved=(\d{1,3})(?:-(\d{1,3}))?")


@dataclass(frozen=True, slots=True)
class View:
    """What a camera shows now; each is asked again and again while somebody watches."""

    clip: Clip
    other: Callable[[str], Awaitable[Clip]]
    scene: Callable[[], str]
    dark: Callable[[], bool]
    mute: Callable[[], bool]
    loses: Callable[[], bool]
    begins: Callable[[], int]


@dataclass(slots=True)
class Session:
    """What one connection has set up."""

    view: View
    writer: asyncio.StreamWriter
    group: asyncio.TaskGroup
    stack: AsyncExitStack
    id: str = ""
    sends: dict[int, Send] = field(default_factory=dict)
    playing: Playing | None = None
    interleaved: bool = True
    over: bool = False
    _tasks: list[asyncio.Task[None]] = field(default_factory=list)

    def set_up(self, request: Request) -> bytes:
        """SETUP: the first transport of the client's list that can be had."""
        if self.id and self.id != _session_of(request):
            return answer(request, 454)
        if self.playing is not None:
            return answer(request, 455)
        for offer in request.headers.get("transport", "").split(","):
            chosen = self._transport(offer.strip(), request.track)
            if chosen is not None:
                self.id = self.id or secrets.token_hex(8)
                session = ("Session", f"{self.id};timeout={SESSION_SECONDS}")
                return answer(request, 200, [("Transport", chosen), session])
        return answer(request, 461)

    def order(self, request: Request) -> bytes:
        """PLAY, PAUSE, TEARDOWN and the parameters, which serve to keep a session alive."""
        keeping = request.method.endswith("PARAMETER")
        if not self.sends or _session_of(request) != self.id:
            return answer(request, 200 if keeping and not self.id else 454)
        session = ("Session", self.id)
        if request.method != "PLAY" or PICTURE not in self.sends:
            return answer(request, 200, [session])
        view = self.view
        self.playing = self.playing or Playing(
            view.clip, self.sends[PICTURE], view.scene, view.other, view.loses, view.begins()
        )
        base = request.uri.removesuffix("/").removesuffix("/trackID=0")
        played = f"url={base}/trackID=0;seq={self.playing.sequence};rtptime={self.playing.timestamp}"
        return answer(request, 200, [session, ("Range", "npt=0.000-"), ("RTP-Info", played)])

    def after(self, request: Request) -> None:
        """What an order sets going, once its answer is on its way."""
        if request.method == "PLAY" and not self._tasks:
            if self.playing is not None:
                self._tasks.append(self.group.create_task(self._play(self.playing), name="playing"))
            if SOUND in self.sends:
                self._tasks.append(self.group.create_task(self._play_sound(self.sends[SOUND]), name="sound"))
        elif request.method in ("PAUSE", "TEARDOWN") and self.id and _session_of(request) == self.id:
            self.stop()
            self.over = request.method == "TEARDOWN"

    def stop(self) -> None:
        """Play no more."""
        for task in self._tasks:
            task.cancel()
        self._tasks.clear()

    async def _play(self, playing: Playing) -> None:
        try:
            await playing.run(self._drain, silent=self.view.dark)
        except OSError:
            return  # the client has gone; the reading side notices as well

    async def _play_sound(self, send: Send) -> None:
        try:
            await play_sound(send, self._drain, silent=self.view.mute)
        except OSError:
            return

    async def _drain(self) -> None:
        if self.interleaved:  # a datagram waits for nobody
            await self.writer.drain()

    def _transport(self, offer: str, track: int) -> str | None:
        """Take an offer of the client's; None where it cannot be had."""
        words = offer.split(";")
        if "multicast" in words:
            return None
        if words[0] == "RTP/AVP/TCP":
            found = _CHANNELS.search(offer)
            channel = int(found[1]) if found else 2 * track
            if channel > 254:
                return None
            self.sends[track], self.interleaved = over_connection(self.writer, channel), True
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
        self.sends[track], self.interleaved = pair.send, False
        return f"RTP/AVP;unicast;client_port={ports[0]}-{ports[1]};server_port={pair.ports[0]}-{pair.ports[1]}"


def _session_of(request: Request) -> str:
    return request.headers.get("session", "").partition(";")[0].strip()
