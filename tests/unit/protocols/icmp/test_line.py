"""The sequence table, fed by a socket of ours: what is late, doubled, forged or full."""

import errno
import socket
import struct
import time
from collections import deque
from typing import Any

import pytest

from sentinel.protocols.icmp import line as line_module
from sentinel.protocols.icmp.line import SEQUENCES, Line
from sentinel.protocols.icmp.packet import checksum
from sentinel.protocols.icmp.ping import Ping, endpoint
from sentinel.protocols.icmp.sockets import Opened


class Wire:
    """Stands for a ping socket: keeps what is sent, hands out what the test puts in."""

    def __init__(self) -> None:
        self.sent: list[tuple[bytes, tuple[Any, ...]]] = []
        self.inbox: deque[tuple[bytes, list[Any], int, tuple[Any, ...]] | OSError] = deque()
        self.trouble: OSError | None = None

    def sendto(self, packet: bytearray, where: tuple[Any, ...]) -> None:
        if self.trouble is not None:
            raise self.trouble
        self.sent.append((bytes(packet), where))

    def recvmsg(self, _size: int, _ancillary: int, flags: int = 0) -> tuple[bytes, list[Any], int, tuple[Any, ...]]:
        if flags or not self.inbox:
            raise BlockingIOError
        found = self.inbox.popleft()
        if isinstance(found, OSError):
            raise found
        return found

    def reply(self, number: int = -1, source: str = "192.0.2.1", wall: int | None = None) -> None:
        """Put in the reply to one of the requests; `wall` is the kernel's time stamp in ns."""
        request = self.sent[number][0]
        wall = time.time_ns() if wall is None else wall
        stamp = [(socket.SOL_SOCKET, 35, struct.pack("@ll", *divmod(wall, 10**9)))]
        self.inbox.append((b"\0" + request[1:], stamp, 0, (source, 0)))


class Bench:
    """A line over such a wire."""

    def __init__(self) -> None:
        self.wire = Wire()
        self.ended: list[Ping] = []
        opened = Opened(self.wire, False, 0, 1 << 20, None)  # type: ignore[arg-type]  # as much of a socket as a line needs
        self.line = Line(4, opened, self._end)

    def _end(self, ping: Ping) -> None:
        ping.ended = True
        self.ended.append(ping)

    def ping(self, address: str = "192.0.2.1", count: int = 1) -> Ping:
        where = endpoint(address)
        assert where is not None
        ping = Ping(self.line, where, time.monotonic_ns(), lambda *_: None, None)
        ping.count = count
        return ping

    def send(self, address: str = "192.0.2.1", count: int = 1) -> Ping:
        ping = self.ping(address, count)
        assert self.line.send(ping)
        return ping


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_a_reply_settles_its_request(bench: Bench) -> None:
    ping = bench.send()
    bench.wire.reply()
    assert bench.line.receive() is False
    assert bench.ended == [ping]
    assert len(ping.round_trips) == 1


def test_the_second_copy_of_a_reply_is_a_stray(bench: Bench) -> None:
    ping = bench.send(count=2)
    bench.wire.reply()
    bench.wire.reply()
    bench.line.receive()
    assert (ping.settled, bench.line.received, bench.line.strays) == (1, 1, 1)


def test_another_source_does_not_settle(bench: Bench) -> None:
    ping = bench.send()
    bench.wire.reply(source="192.0.2.2")
    bench.line.receive()
    assert (ping.settled, bench.line.strays) == (0, 1)
    bench.wire.reply()
    bench.line.receive()
    assert ping.settled == 1


def test_a_reply_after_the_end_is_a_stray(bench: Bench) -> None:
    ping = bench.send()
    ping.ended = True
    bench.wire.reply()
    bench.line.receive()
    assert (bench.ended, bench.line.strays) == ([], 1)


