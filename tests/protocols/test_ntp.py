"""ntp against chrony, and against servers that lie, refuse, or say nothing."""

import asyncio
import contextlib
import struct
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.protocols.ntp import PROTOCOL, NtpOptions
from tests.support.fixtures import NewFolder, StartHostile
from tests.support.hostile import Manner
from tests.support.peers import require
from tests.support.ports import free_port
from tests.support.probing import measure, target
from tests.support.process import running

HOST = "127.0.0.1"
CHRONY = """
{local}
allow 127.0.0.0/8
port {port}
bindaddress 127.0.0.1
cmdport 0
bindcmdaddress /
pidfile {folder}/chronyd.pid
driftfile {folder}/drift
"""

Reply = Callable[[bytes], list[bytes]]


@contextlib.contextmanager
def chrony(folder: Path, local: str) -> Iterator[int]:
    """A time server that leaves this machine's clock alone."""
    port = free_port(HOST)
    (folder / "chrony.conf").write_text(CHRONY.format(local=local, port=port, folder=folder), "utf-8")
    log = folder / "chronyd.log"
    command: list[str | Path] = [require("chronyd"), "-d", "-x", "-u", "root", "-f", folder / "chrony.conf"]
    with running(command, ready=lambda: "Disabled control of system clock" in log.read_text("utf-8"), log=log):
        yield port


@pytest.fixture(scope="module")
def server(new_folder: NewFolder) -> Iterator[int]:
    with chrony(new_folder("chrony"), "local stratum 9") as port:
        yield port


def reply(question: bytes, ahead: float = 0.0, **fields: Any) -> bytes:
    """A stratum 1 server's answer; its clock is ``ahead`` seconds ahead of ours."""
    now = time.time() + ahead + 2_208_988_800  # noqa: TID251 - a server's clock
    stamp = int(now * 2**32) % 2**64
    told: dict[str, Any] = {
        "flags": 0x24,
        "stratum": 1,
        "reference": b"GPS\0",
        "origin": question[40:48],
        "told": stamp,
    } | fields
    packet: bytes = (
        struct.pack("!BBbbII", told["flags"], told["stratum"], 6, -20, 0x8000, 0x1_0000)
        + told["reference"]
        + struct.pack("!Q", (stamp - (10 << 32)) % 2**64)
        + told["origin"]
        + struct.pack("!QQ", stamp, told["told"])
    )
    return packet


@asynccontextmanager
async def answering(answers: Reply) -> AsyncIterator[int]:
    """A server that answers each question with these datagrams; its port."""

    class Server(asyncio.DatagramProtocol):
        def connection_made(self, transport: Any) -> None:
            self.transport = transport

        def datagram_received(self, data: bytes, addr: Any) -> None:
            for answer in answers(data):
                self.transport.sendto(answer, addr)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Server, local_addr=(HOST, 0))
    try:
        yield transport.get_extra_info("sockname")[1]
    finally:
        transport.close()


async def ask(port: int, seconds: float = 5.0, **options: Any) -> Measurement:
    return await measure(PROTOCOL, target(HOST), {"port": port, "interval": 0.02, **options}, seconds)


def cause(failure: Failure | None) -> tuple[str, str] | None:
    return None if failure is None else (failure.stage, failure.code)


async def test_chrony_tells_the_time(server: int) -> None:
    measured = await ask(server)
    assert measured.failure is None, measured.failure
    values = measured.values
    assert abs(values["offset_seconds"]) < 0.05  # one clock, read by two programs
    assert 0 <= values["delay_seconds"] < 0.2
    assert (values["stratum"], values["leap"], values["loss_ratio"]) == (9, 0, 0)
    assert 0 < values["precision_seconds"] < 0.001
    assert values["root_distance_seconds"] >= values["delay_seconds"] / 2
    assert measured.facts == {"version": "4", "reference": "127.127.1.1"}  # chrony's name for its own clock
    assert set(measured.stages) == {"connect", "exchange", "expect"}


async def test_chrony_without_a_source_is_not_synchronised(new_folder: NewFolder) -> None:
    with chrony(new_folder("chrony"), "") as port:
        measured = await ask(port)
        allowed = await ask(port, synchronised=False)
    assert cause(measured.failure) == ("expect", "mismatch")
    assert allowed.failure is None
    assert (allowed.values["leap"], allowed.values["stratum"]) == (3, 16)


@pytest.mark.parametrize("ahead", [3600.0, -0.25, 400_000_000.0], ids=["an hour", "a quarter", "in the next era"])
async def test_the_offset_is_how_far_the_server_is_ahead(ahead: float) -> None:
    async with answering(lambda question: [reply(question, ahead)]) as port:
        measured = await ask(port)
    assert measured.failure is None, measured.failure
    assert measured.values["offset_seconds"] == pytest.approx(ahead, abs=0.1)
    assert measured.values["root_delay_seconds"] == 0.5
    assert measured.values["root_dispersion_seconds"] == 1.0
    assert measured.values["reference_age_seconds"] == pytest.approx(10)
    assert measured.facts["reference"] == "GPS"


