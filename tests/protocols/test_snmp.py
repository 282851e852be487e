"""SNMP against Net-SNMP's agent, and against agents that lie."""

from __future__ import annotations

import gc
import socket
import time
import tracemalloc
from collections.abc import Callable, Iterable, Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.protocols.snmp import PROTOCOL
from tests.support import snmpd as support
from tests.support.probing import measure, target
from tests.unit.protocols.snmp import ber

UPTIME = "1.3.6.1.2.1.1.3.0"
STORAGE = "1.3.6.1.2.1.25.2.3.1"
CPU = "1.3.6.1.2.1.25.3.3.1.2"

# ENTITY-SENSOR-MIB for two sensors: 41.5 degrees, and one that is broken; a fan beside them.
SENSORS = """
createUser plain
rouser plain noauth
createUser signing SHA-256 "auth-password-1"
rouser signing auth
createUser old MD5 "auth-password-1" DES "priv-password-1"
rouser old priv
createUser strong SHA-512 "auth-password-1" AES "priv-password-1"
rouser strong priv
override 1.3.6.1.2.1.47.1.1.1.1.7.1 octet_str "CPU board"
override 1.3.6.1.2.1.47.1.1.1.1.7.2 octet_str "Intake"
override 1.3.6.1.2.1.47.1.1.1.1.7.3 octet_str "Fan 1"
override 1.3.6.1.2.1.99.1.1.1.1.1 integer 8
override 1.3.6.1.2.1.99.1.1.1.1.2 integer 8
override 1.3.6.1.2.1.99.1.1.1.1.3 integer 10
override 1.3.6.1.2.1.99.1.1.1.2.1 integer 8
override 1.3.6.1.2.1.99.1.1.1.2.2 integer 9
override 1.3.6.1.2.1.99.1.1.1.2.3 integer 9
override 1.3.6.1.2.1.99.1.1.1.3.1 integer 1
override 1.3.6.1.2.1.99.1.1.1.3.2 integer 0
override 1.3.6.1.2.1.99.1.1.1.3.3 integer 0
override 1.3.6.1.2.1.99.1.1.1.4.1 integer 415000
override 1.3.6.1.2.1.99.1.1.1.4.2 integer -1000000000
override 1.3.6.1.2.1.99.1.1.1.4.3 integer 5400
override 1.3.6.1.2.1.99.1.1.1.5.1 integer 1
override 1.3.6.1.2.1.99.1.1.1.5.2 integer 3
override 1.3.6.1.2.1.99.1.1.1.5.3 integer 1
"""


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[support.Snmpd]:
    folder: Path = tmp_path_factory.mktemp("snmp")
    with support.serve(folder, SENSORS) as running:
        yield running


def v3(agent: support.Snmpd, **changes: Any) -> dict[str, Any]:
    options = {
        "port": agent.port,
        "version": "v3",
        "user": agent.user,
        "auth": "sha",
        "auth_password": agent.auth_password,
        "privacy": "aes128",
        "privacy_password": agent.priv_password,
        "profile": "system",
        **changes,
    }
    return {name: value for name, value in options.items() if value is not None}


async def test_v2c_reads_a_profile(agent: support.Snmpd) -> None:
    seen = await measure(PROTOCOL, target(), {"port": agent.port, "profile": "system"})
    assert seen.failure is None
    assert 0 < seen.values["uptime_seconds"] < 300
    assert seen.facts["system_name"] == "test-agent"
    assert seen.facts["system_location"] == "Test bench"
    assert list(seen.stages) == ["prepare", "get"]


@pytest.mark.parametrize(
    "who",
    [
        {},
        {"user": "plain", "auth": None, "auth_password": None, "privacy": None, "privacy_password": None},
        {"user": "signing", "auth": "sha256", "privacy": None, "privacy_password": None},
        {"user": "old", "auth": "md5", "privacy": "des"},
        {"user": "strong", "auth": "sha512"},
    ],
    ids=["sha+aes128", "noAuthNoPriv", "sha256", "md5+des", "sha512+aes128"],
)
async def test_v3_at_every_security_level(agent: support.Snmpd, who: dict[str, Any]) -> None:
    async with PROTOCOL.service() as pool:  # type: ignore[misc]  # this protocol has a service
        for stages in (["prepare", "login", "get"], ["get"]):  # the second run has the session of the first
            seen = await measure(PROTOCOL, target(), v3(agent, **who), service=pool)
            assert seen.failure is None
            assert seen.facts["system_name"] == "test-agent"
            assert list(seen.stages) == stages
        assert pool.sessions == 1


