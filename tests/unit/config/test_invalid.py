"""One broken file a rule: tests/testdata/config/invalid-*.yaml, each with the errors that it must give at its head."""

from __future__ import annotations

from pathlib import Path

import pytest

from sentinel.config import ConfigRefused
from tests.unit.config.conftest import TESTDATA, Estate

CASES = sorted(TESTDATA.glob("invalid-*.yaml"))


def test_there_are_cases() -> None:
    assert len(CASES) > 60


@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_every_error_is_told_with_its_place(case: Path, estate: Estate) -> None:
    text = case.read_text(encoding="utf-8")
    name, *wanted = [line[2:] for line in text.splitlines() if line.startswith("# ")]
    estate.write(name, text)
    with pytest.raises(ConfigRefused) as refused:
        estate.load()
    root = str(estate.config.parent)
    told = []
    for problem in refused.value.problems:
        stem = Path(problem.file).stem
        message = problem.message.replace(root, "ESTATE")
        told.append(f"{'probes' if stem == 'all' else stem}:{problem.line}:{problem.column}: {message}")
    assert told == wanted


def test_the_right_one_is_right(estate: Estate) -> None:
    configuration = estate.load()
    assert list(configuration.targets) == ["hall-01", "hall-02", "hall-03", "switch", "camera"]
    assert configuration.warnings == ()


def test_every_file_is_told_of_in_one_run(estate: Estate) -> None:
    estate.change("inventory", "zone: external", "zone: extern")
    estate.change("sla", "severity: major", "severity: maior")
    estate.change("alerting", "[duty]", "[dutty]")
    estate.change("conferences", "[centre]", "[center]")
    estate.change("probes", "protocol: icmp", "protocol: icpm")
    estate.write("sentinel", "listen: nowhere\n")
    with pytest.raises(ConfigRefused) as refused:
        estate.load()
    assert [Path(problem.file).name for problem in refused.value.problems] == [
        "alerting.yaml",
        "conferences.yaml",
        "inventory.yaml",
        "sentinel.yaml",
        "sla.yaml",
        "all.yaml",
    ]


def test_a_missing_file_is_an_error_and_missing_conferences_are_none(estate: Estate) -> None:
    (estate.config / "conferences.yaml").unlink()
    assert estate.load().conferences == ()
    (estate.config / "sla.yaml").unlink()
    with pytest.raises(ConfigRefused, match=r"sla\.yaml:1:1: cannot be read: No such file"):
        estate.load()


def test_an_inventory_that_is_no_yaml_does_not_make_errors_elsewhere(estate: Estate) -> None:
    estate.write("inventory", "zones: [")
    with pytest.raises(ConfigRefused) as refused:
        estate.load()
    assert len(refused.value.problems) == 1
