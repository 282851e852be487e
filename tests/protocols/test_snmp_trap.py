"""SNMP notifications from Net-SNMP's snmptrap and snmpinform, and from those who mean no good."""

from __future__ import annotations

import asyncio
import random
import socket
import time
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from sentinel.domain.observation import Measurement
from sentinel.domain.target import Check
from sentinel.protocols.snmp_trap import PROTOCOL
from sentinel.protocols.snmp_trap.options import TrapOptions
from sentinel.protocols.snmp_trap.receiver import SOURCE_BURST, Receiver
from tests.support.peers import require
from tests.support.ports import free_port
from tests.support.probing import measure, target
from tests.unit.protocols.snmp import ber

HOST = "127.0.0.1"
LINK_DOWN, LINK_UP, COLD_START, AUTHENTICATION = (f"1.3.6.1.6.3.1.1.5.{n}" for n in (3, 4, 1, 5))
IF_INDEX, IF_DESCR, ADMIN = "1.3.6.1.2.1.2.2.1.1", "1.3.6.1.2.1.2.2.1.2", "1.3.6.1.2.1.2.2.1.7"
PORT_7 = (f"{IF_INDEX}.7", "i", "7", f"{IF_DESCR}.7", "s", "ge0/0/7")
V3 = {"version": "v3", "user": "watcher", "auth": "sha256", "auth_password": "auth-password-1"}
PRIVATE = {**V3, "privacy": "aes128", "privacy_password": "priv-password-1"}


class Inbox:
    """What the daemon's inbox does for one check, written down."""

    def __init__(self, checks: Sequence[Check], kept: Mapping[str, float] | None = None) -> None:
        self._checks = checks
        self.memory: Mapping[str, float] = dict(kept or {})
        self.reports: list[tuple[str, Measurement]] = []
        self.hastened: list[str] = []

    def checks(self) -> Sequence[Check]:
        return self._checks

    def report(self, check: str, measurement: Measurement) -> None:
        self.reports.append((check, measurement))

    def hasten(self, check: str) -> None:
        self.hastened.append(check)

    def kept(self, _check: str) -> Mapping[str, float]:
        return self.memory

    def keep(self, _check: str, memory: Mapping[str, float]) -> None:
        self.memory = dict(memory)


def check(port: int, address: str = HOST, **options: Any) -> Check:
    asked = TrapOptions.model_validate({"port": port, "hasten": ["agent"], **options})
    return Check("peer.traps", "traps", target(address), "p", "snmp_trap", asked, 30, 5, "centre")


@asynccontextmanager
async def listening(**options: Any) -> AsyncIterator[tuple[Receiver, Inbox, int]]:
    assert PROTOCOL.service is not None
    assert PROTOCOL.attach is not None
    port = free_port(HOST)
    async with PROTOCOL.service() as receiver:
        inbox = Inbox([check(port, **options)])
        PROTOCOL.attach(receiver, inbox)
        yield receiver, inbox, port


async def send(program: str, port: int, *arguments: str, folder: Path | None = None) -> int:
    """Its exit status: 0 of snmpinform means that it was acknowledged."""
    command = [require(program), *arguments[:1], *arguments[1:]]
    place = command.index("@")
    command[place] = f"{HOST}:{port}"
    environment = {"SNMP_PERSISTENT_DIR": str(folder or "/nonexistent"), "MIBS": "", "SNMPCONFPATH": "/nonexistent"}
    process = await asyncio.create_subprocess_exec(
        *command, env=environment, stdout=asyncio.subprocess.DEVNULL, stderr=asyncio.subprocess.DEVNULL
    )
    async with asyncio.timeout(10):
        return await process.wait()


def last(inbox: Inbox) -> Measurement:
    return inbox.reports[-1][1]


async def until(condition: Any) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0.01)


def who(privacy: bool = False, password: str = "auth-password-1", user: str = "watcher") -> tuple[str, ...]:  # noqa: FBT001, FBT002
    level = ("-l", "authPriv", "-x", "AES", "-X", "priv-password-1") if privacy else ("-l", "authNoPriv")
    return ("-v3", "-u", user, "-a", "SHA-256", "-A", password, *level)


V2C = ("-v2c", "-c", "public")


