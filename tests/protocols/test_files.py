"""files over OpenSSH's SFTP server and in this host's own directories."""

from __future__ import annotations

import asyncio
import os
import threading
import tracemalloc
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from pydantic import ValidationError

from sentinel.app.clock import SystemClock
from sentinel.domain.failure import Failure
from sentinel.protocols.files import PROTOCOL, listing
from sentinel.protocols.files.options import FilesOptions
from tests.support.fixtures import StartHostile, StartSshd
from tests.support.probing import measure, target

NAMES = {"number": r"-(\d+)\.mp4$", "time": r"-(\d{8}-\d{4})-", "glob": "*.mp4"}

Make = Callable[..., dict[str, Any]]


def cause(failure: Failure | None) -> tuple[str, str] | None:
    return None if failure is None else (failure.stage, failure.code)


@pytest.fixture
def recordings(tmp_path: Path) -> Path:
    """Four recordings of one venue: number 3 is missing, and with it half an hour; the last is new."""
    now = SystemClock().now()
    for number, hour, age in ((1, "0800", 7200), (2, "0830", 5400), (4, "0930", 1800), (5, "1000", 5)):
        path = tmp_path / f"hall-20260101-{hour}-{number:03}.mp4"
        path.write_bytes(b"x" * 100 * number)
        os.utime(path, (now - age, now - age))
    (tmp_path / "notes.txt").write_text("no recording")
    return tmp_path


@pytest.fixture(params=["sftp", "local"])
def reach(request: pytest.FixtureRequest, sshd: StartSshd) -> Make:
    """Options that reach a directory, over the network and without it."""
    if request.param == "local":
        return lambda path, **more: {"transport": "local", "path": str(path), **more}
    return lambda path, **more: sshd().options(path=str(path), **more)


# -- what is measured ---------------------------------------------------------------------------------------------


async def test_recordings_are_measured(reach: Make, recordings: Path) -> None:
    measured = await measure(PROTOCOL, target(), reach(recordings, **NAMES))
    assert measured.failure is None
    assert "query" in measured.stages
    values = measured.values
    assert {name: values[name] for name in ("files", "total_bytes", "newest_bytes", "smallest_bytes")} == {
        "files": 4.0,
        "total_bytes": 1200.0,
        "newest_bytes": 500.0,
        "smallest_bytes": 100.0,
    }
    assert (values["missing_numbers"], values["largest_gap_seconds"], values["misnamed_files"]) == (1.0, 3600.0, 0.0)
    assert 4 < values["newest_age_seconds"] < 60
    assert 7199 < values["oldest_age_seconds"] < 7260
    assert values["empty_files"] == 0.0
    system = os.statvfs(recordings)
    assert values["free_ratio"] == pytest.approx(system.f_bavail / system.f_blocks, abs=0.05)
    assert measured.facts["newest"] == "hall-20260101-1000-005.mp4"
    assert measured.facts["missing"] == "3"
    assert measured.facts["gap_after"] == "hall-20260101-0830-002.mp4"


async def test_an_empty_recording_counts_once_it_is_whole(reach: Make, recordings: Path) -> None:
    (recordings / "hall-20260101-1030-006.mp4").touch()  # just begun
    values = (await measure(PROTOCOL, target(), reach(recordings, **NAMES))).values
    assert (values["empty_files"], values["smallest_bytes"]) == (0.0, 100.0)
    old = recordings / "hall-20260101-0900-003.mp4"
    old.touch()
    os.utime(old, (1e9, 1e9))
    values = (await measure(PROTOCOL, target(), reach(recordings, **NAMES))).values
    assert (values["empty_files"], values["smallest_bytes"], values["missing_numbers"]) == (1.0, 0.0, 0.0)


async def test_the_newest_grows_from_run_to_run(reach: Make, recordings: Path) -> None:
    memory: dict[str, Any] = {}
    options = reach(recordings)

    async def grown() -> float | None:
        return (await measure(PROTOCOL, target(), options, memory=memory)).values.get("newest_growth_bytes")

    (recordings / "notes.txt").unlink()
    newest = recordings / "hall-20260101-1000-005.mp4"
    assert await grown() is None
    newest.write_bytes(b"x" * 750)
    assert await grown() == 250.0
    assert await grown() == 0.0
    later = recordings / "hall-20260101-1030-006.mp4"
    later.write_bytes(b"x" * 40)
    os.utime(later, (SystemClock().now() + 2, SystemClock().now() + 2))
    assert await grown() == 40.0


