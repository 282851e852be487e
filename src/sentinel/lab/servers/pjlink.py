"""A projector for each port that a PJLink check looks at: Class 2, with a password where the check has one."""

from __future__ import annotations

import asyncio
import hashlib
import re
import secrets
from typing import Final

from sentinel.lab.faults import SLOW, TALK, Fault
from sentinel.lab.serving import OverTcp
from sentinel.lab.simulation import Ground, Service, Simulation

LAMP_FAILED: Final = "lamp-failed"
DISPLAY_OFF: Final = "display-off"
PROJECTOR: Final = "projector"

IDLE_SECONDS: Final = 30.0
"""After which a device ends a silent connection, as the standard has it."""

_QUESTION: Final = re.compile(r"(?s)([0-9a-f]{32})?%([12])([0-9A-Z]{4}) (.*)")
_HOURS: Final = (4321, 12)
_CLASS_2: Final = frozenset({"IRES", "RRES", "FREZ", "FILT", "SNUM", "SVER", "RLMP", "RFIL"})
_NOT_IN_STANDBY: Final = frozenset({"INPT", "AVMT", "IRES", "RRES", "FREZ"})


class Projector:
    """One device; it is on unless a fault says otherwise."""

    def __init__(self, service: Service, notes: list[str]) -> None:
        """Take password and input from the checks; two that contradict each other are told in ``notes``."""
        self.faults: frozenset[str] = frozenset()
        self._late = service.slow_seconds
        options = [check.options for check in service.own]
        passwords = {each.password.get_secret_value() for each in options if each.password is not None}
        inputs = {each.expect_input for each in options if each.expect_input is not None}
        if len(passwords) > 1 or len(inputs) > 1:
            notes.append(f"{service}: its checks expect different passwords or inputs")
        self._password = min(passwords, default="")
        shown = min(inputs, default="31")
        self._answers = {
            "INPT": shown,
            "INST": " ".join(dict.fromkeys(["11", "31", "32", shown])),
            "AVMT": "30",
            "NAME": service.target.name[:20],  # the standard has room for 64 bytes
            "INF1": "Sentinel",
            "INF2": "Lab projector",
            "INFO": "",
            "CLSS": "2",
            "IRES": "1920x1080",
            "RRES": "1920x1080",
            "FREZ": "0",
            "FILT": "321",
            "SNUM": f"LAB{service.port:05}",
            "SVER": "1.0",
            "RLMP": "LAB-LAMP-1",
            "RFIL": "LAB-FILTER-1",
        }

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Greet, see to the password, then answer until the client goes or is silent."""
        number = secrets.token_hex(4) if self._password else ""
        await self._say(writer, f"PJLINK 1 {number}" if number else "PJLINK 0")
        expected = hashlib.md5((number + self._password).encode(), usedforsecurity=False).hexdigest()
        while True:
            async with asyncio.timeout(IDLE_SECONDS):
                line = (await reader.readuntil(b"\r"))[:-1].decode("utf-8", "replace")
            found = _QUESTION.fullmatch(line)
            if number and (found is None or found[1] != expected):
                await self._say(writer, "PJLINK ERRA")
                return
            number = ""
            if found is not None:  # what is no command of the standard stays without an answer
                level, command, asked = found[2], found[3], found[4]
                await self._say(writer, f"%{level}{command}={self._answer(command, level, asked)}")

    def _answer(self, command: str, level: str, asked: str) -> str:
        standby = DISPLAY_OFF in self.faults
        known = {"POWR", "ERST", "LAMP", *self._answers}
        if command not in known or (command in _CLASS_2 and level == "1"):
            return "ERR1"
        if asked != "?":  # it is looked at only, never operated
            return "ERR2"
        if standby and command in _NOT_IN_STANDBY:
            return "ERR3"
        failed = LAMP_FAILED in self.faults
        lit = int(not standby and not failed)
        varying = {
            "POWR": "0" if standby else "1",
            "ERST": "021000" if failed else "000000",
            "LAMP": " ".join(f"{hours} {lit}" for hours in _HOURS),
        }
        return varying.get(command) or self._answers[command]

    async def _say(self, writer: asyncio.StreamWriter, text: str) -> None:
        if SLOW in self.faults:
            await asyncio.sleep(self._late / 20)  # a run has about as many answers
        writer.write(f"{text}\r".encode())
        await writer.drain()


async def _server(service: Service, ground: Ground) -> OverTcp:
    return OverTcp(service, Projector(service, ground.notes), ground.authority)


def _abilities(service: Service) -> frozenset[str]:
    del service
    return frozenset({TALK, PROJECTOR})


SIMULATION = Simulation(
    ("pjlink",),
    _server,
    abilities=_abilities,
    faults=(
        Fault(
            LAMP_FAILED,
            "The lamp has failed, and it is too warm: PJLink's error status says so.",
            "projectors",
            frozenset({PROJECTOR}),
        ),
        Fault(
            DISPLAY_OFF,
            "It is in standby, and cannot say what it shows.",
            "projectors and displays",
            frozenset({PROJECTOR}),
        ),
    ),
)
