"""The whole daemon beside Prometheus, blackbox_exporter, snmp_exporter and Alertmanager that do the same.

python -m bench.whole [--seconds S] [--json FILE]

Needs root: it runs in a network namespace of its own, where every address is loopback.  6,000 ICMP, 2,000 HTTP,
1,500 SNMP and 500 TCP checks each 10 s, rules over all of them, metrics scraped every 15 s.  nginx and snmpd answer
and are counted on neither side.  CPU is of all processes of a side, memory their PSS at the end.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.estate import Share, write
from bench.growth import count
from bench.peers import accepts, cpu_seconds, finish, free_port, locate, options, pss_bytes, running
from bench.snmp import FIVE

INTERVAL = 10
SCRAPE = 15
WARM_UP = 45.0
"""Seconds before measuring: both sides have asked every target three times."""
INSIDE = "SENTINEL_BENCH_INSIDE"
PING, PAGE, DEVICE, PORT = (
    Share("ping", "127.20", 6_000),
    Share("page", "127.21", 2_000),
    Share("device", "127.22", 1_500),
    Share("port", "127.23", 500),
)
CPU_LIMIT, MEMORY_LIMIT = 0.12, 0.15
SENT = 0.999

SLA = """\
rules:
  - {id: down, name: 不可用, down: {failures: 2, of: 3}, severity: critical, retry_interval: 1s}
  - {id: slow, name: 响应慢, threshold: {value: took, above: 1s, failures: 2, of: 3}, severity: warning}
"""


@dataclass(frozen=True)
class Cost:
    """What a side took in ``seconds``: CPU seconds and bytes."""

    cpu: float
    memory: int
    seconds: float

    @property
    def cores(self) -> float:
        """How many cores it kept busy."""
        return self.cpu / self.seconds


def measure(pids: Sequence[int], seconds: float) -> Cost:
    """CPU and memory of these processes from after the warm-up on."""
    time.sleep(WARM_UP)
    began, clock = sum(map(cpu_seconds, pids)), time.monotonic()
    time.sleep(seconds)
    return Cost(sum(map(cpu_seconds, pids)) - began, sum(map(pss_bytes, pids)), time.monotonic() - clock)


def ours(folder: Path, web: int, agent: int, seconds: float) -> tuple[Cost, float]:
    """The daemon; what it cost, and the share of due probes that it sent."""
    five = {key: {"oid": oid, "type": kind} for key, (oid, kind) in FIVE.items()}
    probes = {
        "ping": {"protocol": "icmp", "description": "可达", "options": {}},
        "page": {"protocol": "http", "description": "网页", "options": {"port": web, "path": "/"}},
        "device": {"protocol": "snmp", "description": "设备", "options": {"port": agent, "get": five}},
        "port": {"protocol": "tcp", "description": "端口", "options": {"port": web}},
    }
    named = json.dumps({"probes": probes}, ensure_ascii=False)
    port = write(folder, [PING, PAGE, DEVICE, PORT], named, SLA, interval=INTERVAL)
    command = [sys.executable, "-m", "sentinel", "run", "--config", str(folder / "config")]
    with running(command, ready=lambda: accepts("127.0.0.1", port), log=folder / "log", within=120) as daemon:
        with scraped(port):
            before: list[float] = []
            timer = threading.Timer(WARM_UP, lambda: before.append(count(port, "sentinel_scheduler_started_total")))
            timer.start()
            cost = measure([daemon.pid], seconds)
            sent = count(port, "sentinel_scheduler_started_total") - before[0]
        text = page(port)
        up = len(re.findall(r"^sentinel_check_up\{.*\} 1$", text, re.MULTILINE))
        total = sum(share.count for share in (PING, PAGE, DEVICE, PORT))
        if up < total * SENT:
            sys.exit(f"whole: {up} of {total} checks are up on our side: nothing was measured")
        return cost, sent / (total * cost.seconds / INTERVAL)


@contextlib.contextmanager
def scraped(port: int) -> Iterator[None]:
    """Ask for the metrics every ``SCRAPE`` seconds, as Prometheus would."""
    over = threading.Event()

    def scrape() -> None:
        while not over.wait(SCRAPE):
            page(port)

    thread = threading.Thread(target=scrape)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def page(port: int) -> str:
    """The whole exposition."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/metrics", timeout=30) as answer:
        return str(answer.read().decode())