async def test_series_are_numbered_each_by_itself(reach: Make, tmp_path: Path) -> None:
    for name in ("a-1.mp4", "a-2.mp4", "a-5.mp4", "b-7.mp4", "b-9.mp4", "c-x.mp4", "c-.mp4"):
        (tmp_path / name).write_bytes(b"x")
    options = reach(tmp_path, number=r"-(\w*)\.", series=r"^(\w)-")
    measured = await measure(PROTOCOL, target(), options)
    assert (measured.values["missing_numbers"], measured.values["misnamed_files"]) == (3.0, 2.0)
    assert measured.facts["missing"] == "a 3"
    assert "largest_gap_seconds" not in measured.values


async def test_a_directory_without_files_is_measured_as_that(reach: Make, tmp_path: Path) -> None:
    measured = await measure(PROTOCOL, target(), reach(tmp_path, **NAMES))
    assert measured.failure is None
    assert (measured.values["files"], measured.values["missing_numbers"]) == (0.0, 0.0)
    assert "newest_age_seconds" not in measured.values


async def test_directories_below_count_as_deep_as_is_said(reach: Make, tmp_path: Path) -> None:
    (tmp_path / "2026" / "01").mkdir(parents=True)
    for path in ("top.mp4", "2026/middle.mp4", "2026/01/deep.mp4"):
        (tmp_path / path).write_bytes(b"x")
    for depth in range(3):
        values = (await measure(PROTOCOL, target(), reach(tmp_path, depth=depth))).values
        assert values["files"] == depth + 1


