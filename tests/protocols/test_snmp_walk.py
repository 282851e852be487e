"""``sentinel snmp walk`` against Net-SNMP's agent, and against agents that never end."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from shutil import copytree
from typing import Any

import pytest

from sentinel.config import load, open_catalog
from sentinel.config.starter import starter
from sentinel.protocols.snmp.options import SnmpOptions
from sentinel.protocols.snmp.profile import parse
from sentinel.protocols.snmp.walk import Bounds, Walked, walk
from tests.support import snmpd as support
from tests.support.peers import require
from tests.unit.protocols.snmp import ber

SYSTEM, INTERFACES = "1.3.6.1.2.1.1", "1.3.6.1.2.1.2"

# A maker's own module, sloppy as they are: no MODULE-IDENTITY, an import that nobody has, SMIv1 beside SMIv2.
MAKER = """
ACME-MIB DEFINITIONS ::= BEGIN
IMPORTS enterprises FROM RFC1155-SMI  acmeThings FROM ACME-SMI-THAT-NOBODY-HAS ;
acme OBJECT IDENTIFIER ::= { enterprises 32473 }
acmeTemperature OBJECT-TYPE
    SYNTAX  INTEGER (0..1000)
    UNITS   "0.1 degrees Celsius" -- a comment -- ACCESS  read-only
    STATUS  mandatory
    DESCRIPTION "Temperature; ::= { this 1 } is text."
    ::= { acme 1 }