async def test_our_own_clock_may_be_set_meanwhile(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = iter([0, 0, 7200, 7200, 7200, 7200])  # the wall clock jumps while a question is under way

    def late(question: bytes) -> list[bytes]:
        monkeypatch.setattr(time, "time_ns", lambda: real() + next(steps) * 10**9)
        return [reply(question)]

    real = time.time_ns
    async with answering(late) as port:
        measured = await ask(port, samples=1)
    assert measured.failure is None
    assert abs(measured.values["offset_seconds"]) < 0.1
    assert measured.values["delay_seconds"] < 0.5


async def test_the_quickest_answer_counts_and_lost_ones_are_counted() -> None:
    questions: list[bytes] = []

    def answer(question: bytes) -> list[bytes]:
        questions.append(question)
        if len(questions) == 2:
            return []
        if len(questions) != 3:
            time.sleep(0.05)  # on its way, as far as the asker can tell
        return [reply(question, 5.0 if len(questions) == 3 else 9.0)]

    async with answering(answer) as port:
        measured = await ask(port, samples=4)
    assert measured.failure is None
    assert measured.values["loss_ratio"] == 0.25
    assert measured.values["offset_seconds"] == pytest.approx(5, abs=0.04)
    assert measured.took < 3  # the lost one is not waited for until the deadline
    assert len(questions) == len({question[40:] for question in questions}) == 4
    assert all(question[0] == 0x23 and question[1:40] == bytes(39) for question in questions)  # our time is not told


@pytest.mark.parametrize(
    "forge",
    [
        lambda question: reply(question, 3600, origin=bytes(8)),
        lambda question: reply(question, 3600, flags=0x23),
        lambda question: reply(question, 3600)[:47],
        lambda question: reply(question, 3600, told=0),
        lambda question: question,
    ],
    ids=["another origin", "no server", "short", "no time", "our own"],
)
async def test_what_is_no_answer_is_passed_over(forge: Callable[[bytes], bytes]) -> None:
    async with answering(lambda question: [forge(question)]) as port:
        alone = await ask(port, 0.4)
    assert cause(alone.failure) == ("exchange", "protocol_error")


async def test_a_forged_answer_does_no_harm_beside_the_right_one() -> None:
    def answer(question: bytes) -> list[bytes]:
        return [reply(question, 3600, origin=bytes(8)), b"x", reply(question, 5), reply(question, 3600)]

    async with answering(answer) as port:
        measured = await ask(port)
    assert measured.failure is None
    assert measured.values["offset_seconds"] == pytest.approx(5, abs=0.1)


async def test_an_answer_counts_once() -> None:
    async with answering(lambda question: [reply(question)] * 50) as port:
        measured = await ask(port, samples=2)
    assert measured.failure is None
    assert measured.values["loss_ratio"] == 0


@pytest.mark.parametrize(("kiss", "code"), [(b"RATE", "busy"), (b"DENY", "forbidden"), (b"RSTR", "forbidden")])
async def test_a_kiss_of_death_ends_the_asking(kiss: bytes, code: str) -> None:
    questions: list[bytes] = []

    def answer(question: bytes) -> list[bytes]:
        questions.append(question)
        return [reply(question, stratum=0, reference=kiss, flags=0xE4)]

    async with answering(answer) as port:
        measured = await ask(port, samples=8, interval=0.5)
    assert cause(measured.failure) == ("exchange", code)
    assert kiss.decode() in str(measured.failure)
    assert len(questions) == 1
    async with answering(lambda question: [reply(question, stratum=0, reference=b"INIT", flags=0xE4)]) as port:
        assert cause((await ask(port)).failure) == ("expect", "mismatch")


@pytest.mark.parametrize(
    ("manner", "code"),
    [
        ("hang", "timed_out"),
        ("garbage", "protocol_error"),
        ("drip", "protocol_error"),
        ("endless", "protocol_error"),
        ("huge", "protocol_error"),
        ("refuse", "refused"),
    ],
)
async def test_a_hostile_peer_has_its_code(hostile: StartHostile, manner: Manner, code: str) -> None:
    peer = await hostile(manner, "udp")
    measured = await ask(peer.port, 0.5)
    assert cause(measured.failure) == ("exchange", code)
    assert measured.took < 2


@pytest.mark.parametrize("options", [{"samples": 0}, {"samples": 9}, {"interval": 0}, {"port": 0}])
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        NtpOptions.model_validate(options)