async def test_no_link_leads_out(reach: Make, tmp_path: Path, recordings: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    (inside / "own.mp4").write_bytes(b"x")
    (inside / "file.mp4").symlink_to(recordings / "hall-20260101-0800-001.mp4")
    (inside / "directory").symlink_to(recordings)
    (inside / "loop").symlink_to(inside)
    os.mkfifo(inside / "pipe.mp4")
    measured = await measure(PROTOCOL, target(), reach(inside, depth=8))
    assert (measured.values["files"], measured.values["total_bytes"]) == (1.0, 1.0)


async def test_names_that_count(reach: Make, tmp_path: Path) -> None:
    for name in ("a.mp4", "a.MP4", "b.mp4", "[a].mp4", "a.mp4.part", "会场.mp4"):
        (tmp_path / name).write_bytes(b"x")

    async def files(**options: str) -> float:
        return (await measure(PROTOCOL, target(), reach(tmp_path, **options))).values["files"]

    assert await files(glob="*.mp4") == 4
    assert await files(glob="?.mp4") == 2
    assert await files(glob="[a].mp4") == 1
    assert await files(glob="会*") == 1
    assert await files(glob="*.mp4", matches="^[ab]") == 2


# -- what may go wrong --------------------------------------------------------------------------------------------


async def test_what_a_directory_may_come_to(reach: Make, recordings: Path) -> None:
    async def found(path: Path, **options: Any) -> tuple[str, str] | None:
        return cause((await measure(PROTOCOL, target(), reach(path, **options))).failure)

    assert await found(recordings / "nowhere") == ("query", "not_found")
    assert await found(recordings, max_entries=4) == ("query", "too_large")
    assert await found(recordings, max_entries=5) is None
    file = await found(recordings / "notes.txt")
    assert file is not None
    assert file[0] == "query"


async def test_a_directory_that_is_closed_to_us_is_forbidden() -> None:
    async with server(Closed) as options:
        assert cause((await measure(PROTOCOL, target(), options)).failure) == ("query", "forbidden")


async def test_a_file_system_that_hangs_is_timed_out_and_holds_few_threads(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    release = threading.Event()
    monkeypatch.setattr(listing, "_read", lambda *_: release.wait(20) and ([], None))
    options = {"transport": "local", "path": str(tmp_path)}
    async with PROTOCOL.service() as service:  # type: ignore[misc]  # this protocol has one
        try:
            runs = [measure(PROTOCOL, target(), options, timeout=0.3, service=service) for _ in range(listing.READERS)]
            for measured in await asyncio.gather(*runs):
                assert cause(measured.failure) == ("query", "timed_out")
            measured = await measure(PROTOCOL, target(), options, timeout=0.3, service=service)
            assert measured.failure is not None
            assert measured.failure.code == "overloaded"
        finally:
            release.set()
        async with asyncio.timeout(5):
            while (await measure(PROTOCOL, target(), options, service=service)).failure is not None:
                await asyncio.sleep(0.01)


def test_what_cannot_work_is_refused() -> None:
    for wrong in (
        {"path": "/srv"},
        {"path": "/srv", "transport": "local", "time_format": "%A"},
        {"path": "/srv", "transport": "local", "number": "("},
        {"transport": "local"},
        {"path": "/srv", "username": "probe", "password": "x"},
    ):
        with pytest.raises(ValidationError):
            FilesOptions.model_validate(wrong)


# -- servers that misbehave ---------------------------------------------------------------------------------------

HOST_KEY = asyncssh.generate_private_key("ssh-ed25519")


class Anybody(asyncssh.SSHServer):
    """Lets everybody in."""

    def begin_auth(self, *_: Any) -> bool:
        return False


class Closed(asyncssh.SFTPServer):
    """Shows nothing."""

    def scandir(self, *_: Any) -> AsyncIterator[asyncssh.SFTPName]:
        raise asyncssh.SFTPPermissionDenied("not for you")


class Endless(asyncssh.SFTPServer):
    """Has always one more."""

    async def scandir(self, *_: Any) -> AsyncIterator[asyncssh.SFTPName]:
        number = 0
        while True:
            number += 1
            yield asyncssh.SFTPName(b"file-%d" % number, attrs=asyncssh.SFTPAttrs(type=1, size=1, mtime=1))


class Escaping(asyncssh.SFTPServer):
    """Has a file that lies elsewhere."""

    async def scandir(self, *_: Any) -> AsyncIterator[asyncssh.SFTPName]:
        yield asyncssh.SFTPName(b"../../etc/passwd", attrs=asyncssh.SFTPAttrs(type=2))


class Silent(asyncssh.SFTPServer):
    """Says nothing."""

    async def scandir(self, *_: Any) -> AsyncIterator[asyncssh.SFTPName]:
        await asyncio.sleep(2)  # longer than anybody waits; at its end the server can be stopped
        yield asyncssh.SFTPName(b"late")


@asynccontextmanager
async def server(sftp: type[asyncssh.SFTPServer] | None) -> AsyncIterator[dict[str, Any]]:
    listening = await asyncssh.listen(
        "127.0.0.1", 0, server_host_keys=[HOST_KEY], server_factory=Anybody, sftp_factory=sftp
    )
    async with listening:
        yield {
            "port": listening.get_port(),
            "username": "probe",
            "password": "x",
            "host_key": HOST_KEY.get_fingerprint(),
            "path": "/srv",
        }


@pytest.mark.parametrize(
    ("sftp", "expected"),
    [(Endless, ("query", "too_large")), (Escaping, ("query", "protocol_error")), (Silent, ("query", "timed_out"))],
)
async def test_a_hostile_listing_has_its_code(sftp: type[asyncssh.SFTPServer], expected: tuple[str, str]) -> None:
    async with server(sftp) as options:
        measured = await measure(
            PROTOCOL, target(), options | {"free_space": False}, timeout=5 if sftp is Endless else 0.8
        )
        assert cause(measured.failure) == expected
        assert sftp is not Silent or measured.took < 1.3  # at its deadline


async def test_what_is_no_sftp_server_is_told() -> None:
    async with server(None) as options:
        assert cause((await measure(PROTOCOL, target(), options)).failure) == ("channel", "unsupported")


async def test_a_server_that_does_not_know_free_space_says_so() -> None:
    class Old(asyncssh.SFTPServer):
        async def scandir(self, *_: Any) -> AsyncIterator[asyncssh.SFTPName]:
            yield asyncssh.SFTPName(b"a", attrs=asyncssh.SFTPAttrs(type=1, size=1, mtime=1))

        def statvfs(self, *_: Any) -> Any:
            raise asyncssh.SFTPOpUnsupported("no")

    async with server(Old) as options:
        assert cause((await measure(PROTOCOL, target(), options)).failure) == ("query", "unsupported")
        measured = await measure(PROTOCOL, target(), options | {"free_space": False})
        assert measured.failure is None
        assert "free_bytes" not in measured.values


async def test_ten_thousand_files_are_listed_in_bounded_memory(reach: Make, tmp_path: Path) -> None:
    for number in range(1, 10_001):
        if number % 1000:
            (tmp_path / f"r-{number:05}.mp4").touch()
    options = reach(tmp_path, number=r"-(\d+)")
    tracemalloc.start()
    try:
        measured = await measure(PROTOCOL, target(), options, timeout=15)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert measured.failure is None
    assert (measured.values["files"], measured.values["missing_numbers"]) == (9990.0, 9.0)
    assert peak < 32 << 20


@pytest.mark.parametrize("manner", ["hang", "garbage", "reset", "close", "endless", "refuse"])
async def test_a_hostile_peer_is_no_trouble_of_ours(hostile: StartHostile, manner: Any) -> None:
    peer = await hostile(manner)
    options = {"port": peer.port, "username": "probe", "password": "x", "host_key": "any", "path": "/srv"}
    measured = await measure(PROTOCOL, target(), options, timeout=0.5)
    assert measured.failure is not None
    assert not measured.failure.local
    assert measured.took < 1.0
    async with asyncio.timeout(5):
        await peer.all_closed()
