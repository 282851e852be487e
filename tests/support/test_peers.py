import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import peers
from tests.support.ports import free_port
from tests.support.process import PeerDiedError, running


@pytest.fixture
def absent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(peers.PEERS, "absent", peers.Peer("absent", "no-such-program", ("no-such-package",)))
    peers.find.cache_clear()


@pytest.mark.usefixtures("absent")
def test_a_missing_peer_skips_with_the_install_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("CI", raising=False)
    with pytest.raises(pytest.skip.Exception, match="sudo apt-get install no-such-package"):
        peers.require("absent")


@pytest.mark.usefixtures("absent")
def test_a_missing_peer_fails_in_ci(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="sudo apt-get install no-such-package"):
        peers.require("absent")


@pytest.mark.usefixtures("absent")
def test_missing_packages_are_listed() -> None:
    assert "no-such-package" in peers.missing_packages()


def test_the_list_can_be_asked_for_without_the_project(tmp_path: Path) -> None:
    command = [sys.executable, "-S", "-m", "tests.support.peers", "--missing"]
    root = Path(__file__).resolve().parents[2]
    ended = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60, cwd=root)
    assert len(ended.stdout.splitlines()) == 1


def test_a_peer_that_dies_says_why(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        pytest.raises(PeerDiedError, match=r"(?s)ended with 3.*no such luck"),
        running(["sh", "-c", "echo no such luck; exit 3"], ready=lambda: False, log=log),
    ):
        pass


def test_a_peer_is_gone_after_its_block(tmp_path: Path) -> None:
    with running(["sleep", "600"], ready=lambda: True, log=tmp_path / "log") as process:
        assert process.poll() is None
    assert process.poll() is not None


def test_free_ports_are_outside_the_ephemeral_range() -> None:
    assert free_port() < 32768