@pytest.mark.parametrize(
    ("change", "stage", "code"),
    [
        ({"user": "nobody"}, "login", "unauthorized"),
        ({"auth_password": "wrong-password"}, "login", "unauthorized"),
        ({"auth": "sha256"}, "login", "unauthorized"),
        ({"privacy_password": "wrong-password", "resend_after": 0.1}, "login", "unauthorized"),
        ({"privacy": None, "privacy_password": None}, "get", "forbidden"),
    ],
    ids=["user", "password", "digest", "privacy", "level"],
)
async def test_v3_says_what_is_wrong(agent: support.Snmpd, change: dict[str, Any], stage: str, code: str) -> None:
    seen = await measure(PROTOCOL, target(), v3(agent, **change))
    assert seen.failure is not None
    assert (seen.failure.stage, seen.failure.code) == (stage, code)
    assert "password-1" not in seen.failure.detail


async def test_v3_learns_the_time_again_after_a_pause(agent: support.Snmpd, monkeypatch: pytest.MonkeyPatch) -> None:
    async with PROTOCOL.service() as pool:  # type: ignore[misc]  # this protocol has a service
        await measure(PROTOCOL, target(), v3(agent), service=pool)
        monkeypatch.setattr("sentinel.protocols.snmp.session.STALE_SECONDS", 0.0)
        seen = await measure(PROTOCOL, target(), v3(agent), service=pool)
    assert seen.failure is None
    assert "login" in seen.stages


@pytest.mark.parametrize("replaced", [False, True], ids=["same engine", "another engine"])
async def test_v3_survives_a_restart_of_the_agent(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    replaced: bool,  # noqa: FBT001 - a parameter of a test
) -> None:
    async with PROTOCOL.service() as pool:  # type: ignore[misc]  # this protocol has a service
        with support.serve(tmp_path, "engineID sentinel-1") as first:
            assert (await measure(PROTOCOL, target(), v3(first), service=pool)).failure is None
        monkeypatch.setattr(support, "free_port", lambda _host: first.port)
        with support.serve(tmp_path, f"engineID sentinel-{2 if replaced else 1}") as second:
            seen = await measure(PROTOCOL, target(), v3(second), service=pool)
    assert seen.failure is None


async def test_interfaces_have_states_and_rates(agent: support.Snmpd) -> None:
    options = {"port": agent.port, "profile": "interfaces"}
    memory: dict[str, Any] = {}
    first = await measure(PROTOCOL, target(), options, memory=memory)
    second = await measure(PROTOCOL, target(), options, memory=memory)
    assert first.failure is None
    assert second.failure is None
    assert first.values["if_up:lo"] == 1.0
    assert not [key for key in first.values if "per_second" in key]
    assert second.values["if_in_bits_per_second:lo"] >= 0
    assert second.values["truncated"] == 0
    chosen = await measure(PROTOCOL, target(), {**options, "items": "^lo$"})
    assert {key.partition(":")[2] for key in chosen.values if ":" in key} == {"lo"}


async def test_rows_are_bounded(agent: support.Snmpd) -> None:
    seen = await measure(PROTOCOL, target(), {"port": agent.port, "profile": "av-control-host", "max_rows": 1})
    assert seen.values["truncated"] == 1
    assert seen.values["rows"] == 2  # of two tables


async def test_memory_and_disks_are_ratios(agent: support.Snmpd) -> None:
    seen = await measure(PROTOCOL, target(), {"port": agent.port, "profile": "host-resources"})
    assert seen.failure is None
    assert 0 < seen.values["storage_used_ratio:Physical memory"] < 1


async def test_sensors_have_their_decimal_point(agent: support.Snmpd) -> None:
    seen = await measure(PROTOCOL, target(), {"port": agent.port, "profile": "entity-sensor"})
    assert {key: value for key, value in seen.values.items() if key.startswith("temperature")} == {
        "temperature_celsius:CPU board": pytest.approx(41.5)
    }
    assert seen.values["fan_speed_rpm:Fan 1"] == 5400
    assert seen.values["sensor_ok:Intake"] == 0
    assert seen.failure is None


async def test_what_is_not_there_is_said_and_the_rest_is_measured(agent: support.Snmpd) -> None:
    get = {"uptime_seconds": {"oid": UPTIME, "type": "timeticks"}, "gone": "1.3.6.1.2.1.1.99.0"}
    seen = await measure(PROTOCOL, target(), {"port": agent.port, "get": get})
    assert seen.failure == Failure("get", "not_found", "the agent does not have gone")
    assert seen.values["uptime_seconds"] > 0
    get["gone"] = {"oid": "1.3.6.1.2.1.1.99.0", "optional": True}
    assert (await measure(PROTOCOL, target(), {"port": agent.port, "get": get})).failure is None


