"""Names from MIB files: what Net-SNMP's own reader says of the same files, and files that are broken."""

from __future__ import annotations

import random
import re
import subprocess
import time
from pathlib import Path

import pytest

from sentinel.wire import mib
from sentinel.wire.mib_names import standard, with_directory
from tests.support.peers import require

DEBIANS = Path("/usr/share/snmp/mibs")


def test_the_names_that_come_along() -> None:
    names = standard()
    assert names.shown("1.3.6.1.2.1.31.1.1.1.6.7") == "IF-MIB::ifHCInOctets.7"
    assert names.shown("1.3.6.1.4.1.32473.1.0") == "SNMPv2-SMI::enterprises.32473.1.0"
    assert names.oid("UPS-MIB::upsBatteryStatus") == names.oid("upsBatteryStatus") == "1.3.6.1.2.1.33.1.2.1"
    status = names["1.3.6.1.2.1.2.2.1.8"]
    assert status is not None
    assert (status.base, status.labels[1], status.labels[7]) == ("Integer32", "up", "lowerLayerDown")
    row = names.row(status)
    assert row is not None
    assert row.name == "ifEntry"
    trap = names["1.3.6.1.6.3.1.1.5.3"]
    assert trap is not None
    assert (trap.name, trap.base) == ("linkDown", mib.NOTIFICATION)
    assert names.find("9.9")[0] is None


@pytest.mark.skipif(not DEBIANS.is_dir(), reason="libsnmp-base is not installed")
def test_names_are_those_of_net_snmp() -> None:
    command = [require("snmptranslate"), "-Tz", "-M", str(DEBIANS), "-m", "ALL"]
    said = subprocess.run(command, capture_output=True, text=True, timeout=20, check=False).stdout
    theirs = {oid: name for name, oid in re.findall(r'"([^"]+)"\s+"([\d.]+)"', said)}
    ours = with_directory(DEBIANS)
    placed = {oid: name for oid, name in theirs.items() if oid.startswith("1.3.6.1.4.1.")}
    found = {oid: symbol.name for oid in placed if (symbol := ours[oid]) is not None}
    assert found == placed or not placed  # without the IETF's modules Net-SNMP itself can place few
    assert ours.oid("NET-SNMP-EXTEND-MIB::nsExtendOutLine") == "1.3.6.1.4.1.8072.1.3.2.4.1.2"
    assert ours.oid("LM-SENSORS-MIB::lmTempSensorsValue") == "1.3.6.1.4.1.2021.13.16.2.1.3"


def test_a_trap_of_the_first_version_has_the_oid_of_its_translation() -> None:
    """RFC 3584 section 3.1: enterprise, zero, specific number."""
    text = """A DEFINITIONS ::= BEGIN  acme OBJECT IDENTIFIER ::= { enterprises 32473 }
    acmeBroken TRAP-TYPE ENTERPRISE acme VARIABLES { ifIndex } DESCRIPTION "x" ::= 12 END"""
    symbols = mib.read([text], {"enterprises": "1.3.6.1.4.1"})
    assert [(s.oid, s.name, s.base) for s in symbols][-1] == ("1.3.6.1.4.1.32473.0.12", "acmeBroken", mib.NOTIFICATION)


def test_what_leads_in_a_circle_or_nowhere_is_left_out() -> None:
    text = """A DEFINITIONS ::= BEGIN
    a OBJECT IDENTIFIER ::= { b 1 }  b OBJECT IDENTIFIER ::= { a 1 }  c OBJECT IDENTIFIER ::= { nowhere 1 }
    Loop ::= Pool  Pool ::= Loop
    d OBJECT-TYPE SYNTAX Loop ACCESS read-only STATUS mandatory ::= { iso 9 } END"""
    assert [symbol.name for symbol in mib.read([text], {})] == ["d"]


def test_broken_files_end_soon_and_raise_nothing() -> None:
    chance = random.Random(7)
    words = [*"{}(),;|", "::=", "A", "b", "1", "DEFINITIONS", "BEGIN", "IMPORTS", "FROM", "OBJECT", "IDENTIFIER"]
    words += ["OBJECT-TYPE", "SYNTAX", "INTEGER", "TRAP-TYPE", "ENTERPRISE", "TEXTUAL-CONVENTION", "MACRO", '"', "--"]
    started = time.monotonic()
    for _ in range(500):
        mib.read([" ".join(chance.choices(words, k=chance.randint(1, 200)))], {})
    deep = "A DEFINITIONS ::= BEGIN\n" + "\n".join(f"n{i} OBJECT IDENTIFIER ::= {{ n{i + 1} 1 }}" for i in range(5000))
    mib.read([deep], {})
    mib.read(["A DEFINITIONS ::= " + "{" * 200_000], {})
    assert time.monotonic() - started < 10