acmeMode OBJECT-TYPE SYNTAX INTEGER { normal(1), standby(2) } ACCESS read-only STATUS mandatory ::= { acme 2 }
acmeTable OBJECT-TYPE SYNTAX SEQUENCE OF AcmeEntry ACCESS not-accessible STATUS mandatory ::= { acme 3 }
acmeEntry OBJECT-TYPE SYNTAX AcmeEntry ACCESS not-accessible STATUS mandatory INDEX { acmeIndex } ::= { acmeTable 1 }
AcmeEntry ::= SEQUENCE { acmeIndex INTEGER, acmeName DisplayString, acmeLoad INTEGER }
acmeIndex OBJECT-TYPE SYNTAX INTEGER ACCESS read-only STATUS mandatory ::= { acmeEntry 1 }
acmeName OBJECT-TYPE SYNTAX DisplayString ACCESS read-only STATUS mandatory ::= { acmeEntry 2 }
acmeLoad OBJECT-TYPE SYNTAX INTEGER UNITS "percent" ACCESS read-only STATUS mandatory ::= { acmeEntry 3 }
lost OBJECT-TYPE SYNTAX INTEGER ACCESS read-only STATUS mandatory ::= { acmeThings 1 }
END
"""

SERVED = """
override 1.3.6.1.4.1.32473.1.0 integer 415
override 1.3.6.1.4.1.32473.2.0 integer 1
override 1.3.6.1.4.1.32473.3.1.1.1 integer 1
override 1.3.6.1.4.1.32473.3.1.2.1 octet_str "Card A"
override 1.3.6.1.4.1.32473.3.1.3.1 integer 42
"""


@pytest.fixture(scope="module")
def agent(tmp_path_factory: pytest.TempPathFactory) -> Iterator[support.Snmpd]:
    with support.serve(tmp_path_factory.mktemp("walk"), SERVED) as running:
        yield running


def sentinel(agent: support.Snmpd, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "sentinel", "snmp", "walk", agent.host, "--port", str(agent.port), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=30, check=False, env=environment or None)


async def read(agent: Any, *roots: str, most: int = 5000, timeout: float = 5.0, **options: Any) -> Walked:
    asked = SnmpOptions.model_validate({"port": agent.port, "get": {"up": f"{SYSTEM}.3.0"}, **options})
    return await walk("127.0.0.1", asked, roots, Bounds(most, timeout), lambda *_: None)


async def test_it_finds_what_snmpwalk_finds(agent: support.Snmpd) -> None:
    found = await read(agent, SYSTEM, INTERFACES)
    command = [require("snmpwalk"), "-v2c", "-c", "public", "-On", "-Oq", f"{agent.host}:{agent.port}"]
    theirs: list[str] = []
    for root in (SYSTEM, INTERFACES):
        said = subprocess.run([*command, root], capture_output=True, text=True, timeout=20, check=True).stdout
        theirs += [line.split()[0].removeprefix(".") for line in said.splitlines() if line.startswith(".1.3")]
    assert list(found.objects) == theirs
    assert found.failure is None
    assert not found.truncated


async def test_v3(agent: support.Snmpd) -> None:
    who: dict[str, Any] = {
        "version": "v3",
        "user": agent.user,
        "auth": "sha",
        "auth_password": agent.auth_password,
        "privacy": "aes128",
        "privacy_password": agent.priv_password,
    }
    assert (await read(agent, SYSTEM, **who)).objects[f"{SYSTEM}.5.0"] == b"test-agent"
    wrong = await read(agent, SYSTEM, **{**who, "auth_password": "wrong-password"})
    assert wrong.failure is not None
    assert (wrong.failure.stage, wrong.failure.code) == ("login", "unauthorized")


def test_the_command_shows_names_and_keeps_the_secret_out_of_the_arguments(
    agent: support.Snmpd, tmp_path: Path
) -> None:
    (tmp_path / "ACME.mib").write_text(MAKER)
    arguments = ("--community", "${env:COMMUNITY}", "--mibs", str(tmp_path), "--root", "acme", "--root", "sysName")
    said = sentinel(agent, *arguments, COMMUNITY="public")
    assert said.returncode == 0, said.stderr
    assert "ACME-MIB::acmeTemperature.0 = Integer32 415 0.1 degrees Celsius" in said.stdout
    assert "ACME-MIB::acmeMode.0 = Integer32 normal(1)" in said.stdout
    assert "SNMPv2-MIB::sysName.0 = OCTET STRING test-agent" in said.stdout
    found = json.loads(sentinel(agent, *arguments, "--json", COMMUNITY="public").stdout)
    assert found["objects"][0] == {
        "oid": "1.3.6.1.4.1.32473.1.0",
        "name": "ACME-MIB::acmeTemperature.0",
        "type": "Integer32",
        "value": 415,
        "label": "",
        "units": "0.1 degrees Celsius",
    }


def test_a_written_profile_loads_as_it_is_and_measures(agent: support.Snmpd, tmp_path: Path) -> None:
    (tmp_path / "mibs").mkdir()
    (tmp_path / "mibs" / "ACME.mib").write_text(MAKER)
    copytree(starter() / "config", tmp_path / "config")
    copytree(starter() / "probes", tmp_path / "probes")
    file = tmp_path / "probes" / "profiles" / "acme.yaml"
    roots = ("--mibs", str(tmp_path / "mibs"), "--root", "acme", "--root", "IF-MIB::interfaces")
    said = sentinel(agent, *roots, "--write", str(file))
    assert said.returncode == 0, said.stderr
    profile = parse(file.read_text("utf-8"))
    assert profile.scalars["acme_temperature_celsius"].scale == pytest.approx(0.1)
    assert profile.scalars["acme_mode_ok"].ok == (1,)
    assert profile.tables["acme"].label == ("1.3.6.1.4.1.32473.3.1.2",)
    assert profile.tables["acme"].columns["acme_load_ratio"].scale == 0.01
    assert profile.tables["if"].columns["if_oper_status_ok"].labels[1] == "up"
    (tmp_path / "probes" / "acme.yaml").write_text(
        "probes:\n  acme: {protocol: snmp, description: 样例, options: {profile: acme}}\n", "utf-8"
    )
    load(tmp_path / "config", tmp_path / "probes", catalog=open_catalog(tmp_path / "config", tmp_path / "probes"))
    again = sentinel(agent, *roots, "--write", str(file))
    assert again.returncode == 2
    assert "exists" in again.stderr


@pytest.mark.parametrize(
    ("arguments", "code", "word"),
    [
        (("--root", "noSuchName"), 2, "noSuchName"),
        (("--get", "{}"), 2, "--get"),
        (("--mibs", "/no/such/directory"), 2, "--mibs"),
        (("--user", "somebody"), 2, "v3"),
        (("--root", SYSTEM, "--most", "3"), 0, "--most"),
        (("--community", "wrong-one", "--timeout", "0.5"), 1, "timed_out"),
    ],
)
def test_what_it_ends_with(agent: support.Snmpd, arguments: tuple[str, ...], code: int, word: str) -> None:
    said = sentinel(agent, *arguments)
    assert said.returncode == code, said.stderr
    assert word in said.stderr
    assert "Traceback" not in said.stderr


async def test_an_agent_that_never_ends_is_cut() -> None:
    rows = count(1)

    def endless(data: bytes) -> list[bytes]:
        request = ber.read(data)
        return [request.answer((f"{SYSTEM}.{next(rows)}", ber.octets(b"x")) for _ in range(request.repetitions or 1))]

    async with ber.agent(endless) as liar:
        found = await read(liar, SYSTEM, most=1000)
    assert found.truncated
    assert len(found.objects) == 1000


async def test_an_agent_that_goes_in_circles_is_left() -> None:
    async with ber.agent(lambda data: [ber.read(data).answer([(f"{SYSTEM}.7", ber.integer(1))] * 3)]) as liar:
        started = time.monotonic()
        found = await read(liar, SYSTEM)
    assert time.monotonic() - started < 2
    assert found.failure is not None
    assert (found.failure.stage, found.failure.code) == ("walk", "protocol_error")
    assert found.objects == {f"{SYSTEM}.7": 1}


async def test_a_drip_ends_at_the_deadline_and_what_came_is_kept() -> None:
    rows = count(1)

    def drip(data: bytes) -> list[bytes]:
        time.sleep(0.02)
        return [ber.read(data).answer([(f"{SYSTEM}.{next(rows)}", ber.integer(1))])]

    async with ber.agent(drip) as liar:
        started = time.monotonic()
        found = await read(liar, SYSTEM, timeout=0.5)
    assert time.monotonic() - started < 1.5
    assert found.failure is not None
    assert found.failure.code == "timed_out"
    assert found.objects
