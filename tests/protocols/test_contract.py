"""What every protocol keeps to, and what a new one has for nothing: see sentinel/sdk/protocol.py."""

from __future__ import annotations

import asyncio
import socket
import textwrap
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Literal

import pytest
from typer.testing import CliRunner

import sentinel.protocols
from sentinel.catalog import discover
from sentinel.cli.main import app
from sentinel.config import ConfigRefused, load, open_catalog
from sentinel.config.reference import markdown
from sentinel.config.schema import schemas
from sentinel.metrics.exporter import Exporter
from sentinel.sdk.protocol import Protocol
from tests.support.fixtures import StartHostile
from tests.support.hostile import HOST
from tests.support.probing import measure, target

PROTOCOLS = discover().protocols
SPOKEN = [name for name, protocol in PROTOCOLS.items() if protocol.transport not in {"icmp", "local"}]
"""Loopback answers every echo: silence needs a network of its own, which tests/protocols/test_icmp.py has.  What is
local has no peer that could misbehave."""

OPTIONS: dict[str, dict[str, Any]] = {
    "tcp": {"expect": "hello"},
    "codec": {"profile": "codec-cisco-ssh", "username": "probe", "password": "x", "host_key": "any"},
    "dns": {"name": "www.example"},
    "files": {"path": "/srv", "username": "probe", "password": "x", "host_key": "any"},
    "ssh": {"username": "probe", "password": "x", "host_key": "any"},
    "snmp": {"get": {"uptime": "1.3.6.1.2.1.1.3.0"}},
}
"""What a protocol must be given beside the port so that it waits for an answer."""

TIMEOUT = 0.6


def options(protocol: Protocol, port: int) -> dict[str, Any]:
    return {"port": port, **OPTIONS.get(protocol.name, {})}


@pytest.mark.parametrize("name", PROTOCOLS)
def test_it_is_documented(name: str) -> None:
    protocol = PROTOCOLS[name]
    assert protocol.summary.endswith((".", "?"))
    for option, field in protocol.options.model_fields.items():
        assert field.description, f"{name}.{option}"
        assert field.description.endswith((".", "?", '".')), f"{name}.{option}"
    for value in protocol.values:
        assert value.name == value.name.lower()
        assert value.description.endswith("."), f"{name}.{value.name}"
    assert len({value.name for value in protocol.values}) == len(protocol.values)


def test_no_file_of_a_protocol_is_long() -> None:
    for folder in sentinel.protocols.__path__:
        for path in Path(folder).rglob("*.py"):
            lines = len(path.read_text("utf-8").splitlines())
            assert lines <= 400, f"{path.name}: {lines} lines"


@pytest.mark.parametrize("name", SPOKEN)
@pytest.mark.parametrize("manner", ["hang", "drip"])
async def test_a_peer_that_never_ends_is_timed_out_at_the_deadline(
    name: str, manner: Any, hostile: StartHostile
) -> None:
    protocol = PROTOCOLS[name]
    transport: Literal["tcp", "udp"] = "udp" if protocol.transport == "udp" else "tcp"
    # A drip whose next byte is never the last: the deadline of the whole ends it, not one of a read.
    server = await hostile(manner, transport, text=b"H" * 1000 if transport == "tcp" else b"")
    started = time.monotonic()
    found = await measure(protocol, target(HOST), options(protocol, server.port), timeout=TIMEOUT)
    assert time.monotonic() - started <= TIMEOUT + 0.5
    assert found.failure is not None
    assert not found.failure.local
    if manner == "hang":
        assert found.failure.code == "timed_out"
        assert found.failure.stage != "probe"  # it says how far it came


@pytest.mark.parametrize("name", SPOKEN)
@pytest.mark.parametrize("manner", ["garbage", "endless", "huge", "reset", "close", "refuse"])
async def test_a_peer_that_misbehaves_is_a_failure_of_its_own(name: str, manner: Any, hostile: StartHostile) -> None:
    protocol = PROTOCOLS[name]
    server = await hostile(manner, "udp" if protocol.transport == "udp" else "tcp")
    found = await measure(protocol, target(HOST), options(protocol, server.port), timeout=TIMEOUT)
    if found.failure is None:
        assert (name, manner) in {("http", "endless"), ("http", "huge")}  # a status and a body, of which a part is read
    else:
        assert not found.failure.local, found.failure


@pytest.mark.parametrize("name", SPOKEN)
@pytest.mark.parametrize("after", [0.0, 0.15])
async def test_a_run_that_is_cancelled_leaves_nothing_behind(name: str, after: float, hostile: StartHostile) -> None:
    protocol = PROTOCOLS[name]
    server = await hostile("hang", "udp" if protocol.transport == "udp" else "tcp")
    loop = asyncio.get_running_loop()
    await measure(protocol, target(HOST), options(protocol, server.port), timeout=0.2)  # what is opened once, is now
    before, descriptors = asyncio.all_tasks(), _descriptors()
    run = loop.create_task(measure(protocol, target(HOST), options(protocol, server.port), timeout=60))
    await asyncio.sleep(after)
    run.cancel()
    with pytest.raises(asyncio.CancelledError):
        await run
    async with asyncio.timeout(5):
        await server.all_closed()
        while asyncio.all_tasks() - before or _descriptors() - descriptors:
            await asyncio.sleep(0.01)


