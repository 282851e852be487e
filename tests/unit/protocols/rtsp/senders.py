"""A camera that sends datagrams: what it sends, from where, and who else sends to the same ports."""

import asyncio
import re
import socket
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

from sentinel.wire.rtp import Packet
from tests.unit.protocols.rtsp.camera import Camera, Request
from tests.unit.wire.streams import raw

_PORTS = re.compile(r"client_port=(\d+)-(\d+)")
STRANGER = "127.0.0.9"


@dataclass(slots=True)
class Sender:
    """Plays ``sent`` once to the client's ports, after ``before`` was called with a socket of a stranger's."""

    sent: Sequence[Packet]
    announces: bool = True
    transport: str = "RTP/AVP;unicast;client_port={client};server_port={server}"
    from_elsewhere: bool = False
    before: Callable[[socket.socket, tuple[str, int]], None] | None = None
    flood: Callable[[int], bytes] | None = None
    camera: Camera = field(default_factory=Camera)
    client: tuple[int, int] = (0, 0)
    heard: list[tuple[int, bytes]] = field(default_factory=list)
    _media: socket.socket = field(default_factory=lambda: _bound("127.0.0.1"))
    _control: socket.socket = field(default_factory=lambda: _bound("127.0.0.1"))
    _other: socket.socket = field(default_factory=lambda: _bound("127.0.0.1"))
    _stranger: socket.socket = field(default_factory=lambda: _bound(STRANGER))

    def _set_up(self, camera: Camera, asked: Request) -> bytes:
        found = _PORTS.search(asked.headers["transport"])
        assert found is not None
        self.client = int(found[1]), int(found[2])
        server = f"{self._media.getsockname()[1]}-{self._control.getsockname()[1]}"
        chosen = self.transport.format(client=f"{found[1]}-{found[2]}", server=server)
        if not self.announces:
            chosen = chosen.partition(";server_port")[0]
        return camera.ok(asked, "Session: 77;timeout=60", f"Transport: {chosen}")

    def _play(self, camera: Camera, asked: Request) -> bytes:
        place = ("127.0.0.1", self.client[0])
        if self.before is not None:
            self.before(self._stranger, place)
        source = self._other if self.from_elsewhere else self._media
        for packet in self.sent:
            source.sendto(raw(packet), place)
        return camera.ok(asked, "Session: 77")

    async def _flood(self) -> None:
        number = 0
        while self.flood is not None:
            if self.client[0]:
                for _ in range(20):
                    number += 1
                    self._stranger.sendto(self.flood(number), ("127.0.0.1", self.client[0]))
            await asyncio.sleep(0.001)

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[Camera]:
        """Listen on loopback while the block runs."""
        self.camera.answers |= {"SETUP": self._set_up, "PLAY": self._play}
        flood = asyncio.get_running_loop().create_task(self._flood())
        try:
            async with self.camera.listening():
                yield self.camera
        finally:
            flood.cancel()
            await asyncio.wait({flood})
            for sock in (self._media, self._control):
                sock.setblocking(False)
                while True:
                    try:
                        self.heard.append((int(sock is self._control), sock.recv(2048)))
                    except BlockingIOError:
                        break
            for sock in (self._media, self._control, self._other, self._stranger):
                sock.close()


def _bound(host: str) -> socket.socket:
    sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    sock.bind((host, 0))
    return sock
