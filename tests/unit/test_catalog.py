"""Protocols and channels are found, not listed; what others wrote is trusted only where nobody else could write it."""

from __future__ import annotations

import asyncio
import os
import shutil
import types
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import sentinel.protocols
from sentinel.catalog import discover
from sentinel.config import ConfigRefused, load, open_catalog
from sentinel.config.reference import markdown
from sentinel.config.schema import schemas
from tests.support.probing import measure, target

ROOT = Path(__file__).parents[2]
GOOD = ROOT / "tests" / "testdata" / "config" / "good"

PROTOCOL = '''
"""Finger: who is there?"""

from pydantic import Field

from sentinel.domain.target import Target
from sentinel.sdk.protocol import Options, Protocol, Run, Value


class FingerOptions(Options):
    port: int = Field(default=79, ge=1, le=65535, description="Port.")
    user: str = Field(description="Whom to ask for.")


async def probe(target: Target, options: FingerOptions, run: Run) -> None:
    run.values["users"] = 1


PROTOCOL = Protocol("finger", FingerOptions, probe, values=(Value("users", "", "How many are there."),))
'''


@pytest.fixture
def site(tmp_path: Path) -> Path:
    directory = tmp_path / "probes" / "site"
    directory.mkdir(parents=True, mode=0o755)
    directory.chmod(0o755)
    return directory


def write(directory: Path, name: str, text: str, mode: int = 0o644) -> Path:
    path = directory / name
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_what_is_built_in_is_whole() -> None:
    found = discover()
    assert found.broken == ()
    assert {"icmp", "tcp", "http", "snmp", "rtsp"} <= found.protocols.keys()
    assert {"webhook", "alertmanager"} <= found.channels.keys()
    assert list(found.protocols) == sorted(found.protocols)
    assert all(name == protocol.name for name, protocol in found.protocols.items())
    assert all(protocol.summary for protocol in found.protocols.values())


