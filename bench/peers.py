"""What every benchmark needs: the program to compare with, its CPU time, and figures in one form.

    python -m bench.http_probe [--json FILE]

Load driver and servers share the machine's cores, so CPU time for each thousand operations is the figure to trust,
and the ratio of two figures from one run; wall time says little.
"""

from __future__ import annotations

import argparse
import datetime as dt
import json
import os
import platform
from pathlib import Path
from typing import Any

from tests.support.peers import locate
from tests.support.ports import free_port
from tests.support.process import accepts, running

__all__ = ["accepts", "cpu_seconds", "finish", "free_port", "locate", "options", "pss_bytes", "running"]

RESULTS = Path(__file__).parent / "results"
"""Where figures go unless a benchmark is told otherwise; not kept under version control."""


def cpu_seconds(pid: int) -> float:
    """CPU time that a process has used so far, all its threads, user and system (proc(5), stat, fields 14 and 15)."""
    fields = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def pss_bytes(pid: int) -> int:
    """Memory that a process holds, pages that it shares counted by their share (proc(5), smaps_rollup)."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text("ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def options(name: str, description: str) -> argparse.ArgumentParser:
    """A parser with ``--json``; add a benchmark's own arguments to it."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--json", type=Path, default=RESULTS / f"{name}.json", help="where the figures go")
    return parser


def finish(name: str, figures: dict[str, Any], ratios: dict[str, tuple[float, float]], to: Path) -> int:
    """Print the figures, and each ratio beside its limit; write both down; return the exit code, 1 where one is over.

    ``ratios`` maps what is compared to (measured, limit).
    """
    for key, value in figures.items():
        print(f"{name}: {key}: {value:.4g}" if isinstance(value, float) else f"{name}: {key}: {value}")
    missed = 0
    for key, (measured, limit) in ratios.items():
        verdict = "ok" if measured <= limit else "MISSED"
        missed += measured > limit
        print(f"{name}: ratio {key}: {measured:.3f} (at most {limit:g}) {verdict}")
    record = {
        "bench": name,
        "at": dt.datetime.now(dt.UTC).isoformat(timespec="seconds"),  # noqa: TID251 - a label for people
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, Linux {'.'.join(platform.release().split('.')[:2])}",
        "python": platform.python_version(),
        "figures": figures,
        "ratios": {key: {"measured": measured, "limit": limit} for key, (measured, limit) in ratios.items()},
    }
    to.parent.mkdir(parents=True, exist_ok=True)
    to.write_text(json.dumps(record, indent=2, ensure_ascii=False) + "\n", "utf-8")
    return 1 if missed else 0
