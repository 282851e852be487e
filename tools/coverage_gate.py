"""Fails when a part of the code is covered less than `[tool.coverage-gate]` in pyproject.toml asks for."""

import json
import sys
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent


def covered(files: Mapping[str, Any], prefix: str) -> tuple[int, int]:
    """How many lines and branches under `prefix` ran, and how many there are."""
    summaries = [file["summary"] for name, file in files.items() if name.startswith(prefix + "/")]
    return (
        sum(summary["covered_lines"] + summary["covered_branches"] for summary in summaries),
        sum(summary["num_statements"] + summary["num_branches"] for summary in summaries),
    )


def shortfalls(files: Mapping[str, Any], gates: Mapping[str, float]) -> list[str]:
    """One line for each part that falls short; a part with nothing in it does."""
    found = []
    for prefix, least in gates.items():
        ran, total = covered(files, prefix)
        # Compared as a fraction: 99.996 % must not be rounded up to 100.
        if total == 0 or ran * 100 < least * total:
            share = 100 * ran / total if total else 0.0
            found.append(f"{prefix}: {share:.2f} % of {total} lines and branches ran, {least} % are asked for")
    return found


def main(report: Path) -> int:
    """Print the shortfalls, and where they are, worst first."""
    if not report.exists():
        print(f"{report}: not there; the tests have not run to their end")
        return 1
    files = json.loads(report.read_text("utf-8"))["files"]
    gates = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["tool"]["coverage-gate"]
    found = shortfalls(files, gates)
    for line in found:
        print(line)
    if found:
        worst = sorted(files.items(), key=lambda item: -item[1]["summary"]["missing_lines"])
        for name, file in worst[:15]:
            if file["missing_lines"] or file.get("missing_branches"):
                print(f"  {name}: lines {file['missing_lines'][:20]} branches {file.get('missing_branches', [])[:10]}")
    else:
        print(
            ", ".join(
                f"{prefix} {100 * ran / total:.1f} %" for prefix in gates for ran, total in [covered(files, prefix)]
            )
        )
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