@pytest.fixture
def dropped_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A folder of the package of protocols, as if it lay in it."""
    folder = tmp_path / "more"
    folder.mkdir()
    monkeypatch.setattr(sentinel.protocols, "__path__", [*sentinel.protocols.__path__, str(folder)])
    yield folder
    import sys

    for name in ("finger", "broken", "_part"):
        sys.modules.pop(f"sentinel.protocols.{name}", None)
        if hasattr(sentinel.protocols, name):
            delattr(sentinel.protocols, name)


def test_a_new_protocol_is_one_file(dropped_in: Path, tmp_path: Path) -> None:
    write(dropped_in, "finger.py", PROTOCOL)
    write(dropped_in, "_part.py", "raise AssertionError('a part that is not looked at')\n")
    catalog = discover()
    assert catalog.broken == ()
    assert catalog.protocols["finger"].summary == "Finger: who is there?"

    # Validated YAML, with the line of a mistake.
    shutil.copytree(GOOD, tmp_path / "estate")
    (tmp_path / "estate/config/alerting.yaml").write_text("channels: {}\n")
    (tmp_path / "estate/config/sla.yaml").write_text(
        "rules: [{id: a, name: a, severity: info, threshold: {value: users, below: 1}, select: {protocol: finger}}]\n"
    )
    probes = tmp_path / "estate/probes/all.yaml"
    probes.write_text(
        "probes:\n"
        "  ping: {protocol: icmp}\n"
        "  port: {protocol: tcp}\n"
        "  picture: {protocol: finger, options: {user: root, prot: 7}}\n"
    )
    with pytest.raises(ConfigRefused) as refused:
        load(tmp_path / "estate/config", catalog=catalog)
    assert str(refused.value) == f"{probes}:4:53: unknown key `prot`; did you mean `port`?"
    probes.write_text(probes.read_text().replace("prot: 7", "port: 7"))
    check = load(tmp_path / "estate/config", catalog=catalog).checks["camera.picture"]
    assert (check.protocol, check.options.user, check.options.port) == ("finger", "root", 7)

    # A schema for editors, and its page in the reference.
    schema = schemas(catalog)["probes"]["$defs"]
    assert "finger" in schema["ProbeEntry"]["properties"]["protocol"]["enum"]
    assert schema["finger.options"]["properties"]["user"]["description"] == "Whom to ask for."
    assert "### options of finger" in markdown(catalog)
    assert "| `user` | text | | Whom to ask for. |" in markdown(catalog).replace("|  |", "| |")


def test_a_broken_file_of_the_package_hides_no_other(dropped_in: Path) -> None:
    write(dropped_in, "broken.py", "import no_such_module_anywhere\n")
    found = discover()
    assert "tcp" in found.protocols
    assert [(each.file, each.message) for each in found.broken] == [
        (
            "sentinel.protocols.broken",
            "cannot be imported: ModuleNotFoundError: No module named 'no_such_module_anywhere'",
        )
    ]


def test_site_protocols_are_off_unless_switched_on(site: Path, tmp_path: Path) -> None:
    shutil.copytree(GOOD / "config", tmp_path / "config")
    write(site, "finger.py", PROTOCOL)
    assert "finger" not in open_catalog(tmp_path / "config").protocols
    (tmp_path / "config/sentinel.yaml").write_text("site_protocols: true\n")
    assert "finger" in open_catalog(tmp_path / "config").protocols
    assert "finger" in open_catalog(tmp_path / "config", site.parent).protocols
    (tmp_path / "config/sentinel.yaml").write_text("site_protocols: [")
    assert "finger" not in open_catalog(tmp_path / "config").protocols


BROKEN = {
    "syntax": ("x = 1\ndef f(:\n", 2, "cannot be imported: invalid syntax"),
    "raises": ("x = 1\n\nraise RuntimeError('no')\n", 3, "cannot be imported: RuntimeError: no"),
    "exits": ("import sys\nsys.exit(3)\n", 2, "cannot be imported: SystemExit: 3"),
    "nothing": ("x = 1\n", 1, "declares no PROTOCOL"),
    "another": ("PROTOCOL = 'finger'\n", 1, "PROTOCOL is no Protocol of the SDK"),
    "taken": (PROTOCOL.replace('"finger"', '"tcp"'), 1, "the name `tcp` is taken already"),
    "misnamed": (PROTOCOL.replace('"finger"', '"Fin-ger"'), 1, "`Fin-ger` is no name"),
    "undescribed": (
        PROTOCOL.replace('Field(description="Whom to ask for.")', "'root'"),
        1,
        "these options have no description: user",
    ),
}


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_site_file_is_an_error_with_its_name(site: Path, name: str) -> None:
    text, line, message = BROKEN[name]
    path = write(site, "finger.py", text)
    found = discover(site)
    assert "tcp" in found.protocols
    assert "finger" not in found.protocols
    assert [(each.file, each.line) for each in found.broken] == [(str(path), line)]
    assert found.broken[0].message.startswith(message)


def test_a_broken_site_file_is_told_with_everything_else(site: Path, tmp_path: Path) -> None:
    shutil.copytree(GOOD / "config", tmp_path / "config")
    shutil.copytree(GOOD / "probes", site.parent, dirs_exist_ok=True)
    (tmp_path / "config/sentinel.yaml").write_text("site_protocols: true\nlisten: nowhere\n")
    (tmp_path / "config/alerting.yaml").write_text("channels: {}\n")
    (tmp_path / "config/sla.yaml").write_text("rules: []\n")
    (site.parent / "all.yaml").write_text("probes:\n  ping: {protocol: finger}\n  port: {protocol: finger}\n")
    path = write(site, "finger.py", "PROTOCOL = None\n")
    with pytest.raises(ConfigRefused) as refused:
        load(tmp_path / "config", catalog=open_catalog(tmp_path / "config"))
    messages = [str(each) for each in refused.value.problems]
    assert f"{path}:1:1: PROTOCOL is no Protocol of the SDK" in messages
    assert any("sentinel.yaml:2:9: an address is written as" in each for each in messages)
    assert not any("unknown protocol" in each for each in messages)  # it is the broken one


@pytest.mark.parametrize(("mode", "folder"), [(0o664, 0o755), (0o646, 0o755), (0o644, 0o775), (0o644, 0o757)])
def test_what_another_could_have_written_is_refused(site: Path, mode: int, folder: int) -> None:
    write(site, "finger.py", PROTOCOL.replace("import Field", "import Field\nraise SystemExit"), mode)
    site.chmod(folder)
    found = discover(site)
    assert "finger" not in found.protocols
    assert len(found.broken) == 1
    assert "must not be writable by group or others: chmod go-w" in found.broken[0].message


def test_what_another_owns_is_refused(site: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write(site, "finger.py", PROTOCOL)
    if os.geteuid() == 0:
        os.chown(site / "finger.py", 12_345, 12_345)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: 12_345)
    found = discover(site)
    assert "finger" not in found.protocols
    assert "must be owned by root or by user" in found.broken[0].message


def test_a_link_that_leads_nowhere_and_a_directory_that_is_not_there(site: Path) -> None:
    (site / "finger.py").symlink_to("nothing")
    assert discover(site).broken[0].message == "cannot be read: No such file or directory"
    assert "there is no such directory" in discover(site / "none").broken[0].message


class _Point:
    """An entry point, as importlib.metadata gives it."""

    dist = types.SimpleNamespace(name="their-package")
    value = "their.module"

    def __init__(self, loaded: Any) -> None:
        self._loaded = loaded

    def load(self) -> Any:
        if isinstance(self._loaded, Exception):
            raise self._loaded
        return self._loaded


def test_installed_packages_add_theirs(monkeypatch: pytest.MonkeyPatch) -> None:
    from dataclasses import replace

    ours = discover().protocols["tcp"]
    module = types.ModuleType("theirs")
    module.PROTOCOL = replace(ours, name="one")  # type: ignore[attr-defined]  # a module made here
    points = [_Point(module), _Point(replace(ours, name="two")), _Point(RuntimeError("no")), _Point(None)]
    monkeypatch.setattr(
        "sentinel.catalog.entry_points", lambda *, group: points if group == "sentinel.protocols" else []
    )
    found = discover()
    assert {"one", "two"} <= found.protocols.keys()
    assert [(each.file, each.message) for each in found.broken] == [
        ("their-package:their.module", "cannot be imported: RuntimeError: no"),
        ("their-package:their.module", "PROTOCOL is no Protocol of the SDK"),
    ]


class _Amplifier(asyncio.DatagramProtocol):
    """A device with a status; it answers nothing but the one question."""

    def __init__(self, answer: bytes) -> None:
        self.answer = answer

    def connection_made(self, transport: Any) -> None:
        self.transport = transport

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if data == b"STATUS?\r\n":
            self.transport.sendto(self.answer, addr)


@pytest.mark.parametrize(
    ("answer", "failure"),
    [
        (b"STATE=READY\r\nTEMP=41.5\r\nFAN = 1200\r\nx y=1\r\nNAN=nan\r\n", None),
        (b"STATE=FAULT\r\n", ("expect", "mismatch")),
        (b"TEMP=41.5\r\n", ("expect", "mismatch")),
        (b"\xff\x00", ("expect", "protocol_error")),
    ],
)
async def test_the_shipped_example_works(site: Path, answer: bytes, failure: tuple[str, str] | None) -> None:
    write(site, "example.py", (ROOT / "probes/site/example.py").read_text(encoding="utf-8"))
    found = discover(site)
    assert found.broken == ()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(lambda: _Amplifier(answer), local_addr=("127.0.0.1", 0))
    try:
        options = {"port": transport.get_extra_info("sockname")[1], "ready": "READY"}
        seen = await measure(found.protocols["example_status"], target(), options, timeout=5)
    finally:
        transport.close()
    if failure is None:
        assert seen.failure is None
        assert seen.values == {"reading:temp": 41.5, "reading:fan": 1200}
        assert seen.facts == {"state": "READY", "nan": "nan"}
    else:
        assert seen.failure is not None
        assert (seen.failure.stage, seen.failure.code) == failure


async def test_nobody_answers_the_shipped_example(site: Path) -> None:
    write(site, "example.py", (ROOT / "probes/site/example.py").read_text(encoding="utf-8"))
    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        asyncio.DatagramProtocol, local_addr=("127.0.0.1", 0)
    )
    port = transport.get_extra_info("sockname")[1]
    protocol = discover(site).protocols["example_status"]
    silent = await measure(protocol, target(), {"port": port}, timeout=0.3)
    transport.close()
    await asyncio.sleep(0)  # the loop closes the socket in its next turn
    closed = await measure(protocol, target(), {"port": port}, timeout=5)
    assert silent.failure is not None
    assert (silent.failure.stage, silent.failure.code) == ("exchange", "timed_out")
    assert closed.failure is not None
    assert (closed.failure.stage, closed.failure.code) == ("exchange", "refused")