def _descriptors() -> set[str]:
    return {link for entry in Path("/proc/self/fd").iterdir() if "socket" in (link := _link(entry))}


def _link(entry: Path) -> str:
    try:
        return str(entry.readlink())
    except OSError:  # the listing's own
        return ""


# -- a new protocol in one file -----------------------------------------------------------------------------------

GREETING = '''
"""Greeting: does the peer say what it should?"""

from __future__ import annotations

from pydantic import Field

from sentinel.domain.target import Target
from sentinel.sdk.net import connect, discard
from sentinel.sdk.protocol import Options, Protocol, Run, Value


class GreetingOptions(Options):
    port: int = Field(ge=1, le=65_535, description="Where it listens.")
    wanted: str = Field(default="hello", description="What it should say.")


async def probe(target: Target, options: GreetingOptions, run: Run) -> None:
    """Connect and listen."""
    reader, writer = await connect(run, target.address, options.port)
    try:
        with run.stage("banner"):
            said = (await reader.readline()).decode("utf-8", "replace").strip()
        run.values["greeting_bytes"] = len(said)
        if said != options.wanted:
            run.fail("mismatch", said, stage="expect")
    finally:
        discard(writer)


PROTOCOL = Protocol(
    "greeting", GreetingOptions, probe, values=(Value("greeting_bytes", "B", "Length of the greeting."),)
)
'''


@pytest.fixture
def estate(tmp_path: Path) -> Path:
    """A configuration with site protocols switched on, and the new file dropped in."""
    config, site = tmp_path / "config", tmp_path / "probes" / "site"
    config.mkdir()
    site.mkdir(parents=True, mode=0o755)
    (site / "greeting.py").write_text(GREETING, "utf-8")
    (site / "greeting.py").chmod(0o644)
    files = {
        "config/sentinel.yaml": "listen: 127.0.0.1:8640\nsite_protocols: true\n",
        "config/alerting.yaml": "channels: {}\nroutes: []\n",
        "config/sla.yaml": "rules: []\n",
        "config/inventory.yaml": """
            zones:
              internal: {name: 内网, vantage: centre}
            targets:
              - id: peer
                name: 对端
                address: 127.0.0.1
                kind: server
                zone: internal
                checks:
                  hello: {probe: hello, interval: 10s, timeout: 2s}
            """,
        "probes/all.yaml": """
            probes:
              hello:
                protocol: greeting
                options:
                  port: 7
            """,
    }
    for name, text in files.items():
        (tmp_path / name).write_text(textwrap.dedent(text).lstrip("\n"), "utf-8")
    return config


@pytest.fixture
def peer() -> Iterator[int]:
    """A port that says hello, to whoever runs beside this test."""
    import threading

    with socket.create_server((HOST, 0)) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                with connection:
                    connection.sendall(b"hello\n")

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(5)


def test_dropped_in_it_is_found_and_validated(estate: Path) -> None:
    catalog = open_catalog(estate)
    assert not catalog.broken
    assert "greeting" in catalog.protocols
    assert load(estate, catalog=catalog).checks["peer.hello"].options.wanted == "hello"
    family = estate.parent / "probes" / "all.yaml"
    family.write_text(family.read_text("utf-8") + "      wnated: x\n", "utf-8")
    with pytest.raises(ConfigRefused) as refused:
        load(estate, catalog=catalog)
    (problem,) = refused.value.problems
    assert str(problem).startswith(f"{family}:6:7: ")
    assert "wanted" in str(problem)  # did you mean


def test_dropped_in_it_has_a_schema_and_a_page(estate: Path) -> None:
    catalog = open_catalog(estate)
    assert "What it should say." in str(schemas(catalog)["probes"])
    page = markdown(catalog)
    assert "greeting" in page
    assert "What it should say." in page


def test_dropped_in_it_is_a_command(estate: Path, peer: int) -> None:
    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, ["probe", "--config", str(estate), *arguments])

    good = run("greeting", HOST, "--port", str(peer), "--json")
    assert good.exit_code == 0, good.output
    assert '"greeting_bytes": 5' in good.output
    bad = run("greeting", HOST, "--port", str(peer), "--wanted", "goodbye")
    assert bad.exit_code == 1
    assert "mismatch" in bad.output
    assert run("greeting", HOST, "--prot", "1").exit_code == 2


async def test_dropped_in_it_is_a_metric(estate: Path, peer: int) -> None:
    from prometheus_client import CollectorRegistry

    from sentinel.engine.runner import observe
    from sentinel.engine.snapshot import CheckView, Snapshot

    catalog = open_catalog(estate)
    check = load(estate, catalog=catalog).checks["peer.hello"]
    found = await measure(catalog.protocols["greeting"], target(HOST), {"port": peer})
    snapshot = Snapshot()
    snapshot.checks[check.id] = CheckView(check, "up", 1.0, observe(check, found, scheduled_at=1.0, started_at=1.0))
    exporter = Exporter(snapshot, catalog.protocols, CollectorRegistry())
    snapshot.swapped()
    try:
        _, chunks = await exporter.scrape()
    finally:
        exporter.close()
    text = b"".join(chunks).decode()
    assert "# HELP sentinel_greeting_greeting_bytes Length of the greeting." in text
    assert 'sentinel_greeting_greeting_bytes{check="peer.hello"' in text
