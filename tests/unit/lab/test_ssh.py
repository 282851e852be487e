"""The lab's SSH hosts and recorders, asked by the probes with the options that are shipped."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncssh
import pytest
from ruamel.yaml import YAML

from sentinel.domain.observation import Measurement
from sentinel.domain.target import Check
from sentinel.lab.authority import Authority
from sentinel.lab.faults import DOWN, SLOW
from sentinel.lab.servers.ssh import (
    HOST_KEY_CHANGED,
    RECORDING_MISSING,
    RECORDING_STOPPED,
    SIMULATION,
    SshServer,
    host_key,
)
from sentinel.lab.simulation import Ground, Service
from sentinel.protocols import files, ssh
from sentinel.sdk.ssh_login import SshLogin
from tests.support.ports import free_port
from tests.support.probing import measure, target

PROTOCOLS = {"ssh": ssh.PROTOCOL, "files": files.PROTOCOL}
ROOT = Path(__file__).parents[3]
PROBES = {
    name: entry
    for family in ("ssh", "files")
    for name, entry in YAML(typ="safe").load(ROOT / "probes" / f"{family}.yaml")["probes"].items()
    if entry.get("options", {}).get("transport") != "local"
}


@asynccontextmanager
async def lab(tmp_path: Path) -> AsyncIterator[tuple[SshServer, dict[str, Check]]]:
    """A server for all probes that are shipped."""
    port = free_port()
    login = {"port": port, "username": "sentinel", "password": "x", "host_key": host_key().get_fingerprint()}
    checks = {}
    for name, entry in PROBES.items():
        protocol = PROTOCOLS[entry["protocol"]]
        options = protocol.options.model_validate({**entry.get("options", {}), **login})
        checks[name] = Check(name, name, target(), name, protocol.name, options, 60.0, 3.0, "centre")
    ground = Ground(Authority(tmp_path), tmp_path, time.monotonic)
    service = Service(SIMULATION, "tcp", "127.0.0.1", port, tuple(checks.values()))
    server = await SIMULATION.server(service, ground)
    await server.open()
    try:
        yield server, checks
    finally:
        await server.close()
        assert ground.notes == []


async def ask(check: Check) -> Measurement:
    return await measure(PROTOCOLS[check.protocol], check.target, check.options)


async def test_every_shipped_probe_is_content(tmp_path: Path) -> None:
    async with lab(tmp_path) as (_, checks):
        found = {name: await ask(check) for name, check in checks.items()}
    assert {name: one.failure for name, one in found.items() if one.failure is not None} == {}
    assert 0 < found["ssh-load"].values["load_1m"] < 1
    assert 0 < found["ssh-root-disk"].values["root_used_ratio"] < 0.8
    values = found["conference-recordings"].values
    assert (values["files"], values["missing_numbers"], values["empty_files"]) == (48.0, 0.0, 0.0)
    assert (values["largest_gap_seconds"], values["misnamed_files"]) == (1800.0, 0.0)
    assert values["newest_age_seconds"] < 60
    assert values["free_ratio"] > 0.9


async def test_recordings_that_are_missing_or_stopped_are_seen(tmp_path: Path) -> None:
    async with lab(tmp_path) as (server, checks):
        await server.show(frozenset({RECORDING_MISSING}))
        values = (await ask(checks["conference-recordings"])).values
        assert (values["missing_numbers"], values["largest_gap_seconds"]) == (2.0, 5400.0)
        await server.show(frozenset({RECORDING_STOPPED}))
        assert (await ask(checks["conference-recordings"])).values["newest_age_seconds"] > 2.5 * 3600


@pytest.mark.parametrize(
    ("fault", "expected"),
    [(DOWN, ("connect", "refused")), (HOST_KEY_CHANGED, ("key_exchange", "host_key_changed")), (SLOW, None)],
)
async def test_its_faults_are_those_of_a_real_server(
    tmp_path: Path, fault: str, expected: tuple[str, str] | None
) -> None:
    async with lab(tmp_path) as (server, checks):
        await server.show(frozenset({fault}))
        measured = await ask(checks["ssh-load"])
        failure = measured.failure
        assert (None if failure is None else (failure.stage, failure.code)) == expected
        if fault == SLOW:
            assert measured.took > 2
        await server.show(frozenset())
        assert (await ask(checks["ssh-load"])).failure is None


async def test_nothing_of_this_machine_is_shown(tmp_path: Path) -> None:
    async with lab(tmp_path) as (_, checks):
        options: Any = checks["ssh-load"].options
        assert isinstance(options, SshLogin)
        login = {"username": options.username, "password": "x", "known_hosts": None, "config": None}
        async with (
            asyncssh.connect("127.0.0.1", options.port, **login) as connection,
            connection.start_sftp_client() as client,
        ):
            for path in ("/etc/passwd", "../../../etc/passwd", "made-here"):
                with pytest.raises(asyncssh.SFTPError):
                    await client.open(path, "rb")
                with pytest.raises(asyncssh.SFTPError):
                    await client.open(path, "wb")
            with pytest.raises(asyncssh.SFTPError):
                await client.mkdir("directory")
            answer = await connection.run("cat /etc/passwd")
            assert (answer.exit_status, answer.stdout) == (127, "")
            with pytest.raises(asyncssh.ChannelOpenError):
                await connection.open_connection("127.0.0.1", options.port)
