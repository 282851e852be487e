"""The first decoded key frame of a 1080p stream: our probe beside ffmpeg, against one GStreamer server.

python -m bench.rtsp [--probes N] [--json FILE]

CPU is that of the probe and its decoding process, or of ffmpeg's process; wall time is from the start to the picture,
and much of it is the server's: it starts an encoder for each client.
"""

from __future__ import annotations

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import uvloop

from bench.peers import cpu_seconds, finish, locate, options
from sentinel.app.clock import SystemClock
from sentinel.domain.target import Check, Target
from sentinel.engine.runner import measure
from sentinel.picture.decoding import decoder_pool
from sentinel.protocols.rtsp import PROTOCOL
from sentinel.sdk.protocol import Run
from tests.support.gst_rtsp import GstRtsp, serve

WALL_LIMIT = 0.6
LIMIT = 0.15  # of the CPU of ffmpeg with the same options

QUICK = ("-probesize", "32", "-analyzeduration", "0", "-fpsprobesize", "0")

Took = tuple[float, float]
"""CPU and wall seconds of one picture."""


async def _probe(server: GstRtsp, count: int) -> list[Took]:
    """``count`` probes one after another, by a daemon whose decoding process is there already."""
    given = PROTOCOL.options.model_validate({"port": server.port, "path": "/hd"})
    target = Target("camera", "camera", server.host, "camera", "internal")
    check = Check("camera.rtsp", "rtsp", target, "rtsp", "rtsp", given, interval=30, timeout=10, vantage="centre")
    clock = SystemClock()
    async with decoder_pool() as pool:
        await pool.prepare()
        [decoder] = pool.processes
        wall = []
        began = time.process_time() + cpu_seconds(decoder)
        for _ in range(count):
            measured = await measure(PROTOCOL, check, Run(clock.monotonic() + 10, pool), clock)
            if measured.failure is not None:
                sys.exit(f"rtsp: {measured.failure}: nothing was measured")
            wall.append(measured.took)
        used = time.process_time() + cpu_seconds(decoder) - began
    return [(used / count, seconds) for seconds in wall]


def _ffmpeg(server: GstRtsp, count: int, extra: tuple[str, ...]) -> list[Took]:
    """``count`` runs of ffmpeg that end with the first picture."""
    command = [locate("ffmpeg"), "-nostdin", "-v", "error", "-threads", "1", *extra, "-rtsp_transport", "tcp"]
    command += ["-i", server.url("hd"), "-frames:v", "1", "-f", "null", "-"]
    found = []
    for _ in range(count):
        began = time.monotonic()
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            sys.exit(f"rtsp: ffmpeg ended with {process.returncode}: nothing was measured")
        found.append((usage.ru_utime + usage.ru_stime, time.monotonic() - began))
    return found


def main() -> int:
    """Measure all sides and compare."""
    parser = options("rtsp", __doc__ or "")
    parser.add_argument("--probes", type=int, default=30, help="pictures of each side")
    chosen = parser.parse_args()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name, serve(Path(name)) as server:
        sides: dict[str, Callable[[], list[Took]]] = {
            "sentinel": lambda: uvloop.run(_probe(server, chosen.probes)),
            "ffmpeg, same options": lambda: _ffmpeg(server, chosen.probes, QUICK),
            "ffmpeg": lambda: _ffmpeg(server, max(3, chosen.probes // 5), ()),
        }
        for side, probe in sides.items():
            took = probe()
            figures[f"{side}, CPU ms"] = statistics.mean(cpu for cpu, _ in took) * 1e3
            figures[f"{side}, wall ms (median)"] = statistics.median(wall for _, wall in took) * 1e3
    ratio = figures["sentinel, CPU ms"] / figures["ffmpeg, same options, CPU ms"]
    wall = figures["sentinel, wall ms (median)"] / figures["ffmpeg, same options, wall ms (median)"]
    ratios = {"CPU of a 1080p picture": (ratio, LIMIT), "time to a 1080p picture": (wall, WALL_LIMIT)}
    return finish("rtsp", {**figures}, ratios, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