async def test_a_v2c_trap_fails_the_check_and_the_next_one_ends_it() -> None:
    async with listening() as (receiver, inbox, port):
        await send("snmptrap", port, *V2C, "@", "", LINK_DOWN, *PORT_7, f"{ADMIN}.7", "i", "1")
        await until(lambda: inbox.reports)
        id_, told = inbox.reports[-1]
        assert id_ == "peer.traps"
        assert told.failure is not None
        assert (told.failure.stage, told.failure.code) == ("trap", "reported")
        assert told.failure.detail == "端口 7 ge0/0/7 断开"
        assert told.facts["trap"] == "link-down (IF-MIB::linkDown)"
        assert told.values["problems"] == 1
        assert inbox.hastened == ["peer.agent"]
        assert inbox.memory == {"link 7": 1.0}
        seen = await measure(PROTOCOL, target(), inbox.checks()[0].options, service=receiver)
        assert seen.failure == told.failure  # the probe says the same
        await send("snmptrap", port, *V2C, "@", "", LINK_UP, f"{IF_INDEX}.8", "i", "8")
        await until(lambda: len(inbox.reports) == 2)
        assert last(inbox).failure is not None  # another port
        await send("snmptrap", port, *V2C, "@", "", LINK_UP, f"{IF_INDEX}.7", "i", "7")
        await until(lambda: len(inbox.reports) == 3)
        assert last(inbox).failure is None
        assert inbox.memory == {}
        assert receiver.counts() == {"received": {"": 3.0}, "dropped": {}}


async def test_a_v1_trap_is_translated() -> None:
    """RFC 3584 section 3.1: generic 2 is linkDown; specific ones hang below their enterprise."""
    async with listening() as (_, inbox, port):
        await send(
            "snmptrap", port, "-v1", "-c", "public", "@", "1.3.6.1.4.1.32473", "192.0.2.9", "2", "0", "", *PORT_7
        )
        await until(lambda: inbox.reports)
        assert last(inbox).failure is not None
        await send("snmptrap", port, "-v1", "-c", "public", "@", "1.3.6.1.4.1.32473", "192.0.2.9", "6", "42", "")
        await until(lambda: len(inbox.reports) == 2)
        assert inbox.reports[-1][1].facts["trap"] == "SNMPv2-SMI::enterprises.32473.0.42"


async def test_a_port_that_people_switched_off_is_no_fault() -> None:
    async with listening() as (_, inbox, port):
        await send("snmptrap", port, *V2C, "@", "", LINK_DOWN, *PORT_7, f"{ADMIN}.7", "i", "2")
        await until(lambda: inbox.reports)
        assert last(inbox).failure is None


@pytest.mark.parametrize("privacy", [False, True], ids=["signed", "encrypted"])
async def test_v3_traps_and_informs(tmp_path: Path, *, privacy: bool) -> None:
    async with listening(**(PRIVATE if privacy else V3)) as (_, inbox, port):
        await send(
            "snmptrap", port, *who(privacy), "-e", "0x80001f8801020304", "@", "", LINK_DOWN, *PORT_7, folder=tmp_path
        )
        await until(lambda: inbox.reports)
        assert last(inbox).failure is not None
        status = await send(
            "snmpinform", port, *who(privacy), "@", "", LINK_UP, f"{IF_INDEX}.7", "i", "7", folder=tmp_path
        )
        assert status == 0
        assert last(inbox).failure is None


async def test_a_v2c_inform_is_acknowledged_and_its_repetition_counts_once() -> None:
    async with listening() as (receiver, inbox, port):
        assert await send("snmpinform", port, *V2C, "@", "", COLD_START) == 0
        assert len(inbox.reports) == 1
        inform = ber.v2c(ber.pdu(0xA6, 77, [(UPTIME, ber.ticks(1)), (TRAP_OID, ber.oid(COLD_START))]))
        answers: list[bytes] = []
        for _ in range(3):
            receiver.take(inform, HOST, port, answers.append)
        assert len(answers) == 3
        assert len(inbox.reports) == 2
        assert receiver.dropped == {"repeated": 2}


UPTIME, TRAP_OID = "1.3.6.1.2.1.1.3.0", "1.3.6.1.6.3.1.1.4.1.0"


