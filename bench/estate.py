"""An estate of thousands of loopback targets: a configuration for the daemon, addresses for its peers."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.support.daemon import free_port

PER_NETWORK = 250
"""Targets for each /24: one line of the inventory."""


@dataclass(frozen=True)
class Share:
    """Targets of one kind: ``count`` addresses from ``network`` (two bytes, "127.20") on, with one check each."""

    probe: str
    network: str
    count: int

    @property
    def addresses(self) -> list[str]:
        """All of them, in order."""
        return [f"{self.network}.{n // PER_NETWORK}.{n % PER_NETWORK + 1}" for n in range(self.count)]

    def inventory(self, interval: float) -> str:
        """The lines of the inventory."""
        rows = []
        for network in range(-(-self.count // PER_NETWORK)):
            count = min(PER_NETWORK, self.count - network * PER_NETWORK)
            rows.append(
                f'  - {{id: "{self.probe}-{network}-{{n}}", name: "目标{{n}}", '
                f'address: "{self.network}.{network}.{{n}}", kind: thing, zone: here, count: {count}, '
                f"checks: {{{self.probe}: {{probe: {self.probe}, interval: {interval:g}s, timeout: 2s}}}}}}\n"
            )
        return "".join(rows)


def write(folder: Path, shares: Sequence[Share], probes: str, sla: str, *, interval: float) -> int:
    """Write a configuration into ``folder``; the port at which its daemon will listen."""
    config, named = folder / "config", folder / "probes"
    config.mkdir()
    named.mkdir()
    targets = "".join(share.inventory(interval) for share in shares)
    (config / "inventory.yaml").write_text(
        f"zones:\n  here: {{name: 本机, vantage: centre}}\ntargets:\n{targets}", "utf-8"
    )
    (config / "sla.yaml").write_text(sla, "utf-8")
    (config / "alerting.yaml").write_text("channels: {}\nroutes: []\n", "utf-8")
    port = free_port()
    (config / "sentinel.yaml").write_text(
        f"listen: 127.0.0.1:{port}\nstore: {folder}/sentinel.db\nsocket: {folder}/sentinel.sock\n", "utf-8"
    )
    (named / "bench.yaml").write_text(probes, "utf-8")
    return port
