"""RTSP: cameras that play the lab's clip."""

from __future__ import annotations

from sentinel.lab.camera.server import Camera
from sentinel.lab.faults import NO_PACKETS, RTSP_HANG, RTSP_UNAUTHORIZED, TALK, Fault
from sentinel.lab.serving import OverTcp
from sentinel.lab.simulation import Ground, Service, Simulation

_RTSP = "rtsp"


async def _server(service: Service, ground: Ground) -> OverTcp:
    return OverTcp(service, Camera(service, await ground.clip()), ground.authority)


SIMULATION = Simulation(
    ("rtsp",),
    _server,
    abilities=lambda _: frozenset({TALK, _RTSP}),
    rank=30,
    faults=(
        Fault(RTSP_UNAUTHORIZED, "No login is good enough: DESCRIBE gets 401.", "cameras", frozenset({_RTSP})),
        Fault(RTSP_HANG, "The connection is taken, and no request is ever answered.", "cameras", frozenset({_RTSP})),
        Fault(NO_PACKETS, "PLAY is answered, and no picture comes.", "cameras", frozenset({_RTSP})),
    ),
)
