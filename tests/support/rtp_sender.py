"""Sends a file as RTP payloads of 1,400 bytes, over and over, until the peer is gone or ten seconds have passed.

Run by its path: `rtp_sender.py FILE HOST PORT SSRC [TYPE] [udp|tcp|listen] [BYTES A SECOND]`.
"""

import contextlib
import socket
import struct
import sys
import time
from pathlib import Path


def main(file: str, host: str, port: str, ssrc: str, kind: str = "96", how: str = "udp", rate: str = "400000") -> None:
    """Send."""
    data = Path(file).read_bytes()
    with contextlib.ExitStack() as stack:
        if how == "udp":
            sock = stack.enter_context(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sock.connect((host, int(port)))
        elif how == "tcp":
            sock = stack.enter_context(socket.create_connection((host, int(port)), timeout=5))
        else:
            listener = stack.enter_context(socket.create_server((host, int(port))))
            listener.settimeout(10)
            sock = stack.enter_context(listener.accept()[0])
        began, sent, number = time.monotonic(), 0, 0
        while time.monotonic() < began + 10:
            for at in range(0, len(data), 1_400):
                payload = data[at : at + 1_400]
                last = at + 1_400 >= len(data)
                header = struct.pack("!BBHII", 0x80, int(kind) | last << 7, number & 0xFFFF, 3_600, int(ssrc))
                packet = header + payload
                sock.sendall(packet if how == "udp" else struct.pack("!H", len(packet)) + packet)
                number += 1
                sent += len(packet)
                time.sleep(max(0.0, began + sent / float(rate) - time.monotonic()))


if __name__ == "__main__":
    with contextlib.suppress(OSError):
        main(*sys.argv[1:])
