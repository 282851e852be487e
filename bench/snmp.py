"""SNMP GETs and an interface walk: CPU of our runner and probe beside snmp_exporter's, against one snmpd.

python -m bench.snmp [--gets N] [--walks N] [--json FILE]
"""

from __future__ import annotations

import json
import math
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from bench.peers import accepts, finish, free_port, locate, options, running
from bench.probing import probe, scrape
from sentinel.protocols.snmp import PROTOCOL
from sentinel.protocols.snmp.profile import load, shipped
from tests.support.snmpd import Snmpd, serve

AT_ONCE = 16
SIDES = ("sentinel", "snmp_exporter")
SLICES = 4  # each side's work is cut up and done in turns, so that the machine's mood hits both
GET_LIMIT = 0.15  # of snmp_exporter's CPU
WALK_LIMIT = 0.4

FIVE = {
    "uptime_seconds": ("1.3.6.1.2.1.1.3.0", "timeticks"),
    "in_bytes_per_second": ("1.3.6.1.2.1.31.1.1.1.6.1", "counter64"),
    "out_bytes_per_second": ("1.3.6.1.2.1.31.1.1.1.10.1", "counter64"),
    "up": ("1.3.6.1.2.1.2.2.1.8.1", "gauge"),
    "speed_bits": ("1.3.6.1.2.1.2.2.1.5.1", "gauge"),
}


@dataclass(frozen=True)
class Kind:
    """One kind of work, the same for both sides: ours by options, the exporter's by the module of that name."""

    name: str
    options: dict[str, Any]
    count: int
    limit: float


def _modules(agent: Snmpd) -> str:
    """snmp_exporter 0.21's configuration: modules that hold their own credentials.  JSON is YAML."""
    v2c = {"version": 2, "auth": {"community": agent.community}}
    auth_priv = {
        "version": 3,
        "auth": {
            "username": agent.user,
            "security_level": "authPriv",
            "password": agent.auth_password,
            "auth_protocol": "SHA",
            "priv_protocol": "AES",
            "priv_password": agent.priv_password,
        },
    }
    metrics = [
        {"name": name, "oid": oid, "type": "counter" if kind == "counter64" else "gauge", "help": name}
        for name, (oid, kind) in FIVE.items()
    ]
    five = {"get": [oid for oid, _ in FIVE.values()], "metrics": metrics}
    return json.dumps({"get-v2c": {**five, **v2c}, "get-v3": {**five, **auth_priv}, "walk-v2c": {**_walk(), **v2c}})


def _walk() -> dict[str, Any]:
    """The columns of our profile ``interfaces``, with ifName as a label."""
    profile = load("interfaces", [shipped()])
    table = profile.tables["interfaces"]
    label = table.label[0]
    lookup = {"labels": ["ifIndex"], "labelname": "ifName", "oid": label, "type": "DisplayString"}
    metrics = [
        {
            "name": name,
            "oid": column.oid,
            "type": "counter" if column.type.startswith("counter") else "gauge",
            "help": name,
            "indexes": [{"labelname": "ifIndex", "type": "gauge"}],
            "lookups": [lookup],
        }
        for name, column in table.columns.items()
    ]
    uptime = profile.scalars["uptime_seconds"].oid
    metrics.append({"name": "sysUpTime", "oid": uptime, "type": "gauge", "help": "uptime"})
    return {"get": [uptime], "walk": sorted({label, *(c.oid for c in table.columns.values())}), "metrics": metrics}


def main() -> int:
    """Measure both sides for each kind of work, alternating, and compare."""
    parser = options("snmp", __doc__ or "")
    parser.add_argument("--gets", type=int, default=12_800, help="GETs of five OIDs for each version")
    parser.add_argument("--walks", type=int, default=1_600, help="walks of the interface table")
    chosen = parser.parse_args()
    figures: dict[str, float] = {}
    ratios: dict[str, tuple[float, float]] = {}
    with tempfile.TemporaryDirectory() as name, serve(Path(name)) as agent:
        (Path(name) / "snmp.yml").write_text(_modules(agent), "utf-8")
        port = free_port()
        command = [
            locate("snmp_exporter"),
            f"--config.file={Path(name) / 'snmp.yml'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ]
        five = {key: {"oid": oid, "type": kind} for key, (oid, kind) in FIVE.items()}
        v3 = {
            "version": "v3",
            "user": agent.user,
            "auth": "sha",
            "auth_password": agent.auth_password,
            "privacy": "aes128",
            "privacy_password": agent.priv_password,
        }
        kinds = (
            Kind("get-v2c", {"get": five}, chosen.gets, GET_LIMIT),
            Kind("get-v3", {"get": five, **v3}, chosen.gets, GET_LIMIT),
            Kind("walk-v2c", {"profile": "interfaces"}, chosen.walks, WALK_LIMIT),
        )
        with running(command, ready=lambda: accepts("127.0.0.1", port), log=Path(name) / "exporter.log") as exporter:
            for kind in kinds:
                asked, count = {"port": agent.port, **kind.options}, kind.count // SLICES
                for _ in range(SLICES):
                    ours = uvloop.run(probe(PROTOCOL, asked, count, AT_ONCE))
                    path = f"/snmp?module={kind.name}&target={agent.host}:{agent.port}"
                    theirs = scrape((exporter.pid, port), path, b"\nsnmp_scrape_pdus_returned ", count, AT_ONCE)
                    for side, (used, outcomes) in zip(SIDES, (ours, theirs), strict=True):
                        if set(outcomes) != {"ok"}:
                            sys.exit(f"snmp: {side}, {kind.name}: {dict(outcomes)}: nothing was measured")
                        key = f"{side} {kind.name}, CPU ms per 1,000"
                        # The least of the slices: what else runs on the machine can only add to it.
                        figures[key] = min(used / outcomes.total() * 1e6, figures.get(key, math.inf))
                mine, peers = (
                    figures[f"{side} {kind.name}, CPU ms per 1,000"] for side in ("sentinel", "snmp_exporter")
                )
                ratios[kind.name] = (mine / peers, kind.limit)
    return finish("snmp", {**figures}, ratios, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