@pytest.mark.parametrize(
    ("expect", "well"),
    [
        ({"equals": "test-agent"}, True),
        ({"equals": "other"}, False),
        ({"matches": "^test-"}, True),
        ({"matches": "^$"}, False),
    ],
)
async def test_a_text_is_compared(agent: support.Snmpd, expect: dict[str, Any], well: bool) -> None:  # noqa: FBT001
    get = {"name": {"oid": "1.3.6.1.2.1.1.5.0", "type": "text", "expect": expect}}
    seen = await measure(PROTOCOL, target(), {"port": agent.port, "get": get})
    assert seen.failure == (None if well else Failure("expect", "mismatch", "name is 'test-agent'"))


async def test_a_closed_port_is_refused(agent: support.Snmpd) -> None:
    for options in ({"port": 1, "get": {"a": UPTIME}}, v3(agent, port=1)):
        seen = await measure(PROTOCOL, target(), options)
        assert seen.failure is not None
        assert seen.failure.code == "refused"
        assert seen.took < 1


async def test_a_wrong_community_is_silence(agent: support.Snmpd) -> None:
    options = {"port": agent.port, "community": "wrong-one", "get": {"a": UPTIME}}
    seen = await measure(PROTOCOL, target(), options, timeout=0.3)
    assert seen.failure is not None
    assert (seen.failure.stage, seen.failure.code) == ("get", "timed_out")


# Agents that lie.

Answer = Callable[[bytes], Iterable[bytes]]
CPU_PROFILE = {"profile": "host-resources"}


async def against(answer: Answer, timeout: float = 0.4, **options: Any) -> Measurement:
    options = options or {"get": {"uptime_seconds": {"oid": UPTIME, "type": "timeticks"}}}
    async with ber.agent(answer) as liar:
        return await measure(PROTOCOL, target(), {"port": liar.port, **options}, timeout=timeout)


def other_number(data: bytes) -> list[bytes]:
    request = ber.read(data)
    return [request.answer([(UPTIME, ber.ticks(1))], number=request.number ^ 1)] * 20


def other_community(data: bytes) -> list[bytes]:
    return [ber.v2c(ber.pdu(ber.RESPONSE, ber.read(data).number, [(UPTIME, ber.ticks(1))]), b"private")]


@pytest.mark.parametrize("answer", [lambda _: [], other_number, other_community], ids=["hang", "number", "community"])
@pytest.mark.parametrize("version", ["v2c", "v3"])
async def test_silence_ends_at_the_deadline(answer: Answer, version: str) -> None:
    if version == "v3" and answer is not other_number:
        options: dict[str, Any] = {"version": "v3", "user": "u", "get": {"a": UPTIME}}
        answer = lambda _: []  # noqa: E731
    else:
        options = {}
    seen = await against(answer, **options)
    assert seen.failure is not None
    assert seen.failure.code == "timed_out"
    assert 0.4 <= seen.took < 0.6


@pytest.mark.parametrize(
    "junk", [b"\x30", b"\x30\x84", b"\x30\x82\xff", b"\xff" * 100, b"\x30\x80" * 50, bytes(4000)], ids=range(6)
)
@pytest.mark.parametrize("version", ["v2c", "v3"])
async def test_garbage_is_a_protocol_error(junk: bytes, version: str, capfd: pytest.CaptureFixture[str]) -> None:
    options: dict[str, Any] = {} if version == "v2c" else {"version": "v3", "user": "u", "get": {"a": UPTIME}}
    seen = await against(lambda _: [junk], **options)
    assert seen.failure is not None
    assert seen.failure.code == "protocol_error"
    assert capfd.readouterr().err == ""  # the decoder's panic would speak here


@pytest.mark.parametrize("tamper", [False, True])
async def test_a_v3_answer_that_was_changed_on_the_way_is_not_believed(
    agent: support.Snmpd,
    tamper: bool,  # noqa: FBT001 - a parameter of a test
) -> None:
    def forward(data: bytes) -> list[bytes]:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
            way.settimeout(2)
            way.connect((agent.host, agent.port))
            way.send(data)
            reply = bytearray(way.recv(4096))
        if tamper and b"test-agent" in reply:
            reply[reply.index(b"test-agent")] ^= 1
        return [bytes(reply)]

    who = {"version": "v3", "user": "signing", "auth": "sha256", "auth_password": agent.auth_password}
    seen = await against(forward, timeout=0.5, **who, profile="system")
    if tamper:
        assert seen.failure is not None
        assert (seen.failure.stage, seen.failure.code) == ("get", "timed_out")
    else:
        assert seen.failure is None


