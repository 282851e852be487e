"""RTSP: cameras that play the lab's clip."""

from __future__ import annotations

from sentinel.lab.camera.server import BLACK, FROZEN, LOSS, NO_SIGNAL, SNOW, SOUND_ONLY, Camera
from sentinel.lab.faults import NO_PACKETS, RTSP_HANG, RTSP_UNAUTHORIZED, TALK, Fault
from sentinel.lab.serving import OverTcp
from sentinel.lab.simulation import Ground, Service, Simulation

_RTSP = "rtsp"


async def _server(service: Service, ground: Ground) -> OverTcp:
    return OverTcp(service, Camera(service, await ground.clip(), ground.state), ground.authority)


SIMULATION = Simulation(
    ("rtsp",),
    _server,
    abilities=lambda _: frozenset({TALK, _RTSP}),
    rank=30,
    faults=(
        Fault(RTSP_UNAUTHORIZED, "No login is good enough: DESCRIBE gets 401.", "cameras", frozenset({_RTSP})),
        Fault(RTSP_HANG, "The connection is taken, and no request is ever answered.", "cameras", frozenset({_RTSP})),
        Fault(NO_PACKETS, "PLAY is answered, and no picture comes.", "cameras", frozenset({_RTSP})),
        Fault(SOUND_ONLY, "Sound runs, and no picture comes.", "cameras", frozenset({_RTSP})),
        Fault(LOSS, "One packet in twenty is lost on the way.", "cameras", frozenset({_RTSP})),
        Fault(FROZEN, "The picture stands still.", "cameras", frozenset({_RTSP})),
        Fault(BLACK, "The picture is black.", "cameras", frozenset({_RTSP})),
        Fault(NO_SIGNAL, "The picture is plain blue: the recorder has no signal.", "cameras", frozenset({_RTSP})),
        Fault(SNOW, "The picture is snow.", "cameras", frozenset({_RTSP})),
    ),
)