def theirs(folder: Path, web: int, agent: int, seconds: float) -> Cost:
    """Prometheus, its exporters and Alertmanager."""
    ports = {name: free_port() for name in ("prometheus", "blackbox_exporter", "snmp_exporter", "alertmanager")}
    _configure(folder, ports, web, agent)
    flags = {
        "prometheus": [f"--config.file={folder}/prometheus.json", f"--storage.tsdb.path={folder}/tsdb"],
        "blackbox_exporter": [f"--config.file={folder}/blackbox.json"],
        "snmp_exporter": [f"--config.file={folder}/snmp.json"],
        "alertmanager": [
            f"--config.file={folder}/alertmanager.json",
            f"--storage.path={folder}/alerts",
            "--cluster.listen-address=",
        ],
    }
    with contextlib.ExitStack() as stack:
        pids = []
        for name, port in ports.items():
            command = [locate(name), *flags[name], f"--web.listen-address=127.0.0.1:{port}", "--log.level=error"]
            ready = lambda port=port: accepts("127.0.0.1", port)  # noqa: E731 - one for each
            pids.append(stack.enter_context(running(command, ready=ready, log=folder / f"{name}.log")).pid)
        cost = measure(pids, seconds)
        url = f"http://127.0.0.1:{ports['prometheus']}/api/v1/query?query="
        good = _number(url + "sum(probe_success)") + _number(url + "count(snmp_scrape_pdus_returned>0)")
        total = sum(share.count for share in (PING, PAGE, DEVICE, PORT))
        if good < total * SENT:
            sys.exit(f"whole: {good:.0f} of {total} targets are up on their side: nothing was measured")
        return cost


def _number(url: str) -> float:
    with urllib.request.urlopen(url.replace(">", "%3E"), timeout=30) as answer:
        result = json.load(answer)["data"]["result"]
    return float(result[0]["value"][1]) if result else 0.0


def _configure(folder: Path, ports: dict[str, int], web: int, agent: int) -> None:
    """The four programs' files; JSON is YAML."""

    def job(name: str, exporter: str, share: Share, form: str, path: str = "/probe") -> dict[str, Any]:
        return {
            "job_name": name,
            "metrics_path": path,
            "params": {"module": [name]},
            "static_configs": [{"targets": [form.format(address) for address in share.addresses]}],
            "relabel_configs": [
                {"source_labels": ["__address__"], "target_label": "__param_target"},
                {"source_labels": ["__param_target"], "target_label": "instance"},
                {"target_label": "__address__", "replacement": f"127.0.0.1:{ports[exporter]}"},
            ],
        }

    alerts = [
        {"alert": "Down", "expr": "probe_success == 0 or up == 0", "for": "20s", "labels": {"severity": "critical"}},
        {"alert": "Slow", "expr": 'probe_duration_seconds{job="icmp"} > 1', "labels": {"severity": "warning"}},
    ]
    files: dict[str, Any] = {
        "prometheus": {
            "global": {"scrape_interval": f"{INTERVAL}s", "scrape_timeout": "5s", "evaluation_interval": "15s"},
            "rule_files": [f"{folder}/rules.json"],
            "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{ports['alertmanager']}"]}]}]},
            "scrape_configs": [
                job("icmp", "blackbox_exporter", PING, "{}"),
                job("http", "blackbox_exporter", PAGE, f"http://{{}}:{web}/"),
                job("tcp", "blackbox_exporter", PORT, f"{{}}:{web}"),
                job("five", "snmp_exporter", DEVICE, f"{{}}:{agent}", "/snmp"),
            ],
        },
        "rules": {"groups": [{"name": "all", "rules": alerts}]},
        "blackbox": {
            "modules": {
                "icmp": {"prober": "icmp", "timeout": "2s", "icmp": {"preferred_ip_protocol": "ip4"}},
                "http": {"prober": "http", "timeout": "2s"},
                "tcp": {"prober": "tcp", "timeout": "2s"},
            }
        },
        "snmp": {
            "five": {
                "get": [oid for oid, _ in FIVE.values()],
                "metrics": [
                    {"name": name, "oid": oid, "type": "counter" if kind == "counter64" else "gauge", "help": name}
                    for name, (oid, kind) in FIVE.items()
                ],
                "version": 2,
                "auth": {"community": "public"},
            }
        },
        "alertmanager": {"route": {"receiver": "nobody"}, "receivers": [{"name": "nobody"}]},
    }
    for name, content in files.items():
        (folder / f"{name}.json").write_text(json.dumps(content), "utf-8")