def trap(oid: str = COLD_START, number: int = 1, community: bytes = b"public") -> bytes:
    return ber.v2c(ber.pdu(0xA7, number, [(UPTIME, ber.ticks(1)), (TRAP_OID, ber.oid(oid))]), community)


def silent(_: bytes) -> None:
    """Nobody to answer."""


@pytest.mark.parametrize(
    ("arguments", "reason"),
    [
        (who(password="wrong-password"), "unauthorized"),
        (who(user="stranger"), "unauthorized"),
        (("-v3", "-u", "watcher", "-l", "noAuthNoPriv"), "unauthorized"),
        (who(privacy=True), "unauthorized"),
        (V2C, "unauthorized"),
    ],
    ids=["password", "user", "unsigned", "level", "v2c"],
)
async def test_what_is_not_signed_by_the_user_is_not_believed(
    tmp_path: Path, arguments: tuple[str, ...], reason: str
) -> None:
    async with listening(**V3) as (receiver, inbox, port):
        engine = ("-e", "0x80001f8801020304") if arguments[0] == "-v3" else ()
        await send("snmptrap", port, *arguments, *engine, "@", "", LINK_DOWN, *PORT_7, folder=tmp_path)
        await until(lambda: receiver.dropped)
        assert receiver.dropped == {reason: 1}
        assert inbox.reports == []


async def test_an_inform_with_a_wrong_password_is_not_acknowledged(tmp_path: Path) -> None:
    async with listening(**V3) as (_, inbox, port):
        wrong = who(password="wrong-password")
        status = await send("snmpinform", port, *wrong, "-t", "0.3", "-r", "0", "@", "", COLD_START, folder=tmp_path)
        assert status != 0
        assert inbox.reports == []


async def test_a_wrong_community_and_a_stranger_are_counted() -> None:
    async with listening() as (receiver, inbox, port):
        receiver.take(trap(community=b"guess"), HOST, port, silent)
        receiver.take(trap(), "192.0.2.77", port, silent)
        receiver.take(trap(), HOST, port + 1, silent)
        assert receiver.dropped == {"unauthorized": 1, "unknown_source": 2}
        assert inbox.reports == []


