import json
from pathlib import Path

import pytest

from tools import coverage_gate


def report(folder: Path, **ran: int) -> Path:
    """A report in which each file has 100 lines, and the given number of them ran."""
    files = {
        name.replace("__", "/"): {
            "summary": {
                "covered_lines": lines,
                "num_statements": 100,
                "missing_lines": 100 - lines,
                "covered_branches": 0,
                "num_branches": 0,
            },
            "missing_lines": list(range(100 - lines)),
        }
        for name, lines in ran.items()
    }
    written = folder / "coverage.json"
    written.write_text(json.dumps({"files": files}), "utf-8")
    return written


def test_enough_is_enough(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert coverage_gate.main(report(tmp_path, src__sentinel__domain__a=100, src__sentinel__b=90)) == 0
    assert "src/sentinel 95.0 %" in capsys.readouterr().out


def test_the_domain_must_be_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert coverage_gate.main(report(tmp_path, src__sentinel__domain__a=99, src__sentinel__b=100)) == 1
    assert "src/sentinel/domain: 99.00 %" in capsys.readouterr().out


def test_a_run_that_measured_nothing_falls_short(tmp_path: Path) -> None:
    assert coverage_gate.main(report(tmp_path)) == 1
    assert coverage_gate.main(tmp_path / "none.json") == 1
