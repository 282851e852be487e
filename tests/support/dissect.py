"""tshark as the judge of what we encode: packets in a capture file of our own, read by its dissectors."""

import json
import struct
import subprocess
from collections.abc import Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

from tests.support.peers import require

_RAW = 101  # LINKTYPE_RAW: packets begin with their IP header

Datagram = tuple[bytes, int, int]
"""Payload, source port, destination port."""


def dissect(folder: Path, datagrams: Sequence[Datagram], protocol: str) -> list[dict[str, Any]]:
    """What tshark makes of the payloads, one dictionary of the protocol's fields each; empty where it sees none."""
    capture = folder / "datagrams.pcap"
    with capture.open("wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65_535, _RAW))
        for number, datagram in enumerate(datagrams):
            packet = _packet(*datagram)
            file.write(struct.pack("<IIII", number, 0, len(packet), len(packet)) + packet)
    command = [require("tshark"), "-n", "-r", str(capture), "-T", "json", "-J", protocol]
    ended = subprocess.run(command, check=True, capture_output=True, timeout=60, cwd=folder)
    return [packet["_source"]["layers"].get(protocol, {}) for packet in json.loads(ended.stdout)]


def _packet(payload: bytes, source: int, destination: int) -> bytes:
    """IPv4 and UDP around it; without checksums, which tshark does not verify unless told to."""
    udp = struct.pack("!HHHH", source, destination, 8 + len(payload), 0) + payload
    loopback = IPv4Address("127.0.0.1").packed
    return struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 1, 0, 64, 17, 0) + 2 * loopback + udp
