"""The lab as an ordinary user has it: everything works but dropping pings, and it says so."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sentinel.config.starter import starter
from sentinel.lab.control import ask

NOBODY = 65_534
SYSTEM_PYTHON = "/usr/bin/python3"  # the interpreter of a virtual environment may lie where only its owner reads


@pytest.fixture
def folder() -> Path:
    # Not below pytest's own directory, which is its owner's alone.
    found = Path("/tmp") / f"sentinel-lab-test-{os.getpid()}"
    found.mkdir(mode=0o700)
    os.chown(found, NOBODY, NOBODY)
    return found


@pytest.mark.timeout(60)
@pytest.mark.skipif(os.geteuid() != 0, reason="becoming another user needs root; as an ordinary one, test_lab is this")
def test_without_privilege(folder: Path) -> None:
    setpriv = shutil.which("setpriv")
    version = subprocess.run(
        [SYSTEM_PYTHON, "-c", "import sys; print(*sys.version_info[:2])"], capture_output=True, check=True
    )
    if setpriv is None or version.stdout.split() != [str(part).encode() for part in sys.version_info[:2]]:
        pytest.skip("needs setpriv, and Debian's Python in the version of the tests'")
    process = subprocess.Popen(
        [
            setpriv,
            f"--reuid={NOBODY}",
            f"--regid={NOBODY}",
            "--clear-groups",
            SYSTEM_PYTHON,
            "-m",
            "sentinel.lab",
            str(starter() / "config"),
        ],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={
            "HOME": str(folder),
            "PATH": os.environ["PATH"],
            "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
            "PYTHONDONTWRITEBYTECODE": "1",
        },
    )
    assert process.stdin is not None
    assert process.stdout is not None
    try:
        said = []
        for line in process.stdout:
            said.append(json.loads(line))
            if said[-1]["event"] != "progress":
                break
        assert said[-1]["event"] == "ready", said
        status = said[-1]["status"]
        assert status["pings"] is False
        place = folder / ".local/state/sentinel" / f"lab-{status['block']}"
        answer = ask(place / "control.sock", {"do": "break", "target": "hall-01", "fault": "down"})
        assert answer["ok"]
        assert any("root and nft" in note for note in answer["notes"])
    finally:
        process.stdin.close()
        assert process.wait(10) == 0
        process.stdout.close()
        left = sorted(path.name for path in folder.rglob("*") if path.is_file())
        shutil.rmtree(folder)
    authority, clip = left
    assert (authority, clip.partition("-")[0]) == ("ca.pem", "scene")
