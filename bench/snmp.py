"""SNMP GETs and an interface walk: CPU of our runner and probe beside snmp_exporter's, against one snmpd.

python -m bench.snmp [--gets N] [--walks N] [--json FILE]
"""

from __future__ import annotations

import asyncio
import http.client
import json
import math
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import uvloop

from bench.peers import accepts, cpu_seconds, finish, free_port, locate, options, running
from sentinel.config.configuration import Limits
from sentinel.domain.observation import Observation
from sentinel.domain.target import Check, Target
from sentinel.engine.runner import Runner
from sentinel.engine.scheduler import Entry
from sentinel.protocols.snmp import PROTOCOL
from sentinel.protocols.snmp.profile import load, shipped
from tests.support.snmpd import Snmpd, serve

AT_ONCE = 16
SLICES = 4  # each side's work is cut up and done in turns, so that the machine's mood hits both
GET_LIMIT = 0.3  # of snmp_exporter's CPU
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


class SystemClock:
    """The clock of this machine."""

    def now(self) -> float:
        """UTC epoch seconds."""
        return time.time()  # noqa: TID251 - this is the clock

    def monotonic(self) -> float:
        """Seconds that never go back."""
        return time.monotonic()


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
    return {"get": [uptime], "walk": [label, *(c.oid for c in table.columns.values())], "metrics": metrics}


async def _ours(port: int, asked: dict[str, Any], count: int) -> tuple[float, Counter[str]]:
    """CPU seconds of ``count`` probes through the engine's runner, ``AT_ONCE`` in flight, and their outcomes."""
    target = Target("agent", "agent", "127.0.0.1", "service", "internal")
    given = PROTOCOL.options.model_validate({"port": port, **asked})
    checks = [
        Check(f"agent.{n}", str(n), target, "snmp", "snmp", given, interval=10, timeout=5, vantage="centre")
        for n in range(AT_ONCE)
    ]
    assert PROTOCOL.service is not None
    async with PROTOCOL.service() as pool:
        await _round(checks, pool, 200)  # warms up
        began = time.process_time()
        outcomes = await _round(checks, pool, count)
        return time.process_time() - began, outcomes


async def _round(checks: Sequence[Check], pool: object, count: int) -> Counter[str]:
    """Run ``count`` probes: an entry that is finished is started again."""
    outcomes: Counter[str] = Counter()
    done = asyncio.Event()
    clock = SystemClock()

    def accept(observation: Observation) -> None:
        outcomes[observation.outcome] += 1

    runner = Runner({"snmp": PROTOCOL}, {"snmp": pool}, clock, Limits(host=AT_ONCE), accept)

    def start(entries: Sequence[Entry]) -> None:
        for entry in entries:
            entry.due, entry.running = clock.monotonic(), True
        runner.start(entries)

    def again(entry: Entry) -> None:
        if outcomes.total() == count:
            done.set()
        elif outcomes.total() <= count - AT_ONCE:
            start([entry])

    runner.finished = again
    start([Entry(check, 0) for check in checks])
    await done.wait()
    await runner.stop()
    return outcomes


def _exporter(pid: int, port: int, module: str, agent: Snmpd, count: int) -> tuple[float, Counter[str]]:
    """CPU seconds that snmp_exporter uses for ``count`` scrapes, asked for over ``AT_ONCE`` kept connections."""
    path = f"/snmp?module={module}&target={agent.host}:{agent.port}"
    outcomes: Counter[str] = Counter()

    def ask(times: int) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
        for _ in range(times):
            connection.request("GET", path)
            answer = connection.getresponse()
            body = answer.read()
            outcomes["ok" if answer.status == 200 and b"\nsnmp_scrape_pdus_returned " in body else "failed"] += 1
        connection.close()

    used = 0.0
    for wanted in (200, count):
        outcomes.clear()
        began = cpu_seconds(pid)
        threads = [threading.Thread(target=ask, args=(wanted // AT_ONCE,)) for _ in range(AT_ONCE)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        used = cpu_seconds(pid) - began
    return used, outcomes


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
                sides = {
                    "sentinel": lambda: uvloop.run(_ours(agent.port, kind.options, kind.count // SLICES)),  # noqa: B023 - called in this turn
                    "snmp_exporter": lambda: _exporter(exporter.pid, port, kind.name, agent, kind.count // SLICES),  # noqa: B023
                }
                for side in [*sides] * SLICES:
                    used, outcomes = sides[side]()
                    if set(outcomes) != {"ok"}:
                        sys.exit(f"snmp: {side}, {kind.name}: {dict(outcomes)}: nothing was measured")
                    key = f"{side} {kind.name}, CPU ms per 1,000"
                    # The least of the slices: what else runs on the machine can only add to it.
                    figures[key] = min(used / outcomes.total() * 1e6, figures.get(key, math.inf))
                ours, theirs = (figures[f"{side} {kind.name}, CPU ms per 1,000"] for side in sides)
                ratios[kind.name] = (ours / theirs, kind.limit)
    return finish("snmp", {**figures}, ratios, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