@asynccontextmanager
async def recorded(folder: Path, *arguments: str) -> AsyncIterator[bytes]:
    """The datagram that snmptrap sends, caught on the way."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sock.bind((HOST, 0))
        sock.setblocking(False)
        await send("snmptrap", sock.getsockname()[1], *arguments, folder=folder)
        async with asyncio.timeout(5):
            yield await asyncio.get_running_loop().sock_recv(sock, 65_535)


async def test_a_v3_trap_that_is_sent_again_or_changed_is_dropped(tmp_path: Path) -> None:
    arguments = (*who(privacy=True), "-e", "0x80001f8801020304", "@", "", LINK_DOWN, *PORT_7)
    async with listening(**PRIVATE) as (receiver, inbox, port), recorded(tmp_path, *arguments) as genuine:
        for place in range(len(genuine)):
            changed = bytearray(genuine)
            changed[place] ^= 0x20
            receiver._sources[HOST]._left = SOURCE_BURST
            receiver.take(bytes(changed), HOST, port, silent)
        assert inbox.reports == []
        receiver.take(genuine, HOST, port, silent)
        assert len(inbox.reports) == 1
        receiver.take(genuine, HOST, port, silent)
        assert len(inbox.reports) == 1
        assert receiver.dropped["repeated"] == 1


async def test_an_old_trap_of_a_known_sender_is_out_of_time(tmp_path: Path) -> None:
    """RFC 3414 section 3.2, 7b: boots that went back, or more than 150 s behind the latest."""
    engine = ("-e", "0x80001f8801020304")
    tail = ("@", "", COLD_START)
    async with listening(**V3) as (receiver, inbox, port):
        for clock, reports in (("3,5000", 1), ("3,4900", 2), ("3,4000", 2), ("2,9000", 2), ("4,10", 3)):
            async with recorded(tmp_path, *who(), *engine, "-Z", clock, *tail) as data:
                receiver.take(data, HOST, port, silent)
            assert len(inbox.reports) == reports, clock
        assert receiver.dropped == {"out_of_time": 2}


async def test_a_storm_is_bounded_and_leaves_other_devices_their_word() -> None:
    assert PROTOCOL.service is not None
    port = free_port(HOST)
    async with PROTOCOL.service() as receiver:
        other = Check(
            "quiet.traps", "traps", target("127.0.0.9", id="quiet"), "p", "snmp_trap", check(port).options, 30, 5, "c"
        )
        inbox = Inbox([check(port), other])
        receiver.attach(inbox)
        data = trap()
        started = time.process_time()
        for _ in range(100_000):
            receiver.take(data, HOST, port, silent)
        used = time.process_time() - started
        assert used < 2  # ten seconds of a storm of ten thousand a second
        assert len(inbox.reports) <= SOURCE_BURST + 20 * 10
        assert receiver.dropped["source_limit"] >= 99_000
        before = len(inbox.reports)
        receiver.take(data, "127.0.0.9", port, silent)
        assert [id_ for id_, _ in inbox.reports[before:]] == ["quiet.traps"]


async def test_a_flood_on_the_socket_leaves_the_loop_its_turns() -> None:
    async with listening() as (receiver, inbox, port):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
            sender.connect((HOST, port))
            slowest, last = 0.0, time.monotonic()
            for _ in range(100):
                for _ in range(200):
                    sender.send(b"\x30" * 100)
                await asyncio.sleep(0)
                slowest, last = max(slowest, time.monotonic() - last), time.monotonic()
            await until(lambda: receiver.received >= 1000)
        assert slowest < 1
        assert set(receiver.dropped) <= {"malformed", "source_limit"}
        assert inbox.reports == []


async def test_garbage_is_counted_and_nothing_else_happens() -> None:
    chance = random.Random(9)
    sound = [trap(LINK_DOWN), trap(), ber.v2c(ber.pdu(0xA6, 1, [(TRAP_OID, ber.oid(COLD_START))]))]
    bombs = [
        b"\x30\x80" * 4000,
        b"\x30\x84\xff\xff\xff\xff",
        b"\x30" * 16_000,
        b"",
        b"\x30\x82\x40\x00" + b"\x30\x02" * 8000,
    ]
    many = ber.v2c(ber.pdu(0xA7, 1, [(f"1.3.6.1.{n}", ber.integer(1)) for n in range(500)]))
    deep = ber.v2c(ber.tlv(0xA7, ber.tlv(0x02, b"\x01" * 5000)))
    async with listening() as (receiver, inbox, port):
        for data in [*bombs, many, deep, b"\xff" * 20_000]:
            receiver.take(data, HOST, port, silent)
        assert inbox.reports == []
        assert receiver.dropped == {"malformed": 8}
        for number in range(3000):
            broken = bytearray(chance.choice(sound))
            for _ in range(chance.randint(1, 3)):
                broken[chance.randrange(len(broken))] = chance.randrange(256)
            receiver._sources[HOST]._left = receiver._total._left = SOURCE_BURST
            receiver.take(
                bytes(broken[: chance.randrange(len(broken))] if number % 3 == 0 else broken), HOST, port, silent
            )


async def test_hostile_text_is_one_bounded_line() -> None:
    async with listening() as (receiver, inbox, port):
        rows = [(UPTIME, ber.ticks(1)), (TRAP_OID, ber.oid(LINK_DOWN)), (f"{IF_INDEX}.7", ber.integer(7))]
        rows.append((f"{IF_DESCR}.7", ber.octets(b"a\r\n\x1b[31m{0}{1}" + b"x" * 5000)))
        receiver.take(ber.v2c(ber.pdu(0xA7, 1, rows)), HOST, port, silent)
        failure = last(inbox).failure
        assert failure is not None
        assert failure.detail.isprintable()
        assert len(failure.detail) < 250


async def test_what_is_open_is_bounded_and_survives_a_restart() -> None:
    assert PROTOCOL.service is not None
    async with listening() as (receiver, inbox, port):
        for index in range(200):
            rows = [(TRAP_OID, ber.oid(LINK_DOWN)), (f"{IF_INDEX}.{index}", ber.integer(index))]
            receiver._sources[HOST]._left = SOURCE_BURST
            receiver.take(ber.v2c(ber.pdu(0xA7, index, rows)), HOST, port, silent)
        assert inbox.reports[-1][1].values["problems"] == 64
        kept = inbox.memory
    async with PROTOCOL.service() as receiver:
        again = Inbox([check(port)], {**kept, "nonsense 1": 1.0})
        receiver.attach(again)
        seen = await measure(PROTOCOL, target(), again.checks()[0].options, service=receiver)
        assert seen.values["problems"] == 64
        receiver.take(trap(LINK_UP), HOST, port, silent)  # without an index: all of them
        assert last(again).failure is None


async def test_a_failure_that_nothing_ends_is_over_in_its_time() -> None:
    clock = [1000.0]
    receiver = Receiver(lambda: clock[0])
    inbox = Inbox([check(port := free_port(HOST))])
    receiver.attach(inbox)
    receiver.take(trap(AUTHENTICATION), HOST, port, silent)
    assert last(inbox).failure is not None
    assert inbox.memory == {}
    clock[0] += 601
    receiver.take(trap("1.3.6.1.4.1.32473.0.1"), HOST, port, silent)
    assert last(inbox).failure is None
    receiver.close()


async def test_a_ups_on_its_battery() -> None:
    ups = "1.3.6.1.2.1.33"
    async with listening(profile="traps-ups") as (_, inbox, port):
        battery = (f"{ups}.1.2.3.0", "i", "12", f"{ups}.1.2.2.0", "i", "90", f"{ups}.1.9.7.0", "i", "5")
        await send("snmptrap", port, *V2C, "@", "", f"{ups}.2.1", *battery)
        await until(lambda: inbox.reports)
        failure = last(inbox).failure
        assert failure is not None
        assert failure.detail == "市电中断，电池供电 90 秒，预计还可支持 12 分钟"
        removed = (f"{ups}.1.6.2.1.1.3", "i", "3", f"{ups}.1.6.2.1.2.3", "o", f"{ups}.1.6.3.2")
        await send("snmptrap", port, *V2C, "@", "", f"{ups}.2.4", *removed)
        await until(lambda: len(inbox.reports) == 2)
        assert last(inbox).failure is None


async def test_a_port_that_somebody_else_has_is_ours_to_mend() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as taken:
        taken.bind((HOST, 0))
        port = taken.getsockname()[1]
        seen = await measure(PROTOCOL, target(), {"port": port}, timeout=1)
    assert seen.failure is not None
    assert seen.failure.local
    assert (seen.failure.stage, seen.failure.code) == ("prepare", "no_resource")
    assert str(port) in seen.failure.detail


async def test_a_probe_by_hand_waits_for_one() -> None:
    port = free_port(HOST)
    async with asyncio.TaskGroup() as group:
        probing = group.create_task(measure(PROTOCOL, target(), {"port": port}, timeout=8))
        while not probing.done():
            await send("snmptrap", port, *V2C, "@", "", COLD_START)
    assert probing.result().failure is None
    assert probing.result().facts["trap"] == "cold-start (SNMPv2-MIB::coldStart)"
    quiet = await measure(PROTOCOL, target(), {"port": port}, timeout=0.4)
    assert quiet.failure is None
    assert quiet.values["traps"] == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"version": "v3", "user": "u"}, "v3 needs a user and auth"),
        ({"user": "u"}, "are for version: v3"),
        ({"listen": "somewhere"}, "listen is an address"),
        ({"profile": "interfaces"}, "snmp_trap"),
        ({"profile": "no-such"}, "there are: traps-standard, traps-ups"),
    ],
)
def test_what_can_not_work_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ValueError, match=said):
        TrapOptions.model_validate(options)


def test_a_profile_whose_failure_nothing_ends_is_refused() -> None:
    from sentinel.protocols.snmp_trap.profile import TrapProfile
    from sentinel.sdk.profiles import parse

    text = "protocol: snmp_trap\ndescription: x\ntraps:\n  a: {oid: 1.3.6.1.4.1, state: failed, problem: b}\n"
    with pytest.raises(ValueError, match="nothing ends it"):
        parse(text, TrapProfile)
