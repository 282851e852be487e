"""The state of a conference set or an MCU, from which whatever it says is made."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

UNREGISTERED: Final = "unregistered"
PACKET_LOSS: Final = "packet-loss"
CAMERA_UNPLUGGED: Final = "camera-unplugged"
MICROPHONE_UNPLUGGED: Final = "microphone-unplugged"
MCU_NOT_FULL: Final = "mcu-not-full"
MCU_PARTLY: Final = "mcu-partly-connected"

RATE: Final = 48
"""Packets of a channel a second."""

INTERVAL: Final = 5
"""Seconds over which an endpoint counts what is lost."""


@dataclass(frozen=True, slots=True)
class State:
    """What is so at a moment.  ``up`` is seconds since the lab began; ``full`` is how many a full conference has."""

    name: str
    faults: frozenset[str]
    up: float
    full: int = 4
    cameras: int = 1
    microphones: int = 2

    @property
    def registered(self) -> bool:
        """With the gatekeeper and the SIP server."""
        return UNREGISTERED not in self.faults

    @property
    def lost(self) -> int:
        """Packets of an interval that did not come."""
        return RATE * INTERVAL // 20 if PACKET_LOSS in self.faults else 0

    @property
    def received(self) -> int:
        """Packets of an interval that came."""
        return RATE * INTERVAL - self.lost

    @property
    def loss_percent(self) -> float:
        """Of what was sent."""
        return 100 * self.lost / (self.lost + self.received)

    @property
    def jitter(self) -> int:
        """Milliseconds; it varies."""
        return 3 + int(self.up) % 5 + (30 if PACKET_LOSS in self.faults else 0)

    @property
    def cameras_there(self) -> int:
        """Cameras that are connected."""
        return max(0, self.cameras - (CAMERA_UNPLUGGED in self.faults))

    @property
    def microphones_there(self) -> int:
        """Microphones that are connected."""
        return max(0, self.microphones - (MICROPHONE_UNPLUGGED in self.faults))

    @property
    def participants(self) -> tuple[tuple[str, bool], ...]:
        """Who is in the conference, and whether connected through."""
        here = max(0, self.full - (2 if MCU_NOT_FULL in self.faults else 0))
        return tuple(
            (f"会场{number:02}", not (number == 1 and MCU_PARTLY in self.faults)) for number in range(1, here + 1)
        )
