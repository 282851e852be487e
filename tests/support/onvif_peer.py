"""ipycam, a camera that speaks ONVIF, as a peer."""

import contextlib
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.ports import free_port
from tests.support.process import accepts, running

HOST = "127.0.0.1"
USER = "operator"
PASSWORD = "secret-2"


@dataclass(frozen=True, slots=True)
class OnvifCamera:
    """A camera that listens; it wants a login for all that it is asked where it has one."""

    port: int
    rtsp_port: int
    host: str = HOST
    user: str = USER
    password: str = PASSWORD


@contextlib.contextmanager
def serve(folder: Path, *, login: bool = False) -> Iterator[OnvifCamera]:
    """Run the camera."""
    camera = OnvifCamera(free_port(HOST), free_port(HOST))
    script = Path(__file__).with_name("onvif_camera.py")
    command: list[str | Path] = [sys.executable, script, "--port", str(camera.port)]
    command += ["--rtsp-port", str(camera.rtsp_port)]
    if login:
        command += ["--user", USER, "--password", PASSWORD]

    def ready() -> bool:
        return accepts(HOST, camera.port) and accepts(HOST, camera.rtsp_port)

    with running(command, ready=ready, log=folder / "ipycam.log", within=30):
        yield camera
