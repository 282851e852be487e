"""The session description of a live picture (GB/T 28181-2016, 9.2 and annex F; 2022, 9.2): our offer, its answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

from sentinel.protocols.gb28181.receivers import Media
from sentinel.wire import sdp

OFFERED: Final = {96: "PS", 97: "MPEG4", 98: "H264", 99: "H265"}
"""Payload types as every platform offers them."""

_SSRC: Final = re.compile(rb"^y\s*=\s*([0-9]{1,10})", re.MULTILINE)
_SETUP: Final = {"tcp-passive": "passive", "tcp-active": "active"}


@dataclass(frozen=True, slots=True)
class Answer:
    """What the device says: where its media comes from, ``ssrc`` of its y= line, encodings by payload type."""

    host: str
    port: int
    ssrc: int | None
    meanings: dict[int, str]


def ssrc_of(server_id: str, number: int) -> str:
    """The ten digits of y= (2016, annex F): 0 for live, five of our domain, and a number of this picture's."""
    return f"0{server_id[3:8]}{number % 10_000:04d}"


def offer(server_id: str, address: str, port: int, media: Media, ssrc: str) -> bytes:
    """What we offer to receive, at an address and port of ours."""
    kind = "IP6" if ":" in address else "IP4"
    transport = "RTP/AVP" if media == "udp" else "TCP/RTP/AVP"
    lines = [
        "v=0",
        f"o={server_id} 0 0 IN {kind} {address}",
        "s=Play",
        f"c=IN {kind} {address}",
        "t=0 0",
        f"m=video {port} {transport} {' '.join(map(str, OFFERED))}",
        "a=recvonly",
        *(f"a=rtpmap:{number} {name}/90000" for number, name in OFFERED.items()),
    ]
    if media != "udp":
        lines += [f"a=setup:{_SETUP[media]}", "a=connection:new"]
    lines += [f"y={ssrc}", "f=v/////a///", ""]
    return "\r\n".join(lines).encode()


def answered(body: bytes) -> Answer:
    """Read the answer.

    Raises:
        MalformedDescription: it is none, or has no video.
    """
    description = sdp.parse(body)
    video = next((media for media in description.media if media.kind == "video"), None)
    if video is None:
        raise sdp.MalformedDescription("no video in the answer")
    connection = (video.connection or description.connection or "").split()
    found = _SSRC.search(body)
    maps = {number: video.rtpmap(number) for number in video.payload_types}
    meanings = OFFERED | {number: one.encoding for number, one in maps.items() if one is not None}
    ssrc = int(found[1]) if found is not None else None
    return Answer(connection[2] if len(connection) == 3 else "", video.port, ssrc, meanings)