@contextlib.contextmanager
def answering(folder: Path) -> Iterator[tuple[int, int]]:
    """Run nginx and snmpd on every address of the namespace; their ports."""
    web, agent = free_port(), free_port()
    (folder / "nginx.conf").write_text(
        f"daemon off; master_process off; pid {folder}/nginx.pid; error_log stderr error; worker_rlimit_nofile 65536;\n"
        "events { worker_connections 8192; }\n"
        f"http {{ access_log off; client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy;\n"
        f"fastcgi_temp_path {folder}/f; uwsgi_temp_path {folder}/u; scgi_temp_path {folder}/s;\n"
        f'server {{ listen {web} backlog=4096; location / {{ return 200 "well\\n"; }} }} }}\n',
        "utf-8",
    )
    (folder / "snmpd.conf").write_text(f"agentAddress udp:{agent}\nrocommunity public 127.0.0.0/8\n", "utf-8")
    with contextlib.ExitStack() as stack:
        nginx = [locate("nginx"), "-c", str(folder / "nginx.conf"), "-e", "stderr"]
        stack.enter_context(running(nginx, ready=lambda: accepts("127.0.0.1", web), log=folder / "nginx.log"))
        snmpd = [locate("snmpd"), "-f", "-LE", "3", "-C", "-c", str(folder / "snmpd.conf"), "-p", f"{folder}/snmpd.pid"]
        quiet = {"SNMP_PERSISTENT_DIR": str(folder / "persistent"), "MIBS": ""}
        stack.enter_context(running(snmpd, ready=lambda: True, log=folder / "snmpd.log", env=quiet))
        yield web, agent


def main() -> int:
    """Measure both sides, one after the other, and compare."""
    parser = options("whole", __doc__ or "")
    parser.add_argument("--seconds", type=float, default=60.0)
    chosen = parser.parse_args()
    if INSIDE not in os.environ:
        inside = ["unshare", "--net", "sh", "-c", 'ip link set lo up && exec "$@"', "sh"]
        command = [*inside, sys.executable, "-m", "bench.whole", *sys.argv[1:]]
        return subprocess.run(command, env={**os.environ, INSIDE: "1"}, check=False).returncode
    with tempfile.TemporaryDirectory() as name:
        folders = [Path(name) / part for part in ("answering", "ours", "theirs")]
        for folder in folders:
            folder.mkdir()
        with answering(folders[0]) as (web, agent):
            mine, sent = ours(folders[1], web, agent, chosen.seconds)
            peers = theirs(folders[2], web, agent, chosen.seconds)
    figures = {
        "sentinel, cores": mine.cores,
        "sentinel, PSS MB": mine.memory / 1e6,
        "sentinel, share of due probes sent": sent,
        "peers, cores": peers.cores,
        "peers, PSS MB": peers.memory / 1e6,
    }
    ratios = {
        "CPU": (mine.cpu / mine.seconds / peers.cores, CPU_LIMIT),
        "memory": (mine.memory / peers.memory, MEMORY_LIMIT),
        "due probes not sent, to 0.1 %": ((1 - min(sent, 1)) / (1 - SENT), 1.0),
    }
    return finish("whole", figures, ratios, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
