"""What MCUs say over HTTP: a Cisco Meeting Server's XML, a Pexip Infinity's JSON."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import urlsplit
from uuid import NAMESPACE_URL, uuid5
from xml.etree import ElementTree as ET

from sentinel.lab.codec.state import State

CONFERENCE = "视频调度会（演示）"


def _id(name: str) -> str:
    return str(uuid5(NAMESPACE_URL, f"lab:{name}"))


def cms(path: str, state: State) -> bytes | None:
    """The page of a Cisco Meeting Server below ``/api/v1``; None where there is none."""
    parts = urlsplit(path).path.removeprefix("/api/v1/").split("/")
    legs = {_id(name): (name, through) for name, through in state.participants}
    match parts:
        case ["calls"]:
            root = ET.Element("calls", total="1")
            ET.SubElement(ET.SubElement(root, "call", id=_id(CONFERENCE)), "name").text = CONFERENCE
        case ["calls", id_] if id_ == _id(CONFERENCE):
            root = ET.Element("call", id=id_)
            ET.SubElement(root, "name").text = CONFERENCE
            ET.SubElement(root, "numCallLegs").text = str(len(legs))
            ET.SubElement(root, "numParticipantsLocal").text = str(len(legs))
            ET.SubElement(root, "numParticipantsRemote").text = "0"
        case ["callLegs"]:
            root = ET.Element("callLegs", total=str(len(legs)))
            for id_, (name, _) in legs.items():
                ET.SubElement(ET.SubElement(root, "callLeg", id=id_), "name").text = name
        case ["callLegs", id_] if id_ in legs:
            root = _leg(id_, *legs[id_], state)
        case ["system", "status"]:
            root = ET.Element("status")
            ET.SubElement(root, "softwareVersion").text = "3.9 lab"
            ET.SubElement(root, "uptimeSeconds").text = str(int(state.up))
        case ["system", "alarms"]:
            root = ET.Element("alarms", total="0")
        case _:
            return None
    body: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return body


def _leg(id_: str, name: str, through: bool, state: State) -> ET.Element:  # noqa: FBT001 - a participant's two facts
    root = ET.Element("callLeg", id=id_)
    ET.SubElement(root, "name").text = name
    status = ET.SubElement(root, "status")
    ET.SubElement(status, "state").text = "connected" if through else "ringing"
    if not through:
        return root
    for medium in ("rxAudio", "txAudio", "rxVideo", "txVideo"):
        one = ET.SubElement(status, medium, {"role": "main"} if "Video" in medium else {})
        ET.SubElement(one, "codec").text = "h264" if "Video" in medium else "aac"
        ET.SubElement(one, "packetLossPercentage").text = f"{state.loss_percent if medium[0] == 'r' else 0:.1f}"
        ET.SubElement(one, "jitter").text = str(state.jitter)
    return root


def pexip(path: str, state: State) -> bytes | None:
    """The page of a Pexip Infinity below ``/api/admin/status/v1``; None where there is none."""
    parts = urlsplit(path).path.removeprefix("/api/admin/status/v1/").strip("/").split("/")
    legs = {_id(name): (name, through) for name, through in state.participants}
    found: list[dict[str, Any]]
    match parts:
        case ["conference"]:
            found = [{"id": _id(CONFERENCE), "name": CONFERENCE, "is_locked": False}]
        case ["participant"]:
            found = [
                {"id": id_, "display_name": name, "conference": CONFERENCE, "has_media": through}
                for id_, (name, through) in legs.items()
            ]
        case ["participant", id_, "media_stream"] if id_ in legs:
            found = [
                {"id": str(number), "type": kind, "rx_packet_loss": state.loss_percent, "rx_jitter": state.jitter}
                for number, kind in enumerate(("audio", "video"))
                if legs[id_][1]
            ]
        case _:
            return None
    return json.dumps({"meta": {"total_count": len(found)}, "objects": found}, ensure_ascii=False).encode()
