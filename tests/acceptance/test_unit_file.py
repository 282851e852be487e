"""The unit file: systemd understands every line of it, and it gives the daemon no more than it needs."""

from __future__ import annotations

import os
import re
import subprocess
from pathlib import Path

import pytest

from tests.support import peers

ROOT = Path(__file__).parents[2]
UNIT = ROOT / "systemd" / "sentinel.service"
EXPOSURE = 1.6


def analyze(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    program = peers.require("systemd-analyze")
    return subprocess.run([program, *arguments], capture_output=True, text=True, timeout=15, check=False)


def exposure(unit: Path) -> float:
    answer = analyze("security", "--offline=true", unit)
    found = re.search(r"exposure level for \S+: ([0-9.]+)", answer.stdout)
    assert found, answer.stdout + answer.stderr
    return float(found[1])


def test_systemd_understands_every_line() -> None:
    answer = analyze("verify", UNIT)
    assert answer.stderr == ""
    assert answer.returncode == 0


def test_a_misspelt_key_would_be_found(tmp_path: Path) -> None:
    broken = tmp_path / "sentinel.service"
    broken.write_text(UNIT.read_text().replace("PrivateTmp=", "PrivateTemp="))
    assert "PrivateTemp" in analyze("verify", broken).stderr


def test_the_daemon_has_least_privilege() -> None:
    assert exposure(UNIT) <= EXPOSURE


@pytest.mark.parametrize("name", ["raw-ping.conf", "low-ports.conf"])
def test_so_it_has_with_a_drop_in(tmp_path: Path, name: str) -> None:
    merged = tmp_path / "sentinel.service"
    drop_in = UNIT.with_name("sentinel.service.d") / name
    lines = [line for line in drop_in.read_text().splitlines() if "=" in line and not line.startswith("#")]
    text = UNIT.read_text()
    for line in lines:
        key = line.partition("=")[0]
        text = re.sub(rf"^{key}=.*$", line, text, flags=re.MULTILINE)
    merged.write_text(text)
    assert exposure(merged) <= EXPOSURE


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files to another user")
def test_the_user_and_the_folders_come_about_in_an_empty_root(tmp_path: Path) -> None:
    peers.require("systemd-analyze")
    (tmp_path / "etc").mkdir()
    for program, options in (("systemd-sysusers", ()), ("systemd-tmpfiles", ("--create",))):
        file = UNIT.with_name(program.removeprefix("systemd-") + ".conf")
        arguments = [program, f"--root={tmp_path}", *options, str(file)]
        answer = subprocess.run(arguments, capture_output=True, text=True, timeout=15, check=False)
        assert answer.returncode == 0, answer.stderr
    user = next(line for line in (tmp_path / "etc/passwd").read_text().splitlines() if line.startswith("sentinel:"))
    secrets = (tmp_path / "etc/sentinel/secrets").stat()
    config = (tmp_path / "etc/sentinel/config").stat()
    assert (secrets.st_mode & 0o777, secrets.st_uid, secrets.st_gid) == (0o750, 0, config.st_gid)
    assert (config.st_mode & 0o777, config.st_gid) == (0o750, int(user.split(":")[3]))
