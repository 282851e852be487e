"""Every benchmark, each beside its peer in one run; with --write the table goes to docs/benchmarks.md.

python -m bench [NAME ...] [--write]
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from bench.peers import RESULTS

ORDER = (
    "scheduler", "engine", "icmp", "snmp", "http_probe", "rtsp", "picture", "exposition", "whole", "growth",
)  # fmt: skip
PAGE = Path(__file__).parents[1] / "docs" / "benchmarks.md"

PREFACE = """\
# Benchmarks

<!-- Written by `make bench WRITE=--write`. -->

Each row is one work done by Sentinel and by its peer in one run on the same machine, with the servers on loopback. What
is compared is **CPU time of the whole process** (user and system) unless a row says otherwise: on a shared machine it
is the figure to trust, and ratios within one run say more than milliseconds. Sentinel's side is the daemon's own code
(scheduler, runner, protocol, on uvloop), not a bare loop, as each benchmark's docstring describes.
"""

NOTES = """\
## What to make of it

- **ICMP beside blackbox_exporter** is measured at 15,000 echoes a second, a pace at which fping does not follow. What
  is over the limit is the kernel's: sending and receiving one echo on loopback cost about 15 of our 36 microseconds on
  this virtual machine (fping itself needs 28), half of what 0.05 of blackbox_exporter allows. At the paces of a real
  estate the figure to look at is the one beside fping.
- **whole** costs us most where connections are opened: the kernel's connecting and aiohttp's parser are what is left of
  an HTTP check. Before a request went without aiohttp's session, before each SNMP agent kept a session of its own and
  before results within their limits were passed by, the daemon took half as much again (0.26 cores, then 0.18).
- **SNMP** leaves little room: the runner costs about 19 microseconds of a GET and the look at each datagram 9.
- **HTTPS** is OpenSSL's handshake on both sides; there is no large win to be had.
- **picture**: the labelled set is made of eleven of scikit-image's pictures and the Hubble deep field, of other parts
  at each seed; no threshold was found on the seeds that are measured. Three combinations are left out because they
  cannot be: the deep field has no edges to blur, stays grey where it is overexposed, and keeps no colour in an encoder.
  What is hard: a blue tint on a brown scene makes it grey, and a lens that is a little out of focus before low contrast
  (bricks, gravel) leaves nothing to tell it by.
- **engine** has no peer: it is what one swept check costs from the wheel to the store's roll-up, without a socket.
"""


def main() -> int:
    """Run, print, perhaps write; 1 where a limit was missed."""
    parser = argparse.ArgumentParser(description="Every benchmark beside its peer.")
    parser.add_argument("names", nargs="*", help="only these")
    parser.add_argument("--write", action="store_true", help="write docs/benchmarks.md")
    chosen = parser.parse_args()
    for name in chosen.names or ORDER:
        print(f"\n== {name}", flush=True)
        subprocess.run([sys.executable, "-m", f"bench.{name}"], check=False)
    records = [json.loads(path.read_text("utf-8")) for path in sorted(RESULTS.glob("*.json"))]
    print("\n" + table(records))
    if chosen.write:
        PAGE.write_text(page(records), "utf-8")
    return any(row["measured"] > row["limit"] for record in records for row in record["ratios"].values())


def table(records: list[dict[str, Any]]) -> str:
    """Ratios beside their limits."""
    rows = ["| benchmark | ratio of | measured | at most | |", "|---|---|---|---|---|"]
    rows += [
        f"| {record['bench']} | {what} | {row['measured']:.3f} | {row['limit']:g} | "
        f"{'kept' if row['measured'] <= row['limit'] else '**missed**'} |"
        for record in records
        for what, row in record["ratios"].items()
    ]
    return "\n".join(rows)


def page(records: list[dict[str, Any]]) -> str:
    """The document."""
    machines = sorted({f"{one['machine']}, Python {one['python']}" for one in records})
    days = sorted({one["at"][:10] for one in records})
    parts = [
        PREFACE,
        f"Measured {' and '.join(days)} on {'; '.join(machines)}.\n",
        table(records) + "\n",
        "## Figures\n",
    ]
    for record in records:
        parts.append(f"### {record['bench']}\n\n`python -m bench.{module(record['bench'])}`\n")
        parts.append(
            "| | |\n|---|---|\n"
            + "\n".join(f"| {key} | {_figure(value)} |" for key, value in record["figures"].items())
            + "\n"
        )
    parts.append(NOTES)
    return "\n".join(parts)


def module(bench: str) -> str:
    """The module that runs a benchmark."""
    return "http_probe" if bench == "http" else bench


def _figure(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


if __name__ == "__main__":
    raise SystemExit(main())