async def test_every_cut_of_a_sound_answer_is_survived(capfd: pytest.CaptureFixture[str]) -> None:
    for cut in range(1, 44):

        def answer(data: bytes, cut: int = cut) -> list[bytes]:
            return [ber.read(data).answer([(UPTIME, ber.ticks(1))])[:-cut]]

        seen = await against(answer)
        assert seen.failure is not None
        assert seen.failure.code == "protocol_error", cut
    assert capfd.readouterr().err == ""


async def test_a_datagram_that_is_too_large() -> None:
    huge = [(UPTIME, ber.octets(b"x" * 60_000))]
    seen = await against(lambda data: [ber.read(data).answer(huge)])
    assert seen.failure is not None
    assert (seen.failure.stage, seen.failure.code) == ("get", "too_large")


@pytest.mark.parametrize(
    ("status", "code"), [(1, "too_large"), (2, "not_found"), (5, "protocol_error"), (6, "forbidden"), (16, "forbidden")]
)
async def test_an_error_status_has_its_code(status: int, code: str) -> None:
    seen = await against(lambda data: [ber.read(data).answer([(UPTIME, b"\x05\x00")], status=status)])
    assert seen.failure is not None
    assert (seen.failure.stage, seen.failure.code) == ("get", code)


async def test_the_same_oid_for_ever_ends_at_once() -> None:
    def loop(data: bytes) -> list[bytes]:
        request = ber.read(data)
        if request.repetitions is None:
            return [request.answer((name, ber.integer(1)) for name in request.names)]
        return [request.answer([(f"{request.names[0]}.7", ber.integer(1))] * 3)]

    seen = await against(loop, timeout=2, **CPU_PROFILE)
    assert seen.failure is not None
    assert (seen.failure.stage, seen.failure.code) == ("walk", "protocol_error")
    assert seen.took < 1


async def test_an_endless_table_is_cut_and_takes_no_memory() -> None:
    rows = count(1)

    def endless(data: bytes) -> list[bytes]:
        request = ber.read(data)
        if request.repetitions is None:
            return [request.answer((name, ber.integer(1)) for name in request.names)]
        depth = 11 if request.names[0].startswith(STORAGE) else 12
        base = ".".join(request.names[0].split(".")[:depth])
        return [request.answer((f"{base}.{next(rows)}", ber.octets(b"7" * 100)) for _ in range(request.repetitions))]

    tracemalloc.start()
    try:
        seen = await against(endless, timeout=5, **CPU_PROFILE, max_rows=256)
        gc.collect()
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert seen.failure is None
    assert seen.values["truncated"] == 1
    assert peak < 4_000_000


async def test_an_agent_that_drips_rows_ends_at_the_deadline() -> None:
    rows = count(1)

    def drip(data: bytes) -> list[bytes]:
        request = ber.read(data)
        time.sleep(0.02)
        if request.repetitions is None:
            return [request.answer((name, ber.integer(1)) for name in request.names)]
        return [request.answer([(f"{CPU}.{next(rows)}", ber.integer(1))])]

    seen = await against(drip, timeout=0.5, **CPU_PROFILE, max_rows=4096)
    assert seen.failure is not None
    assert (seen.failure.stage, seen.failure.code) == ("walk", "timed_out")
    assert seen.took < 0.7


async def test_a_flood_of_strange_answers_ends_at_the_deadline() -> None:
    def flood(data: bytes) -> list[bytes]:
        request = ber.read(data)
        return [request.answer([(UPTIME, ber.ticks(1))], number=n) for n in range(1, 200)]

    seen = await against(flood)
    assert seen.failure is not None
    assert seen.failure.code == "timed_out"
    assert seen.took < 0.6


async def test_long_rows_are_asked_for_in_smaller_pieces() -> None:
    values = {f"{STORAGE}.3.{row}": ber.octets(f"disk {row} ".encode() + b"x" * 240) for row in range(1, 40)}
    values |= {f"{STORAGE}.{column}.{row}": ber.integer(column) for column in (5, 6) for row in range(1, 40)}
    seen = await against(ber.view(values), timeout=3, **CPU_PROFILE)
    assert seen.failure is None
    ratios = {key: value for key, value in seen.values.items() if key.startswith("storage_used_ratio")}
    assert len(ratios) == 39
    assert set(ratios.values()) == {6 / 5}
    assert all(len(key.partition(":")[2]) <= 64 for key in ratios)