def test_a_reply_that_is_late_by_a_whole_turn_does_not_settle_its_successor(bench: Bench) -> None:
    early = bench.send()
    early.ended = True
    first = bench.wire.sent[0][0]
    for _ in range(SEQUENCES - 1):
        bench.send().ended = True
    late = bench.send()
    last = bench.wire.sent[-1][0]
    assert first[6:8] == last[6:8], "the same sequence number"
    assert first[10:18] != last[10:18], "another cookie"
    bench.wire.reply(0)
    bench.line.receive()
    assert (late.settled, bench.line.strays) == (0, 1)
    bench.wire.reply(-1)
    bench.line.receive()
    assert late.settled == 1


def test_a_number_in_use_is_skipped_and_a_full_table_waits(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    for _ in range(SEQUENCES):
        bench.send(count=2)
    assert len({packet[6:8] for packet, _ in bench.wire.sent}) == SEQUENCES
    assert bench.line.send(bench.ping()) is False
    bench.wire.reply(SEQUENCES // 2)  # one number becomes free again
    bench.line.receive()
    waiting = bench.ping()
    tries = next(number for number in range(1, SEQUENCES) if bench.line.send(waiting))
    assert tries <= SEQUENCES // line_module.SEARCH + 1
    assert bench.wire.sent[-1][0][6:8] == bench.wire.sent[SEQUENCES // 2][0][6:8]


def test_every_request_has_a_right_checksum(bench: Bench) -> None:
    for _ in range(300):
        bench.send()
    assert {checksum(packet) for packet, _ in bench.wire.sent} == {0}


@pytest.mark.parametrize("message", [b"", b"\0", b"\0" * 17, b"\xff" * 18, b"\x03" + b"\xff" * 100])
def test_garbage_is_a_stray(bench: Bench, message: bytes) -> None:
    bench.send()
    bench.wire.inbox.append((message, [], 0, ("192.0.2.1", 0)))
    bench.line.receive()
    assert bench.line.strays == 1


@pytest.mark.parametrize("step", [-3600, 3600], ids=["set back", "set forward"])
def test_setting_the_wall_clock_does_not_spoil_a_round_trip(bench: Bench, step: int) -> None:
    ping = bench.send()
    bench.wire.reply(wall=time.time_ns() + step * 10**9)
    bench.line.receive()
    assert 0 <= ping.round_trips[0] < 10**9


def test_the_round_trip_ends_where_the_kernel_saw_the_reply(bench: Bench) -> None:
    began = time.monotonic_ns()
    ping = bench.send()
    bench.wire.reply(wall=time.time_ns())
    seen = time.monotonic_ns()
    time.sleep(0.05)
    bench.line.receive()
    assert ping.round_trips[0] < seen - began + 40_000_000  # however long this host took until then


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.ENOBUFS])
def test_a_full_send_buffer_is_no_failure(bench: Bench, number: int) -> None:
    bench.wire.trouble = OSError(number, "full")
    ping = bench.ping()
    assert bench.line.send(ping) is False
    assert (ping.attempts, ping.unsent) == (0, None)


@pytest.mark.parametrize(
    ("number", "code", "local"),
    [
        (errno.ENETUNREACH, "no_route", True),
        (errno.EPERM, "no_privilege", True),
        (errno.EINVAL, "bad_option", True),
        (errno.EHOSTUNREACH, "unreachable", False),
    ],
)
def test_what_cannot_leave_says_why(bench: Bench, number: int, code: str, local: bool) -> None:  # noqa: FBT001  # a table
    bench.wire.trouble = OSError(number, "because")
    ping = bench.ping()
    assert bench.line.send(ping)
    assert bench.ended == [ping]
    failure = ping.measurement(ping.started).failure
    assert failure is not None
    assert (failure.code, failure.local) == (code, local)


def test_a_socket_in_trouble_is_left_for_the_next_tick(bench: Bench) -> None:
    bench.send()
    bench.wire.inbox.extend(OSError(errno.ENETDOWN, "down") for _ in range(50))
    bench.wire.reply()
    assert bench.line.receive() is False
    assert len(bench.wire.inbox) > 40


def test_reading_is_bounded(bench: Bench) -> None:
    bench.send(count=2)
    for _ in range(line_module.READS + 5):
        bench.wire.reply()
    assert bench.line.receive() is True
    assert bench.line.receive() is False
