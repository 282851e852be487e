"""What a Cisco endpoint says: one status tree, as xStatus lines in its shell or as XML over HTTP."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

from sentinel.lab.codec.state import INTERVAL, RATE, State

Leaf = tuple[tuple[str, ...], str, bool]
"""Path (a number follows the name that it is of), value, and whether the value is a text, which is quoted."""

GREETING = (
    "",
    "Welcome to lab-codec",
    "Lab Codec Release RoomOS 11.0.0 lab",
    "SW Release Date: 2026-01-01, lab",
    "*r Login successful",
    "",
    "OK",
    "",
)


def leaves(state: State) -> Iterator[Leaf]:
    """The whole status."""
    for path, value in _pairs(state):
        yield tuple(path.split()), str(value), isinstance(value, str) and not value.isalpha()


def _pairs(state: State) -> Iterator[tuple[str, Any]]:
    for number in range(1, state.microphones + 3):
        here = "Connected" if number <= state.microphones_there else "NotConnected"
        yield f"Audio Input Connectors Microphone {number} ConnectionStatus", here
        yield f"Audio Input Connectors Microphone {number} Mute", "Off"
    yield "Call 7 Direction", "Outgoing"
    yield "Call 7 DisplayName", "多点控制单元 1"
    yield "Call 7 Duration", int(state.up)
    yield "Call 7 Protocol", "sip"
    yield "Call 7 Status", "Connected"
    for number in range(1, state.cameras + 1):
        yield f"Cameras Camera {number} Connected", str(number <= state.cameras_there)
    if state.cameras_there < state.cameras:
        yield "Diagnostics Message 1 Description", "A camera is not connected: check its cable"
        yield "Diagnostics Message 1 Level", "Warning"
        yield "Diagnostics Message 1 Type", "CameraStatus"
    if not state.registered:
        yield "Diagnostics Message 2 Description", "The SIP registrar does not answer"
        yield "Diagnostics Message 2 Level", "Error"
        yield "Diagnostics Message 2 Type", "SIPProfileRegistration"
    yield "H323 Gatekeeper Address", "198.51.100.21"
    yield "H323 Gatekeeper Status", "Registered" if state.registered else "Rejected"
    yield from _channels(state)
    yield "SIP Registration 1 Reason", "" if state.registered else "408 Request Timeout"
    yield "SIP Registration 1 Status", "Registered" if state.registered else "Failed"
    yield "Standby State", "Off"
    yield "SystemUnit ProductId", "Lab Codec 1"
    yield "SystemUnit Software Version", "RoomOS 11.0.0 lab"
    yield "SystemUnit Uptime", int(state.up)
    yield "Video Input Connector 1 Connected", str(state.cameras_there > 0)
    yield "Video Input Connector 1 Type", "HDMI"
    yield "Video Input Connector 2 Connected", "False"
    yield "Video Input Connector 2 Type", "HDMI"


def _channels(state: State) -> Iterator[tuple[str, Any]]:
    channels = [("Audio", "Incoming"), ("Audio", "Outgoing"), ("Video", "Incoming"), ("Video", "Outgoing")]
    for number, (kind, direction) in enumerate(channels, 11):
        here = f"MediaChannels Call 7 Channel {number}"
        lost = state.lost if direction == "Incoming" else 0
        yield f"{here} Direction", direction
        yield f"{here} {kind} ChannelRole", "Main"
        yield f"{here} {kind} Protocol", "AACLD" if kind == "Audio" else "H264"
        yield f"{here} Netstat Jitter", state.jitter
        yield f"{here} Netstat LastIntervalLost", lost
        yield f"{here} Netstat LastIntervalReceived", RATE * INTERVAL - lost
        yield f"{here} Netstat Packets", RATE * int(state.up)
        yield f"{here} Type", kind


def answer(command: str, state: State) -> list[str]:
    """What the shell says to a line."""
    words = command.split()
    if not words:
        return []
    if [word.lower() for word in words] in (["echo", "off"], ["echo", "on"]):
        return ["", "OK", ""]
    if words[0].lower() != "xstatus":
        return ["", "Command not recognized.", ""]
    asked = [word.lower() for word in words[1:]]
    found = [leaf for leaf in leaves(state) if _below(leaf[0], asked)]
    lines = [f"*s {' '.join(path)}: " + (f'"{value}"' if text else value) for path, value, text in found]
    return [*lines, "** end", "", "OK", ""]


def _below(path: tuple[str, ...], asked: list[str]) -> bool:
    """Whether a path is asked for; numbers may be left out of the question."""
    names = [word.lower() for word in path]
    if not any(word.isdigit() for word in asked):
        names = [word for word in names if not word.isdigit()]
    return names[: len(asked)] == asked


def document(state: State) -> bytes:
    """The same as XML."""
    root = ET.Element("Status", {"product": "Lab Codec", "version": "RoomOS 11.0.0 lab", "apiVersion": "4"})
    known: dict[tuple[str, ...], ET.Element] = {(): root}
    for path, value, _ in leaves(state):
        steps: list[tuple[str, ...]] = []
        for word in path:
            if word.isdigit() and steps:
                steps[-1] = (steps[-1][0], word)
            else:
                steps.append((word,))
        place: tuple[str, ...] = ()
        for step in steps:
            inside, place = place, (*place, *step)
            if place not in known:
                more = {"item": step[1], "maxOccurrence": "n"} if len(step) > 1 else {}
                known[place] = ET.SubElement(known[inside], step[0], more)
        known[place].text = value
    body: bytes = ET.tostring(root, encoding="utf-8", xml_declaration=True)
    return body