async def test_hostile_labels_are_bounded_and_told_apart() -> None:
    names = [
        b"a\r\nb\x1b[31m",
        b"a\r\nb\x1b[31m",
        "\u202egpj.exe".encode(),
        "交换机".encode("gb18030"),
        b"\xff\xfe\x00\x01",
    ]
    values = {f"{STORAGE}.3.{row}": ber.octets(name) for row, name in enumerate(names, 1)}
    values |= {f"{STORAGE}.{column}.{row}": ber.integer(5) for column in (5, 6) for row in range(1, len(names) + 1)}
    seen = await against(ber.view(values), timeout=3, **CPU_PROFILE)
    items = sorted(key.partition(":")[2] for key in seen.values if ":" in key)
    assert len(items) == len(names)
    assert all(item.isprintable() for item in items)
    assert "交换机" in items
    assert "a b [31m#1" in items


async def test_a_table_without_names_has_its_indexes_for_names() -> None:
    values = {f"{STORAGE}.{column}.{row}": ber.integer(column) for column in (5, 6) for row in (1, 7)}
    seen = await against(ber.view(values), timeout=3, **CPU_PROFILE)
    assert {key for key in seen.values if ":" in key} == {"storage_used_ratio:1", "storage_used_ratio:7"}


async def test_32_bit_counters_stand_in_for_64_bit_ones() -> None:
    columns = {2: ber.octets(b"ether1"), 5: ber.integer(10**8), 7: ber.integer(1), 8: ber.integer(2)}
    columns |= dict.fromkeys((10, 13, 14, 16, 19, 20), ber.counter32(1000))
    values = {f"1.3.6.1.2.1.2.2.1.{column}.1": value for column, value in columns.items()}
    values[UPTIME] = ber.ticks(100_000)
    memory: dict[str, Any] = {}
    async with ber.agent(ber.view(values)) as device:
        for octets in (1000, 5000):
            values["1.3.6.1.2.1.2.2.1.10.1"] = ber.counter32(octets)
            options = {"port": device.port, "profile": "interfaces"}
            seen = await measure(PROTOCOL, target(), options, memory=memory)
    assert seen.failure is None
    assert seen.values["if_in_bits_per_second:ether1"] > 0
    assert seen.values["if_out_bits_per_second:ether1"] == 0
    assert seen.values["if_up:ether1"] == 0
    assert seen.values["if_speed_bits:ether1"] == 10**8


async def test_a_lost_request_is_sent_again() -> None:
    answered = count()

    def second_time(data: bytes) -> list[bytes]:
        return [ber.read(data).answer([(UPTIME, ber.ticks(4200))])] if next(answered) else []

    seen = await against(
        second_time, timeout=2, get={"up_seconds": {"oid": UPTIME, "type": "timeticks"}}, resend_after=0.1
    )
    assert seen.failure is None
    assert seen.values == {"up_seconds": 42.0}


async def test_counters_become_rates_and_a_restart_gives_none() -> None:
    octets = "1.3.6.1.2.1.2.2.1.10.1"
    values: dict[str, bytes] = {}
    options = {"get": {"in_bits_per_second": {"oid": octets, "type": "counter32", "scale": 8}}}
    memory: dict[str, Any] = {}
    async with ber.agent(ber.view(values)) as device:
        seen = []
        for uptime, octet_count in ((100_000, 2**32 - 1000), (100_010, 1000), (50, 5000), (60, 6000)):
            values.update({UPTIME: ber.ticks(uptime), octets: ber.counter32(octet_count)})
            seen.append(await measure(PROTOCOL, target(), {"port": device.port, **options}, memory=memory))
    assert [run.failure for run in seen] == [None] * 4
    assert ["in_bits_per_second" in run.values for run in seen] == [False, True, False, True]
    assert seen[1].values["in_bits_per_second"] > 0


async def test_a_text_where_a_number_is_due_is_said() -> None:
    seen = await against(lambda data: [ber.read(data).answer([(UPTIME, ber.octets(b"soon\x1b"))])])
    assert seen.failure == Failure(
        "get", "protocol_error", "uptime_seconds: 'soon' where a number is due (type timeticks)"
    )
