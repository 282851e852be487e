"""GStreamer's RTSP server as a fixture's peer."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from tests.support.authority import Certificate
from tests.support.peers import SYSTEM_PYTHON, require
from tests.support.process import running

HOST = "127.0.0.1"
USER = "admin"
PASSWORD = "secret-1"

Auth = Literal["none", "basic", "digest"]


@dataclass(frozen=True, slots=True)
class GstRtsp:
    """A server that listens, with the mounts h264, h265, mjpeg, hd, black, white, blue, snow, frozen and stall.

    ``sound`` has an audio track as well, and so has ``sound-only``, whose video stalls after a second.
    """

    port: int
    auth: Auth
    tls: bool
    host: str = HOST
    user: str = USER
    password: str = PASSWORD

    def url(self, mount: str) -> str:
        """A mount's address, without the password."""
        return f"rtsp{'s' if self.tls else ''}://{self.host}:{self.port}/{mount}"


@contextlib.contextmanager
def serve(
    folder: Path,
    auth: Auth = "none",
    certificate: Certificate | None = None,
    *,
    udp_only: bool = False,
    session_timeout: int = 0,
) -> Iterator[GstRtsp]:
    """Run the server; with a certificate it speaks RTSPS only."""
    require("gst_rtsp")
    log = folder / "gst_rtsp.log"
    script = Path(__file__).with_name("gst_rtsp_server.py")
    command: list[str | Path] = [SYSTEM_PYTHON, script, "--host", HOST, "--auth", auth]
    command += ["--user", USER, "--password", PASSWORD]
    if certificate:
        command += ["--certificate", certificate.certificate, "--key", certificate.key]
    if udp_only:
        command.append("--udp-only")
    if session_timeout:
        command += ["--session-timeout", str(session_timeout)]
    # A virtual environment's variables and the coverage hook are meant for another interpreter.
    environment = {"GST_REGISTRY_FORK": "no", "PYTHONPATH": "", "PYTHONHOME": "", "COVERAGE_PROCESS_START": ""}
    with running(command, ready=lambda: _port(log) is not None, log=log, env=environment):
        port = _port(log)
        assert port is not None
        yield GstRtsp(port, auth, tls=certificate is not None)


def _port(log: Path) -> int | None:
    for line in log.read_text("utf-8", "replace").splitlines():
        word, _, port = line.partition(" ")
        if word == "ready" and port.isdecimal():
            return int(port)
    return None
