"""A camera by ipycam, on loopback alone; run by tests/support/onvif_peer.py in a process of its own.

Its own ``start`` would announce it to the network by multicast and listen on every address: only what is asked for
here is started, and that is ipycam's own.
"""

import argparse
import threading
import time

import numpy as np
from ipycam import CameraConfig, IPCamera  # type: ignore[import-untyped]  # it ships without types
from ipycam.camera import ReusableThreadingTCPServer  # type: ignore[import-untyped]
from ipycam.http import IPCameraHTTPHandler  # type: ignore[import-untyped]
from ipycam.rtsp import NativeRTSPServer  # type: ignore[import-untyped]

HOST = "127.0.0.1"


def main() -> None:
    """Serve until the process is ended."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--rtsp-port", type=int, required=True)
    parser.add_argument("--user", default="")
    parser.add_argument("--password", default="")
    given = parser.parse_args()
    config = CameraConfig(
        local_ip=HOST,
        onvif_port=given.port,
        rtsp_port=given.rtsp_port,
        username=given.user,
        password=given.password,
        main_width=640,
        main_height=360,
        show_timestamp=False,
    )
    camera = IPCamera(config)
    threading.Thread(target=_see, args=(camera,), daemon=True).start()
    streams = NativeRTSPServer(port=given.rtsp_port, host=HOST)
    streams.add_stream(config.main_stream_name, 640, 360, 30, "1M")
    streams.start()
    IPCameraHTTPHandler.camera = camera
    ReusableThreadingTCPServer((HOST, given.port), IPCameraHTTPHandler).serve_forever()


def _see(camera: IPCamera) -> None:
    random = np.random.default_rng(1)
    rows, columns = np.mgrid[0:360, 0:640]
    ground = np.stack([(rows // 40 * 25 + columns // 40 * 13 + shift) % 200 for shift in (0, 40, 90)], 2)
    while True:
        grain = random.integers(0, 12, (360, 640, 3))
        camera.stream((ground + grain).astype(np.uint8))
        time.sleep(0.2)


if __name__ == "__main__":
    main()
