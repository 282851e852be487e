"""A lab of checks that the shipped inventory has none of, in this process: logins, greetings, bodies, v3, RTSPS."""

from __future__ import annotations

import asyncio
import json
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from sentinel.config import Configuration
from sentinel.domain.observation import Measurement
from sentinel.lab.block import Block, Place, take
from sentinel.lab.centre import CannotListen, Centre
from sentinel.lab.control import NoLab, ask, find, listening
from sentinel.lab.inventory import read, trusting
from tests.support.lab import Prober, environment, prober
from tests.support.peers import require

pytestmark = pytest.mark.timeout(60)

PROBES = """\
probes:
  ping: {protocol: icmp, description: 回显, options: {}}
  tcp: {protocol: tcp, description: 端口, options: {port: 22}}
  http: {protocol: http, description: 网页, options: {port: 80}}
  snmp: {protocol: snmp, description: 代理, options: {profile: system}}
  rtsp: {protocol: rtsp, description: 摄像机, options: {}}
  ntp: {protocol: ntp, description: 时间, options: {interval: 0.01}}
  pjlink: {protocol: pjlink, description: 投影机, options: {}}
"""

CHECKS: dict[str, dict[str, Any]] = {
    "ssh": {"probe": "tcp", "options": {"port": 22, "banner": r"^SSH-(2\.0|1\.99)-"}},
    "redis": {"probe": "tcp", "options": {"port": 6379, "send": "PING\r\n", "expect_matches": r"^(\+PONG|-NOAUTH)"}},
    "hex": {"probe": "tcp", "options": {"port": 700, "send_hex": "00 01", "expect_hex": "02 03", "banner": "hello"}},
    "ldaps": {"probe": "tcp", "options": {"port": 636, "tls": True, "tls_server_name": "ldap.example"}},
    "health": {
        "probe": "http",
        "options": {"path": "/health", "port": 80, "expect_json": [{"path": "$.a.b", "equals": "UP"}]},
    },
    "page": {
        "probe": "http",
        "options": {"port": 80, "body_contains": ["甲 & <b>"], "body_matches": ["^<h2>[0-9]{3}"], "status": [203]},
    },
    "header": {
        "probe": "http",
        "options": {
            "path": "/h?x=1",
            "port": 80,
            "method": "HEAD",
            "expect_headers": [{"name": "X-Version", "matches": r"^v\d+$"}, {"name": "X-None", "absent": True}],
        },
    },
    "post": {"probe": "http", "options": {"path": "/p", "port": 80, "method": "POST", "body": "x" * 5000}},
    "basic": {"probe": "http", "options": {"path": "/b", "port": 80, "username": "u", "password": "p-1"}},
    "bearer": {
        "probe": "http",
        "options": {"port": 8443, "scheme": "https", "bearer_token": "t-1", "host": "web.example"},
    },
    "long": {"probe": "http", "options": {"path": "/long", "port": 80, "body_contains": ["长" * 2000]}},
    "device": {"probe": "http", "options": {"port": 8080, "status": [401], "redirects": 0}},
    "v2c": {"probe": "snmp", "options": {"community": "secret", "profile": "host-resources"}},
    "v2c-sensors": {"probe": "snmp", "options": {"community": "secret", "profile": "entity-sensor"}},
    "v2c-own": {
        "probe": "snmp",
        "options": {
            "community": "other",
            "profile": None,
            "get": {
                "fan": {"oid": "1.3.6.1.4.1.32473.9.1.0", "type": "enum", "labels": {1: "failed", 2: "running"},
                        "ok": [2], "expect": {"matches": "run"}},
                "model": {"oid": "1.3.6.1.4.1.32473.9.2.0", "type": "text", "expect": {"equals": "HX-100"}},
                "load": {"oid": "1.3.6.1.4.1.32473.9.3.0", "scale": 0.1, "expect": {"equals": 4.2}},
                "moved": {"oid": "1.3.6.1.4.1.32473.9.4.0", "type": "counter64"},
                "share": {"oid": "1.3.6.1.4.1.32473.9.5.0", "divided_by": "1.3.6.1.4.1.32473.9.6.0"},
            },
        },
    },
    "rtsp": {"probe": "rtsp", "options": {"path": "/live", "username": "admin", "password": "camera-1"}},
    "rtsps": {"probe": "rtsp", "options": {"port": 322, "tls": True, "path": "/cam/realmonitor?channel=1&subtype=0"}},
    "open": {"probe": "tcp", "options": {"port": 554}},
    "login": {
        "probe": "http",
        "options": {
            "port": 8000,
            "secrets": {"username": "u", "password": "p&ss {x}"},
            "steps": [
                {"name": "page", "path": "/login", "capture": {"csrf": {"field": "token"}, "xsrf": {"cookie": "X"}}},
                {
                    "name": "login",
                    "path": "/login?next=%2Fa",
                    "form": {"u": "{username}", "p": "{password}", "token": "{csrf}"},
                    "headers": {"X-Xsrf": "{xsrf}"},
                    "body_not_contains": ["错误"],
                    "capture": {"link": {"matches": 'href="([^"]+)"'}, "id": {"header": "X-Id"}},
                },
                {"name": "home", "path": "{link}", "body_contains": ["值班"], "body_matches": ["^<h1>"]},
                {"name": "api", "path": "/api/{id}", "json_body": {"id": ["{id}"]},
                 "expect_json": [{"path": "$.state", "equals": "UP"}], "capture": {"key": {"json_path": "$.a.key"}}},
                {"name": "out", "path": "/out", "body": "key={key}", "status": [204]},
            ],
        },
    },
    "matrix": {
        "probe": "tcp",
        "options": {
            "port": 5000,
            "line_end": "\r",
            "secrets": {"password": "p-2"},
            "dialogue": [
                {"facts": {"model": "Matrix ([A-Z]+)"}},
                {"send": "login {password}\r", "expect": "OK", "error_matches": "^ERR"},
                {"send": "?\r", "numbers": {"t": {"matches": "T=(-?[0-9.]+)"},
                                             "on": {"matches": "P=([A-Z]+)", "words": {"ON": 1}}}},
                {"send_hex": "01 02", "expect_hex": "03"},
                {"send": "x", "line_end": "", "expect_matches": "[a-z]+> $"},
            ],
        },
    },
    "clock": {"probe": "ntp", "options": {"port": 123}},
    "projector": {"probe": "pjlink", "options": {"port": 4352, "password": "p-3", "expect_input": "32"}},
}  # fmt: skip

V3 = [
    (auth, privacy)
    for auth in ("md5", "sha", "sha224", "sha256", "sha384", "sha512")
    for privacy in (None, "des", "aes128", "aes192", "aes256")
    if privacy in (None, "aes128") or auth in ("md5", "sha", "sha256")
]


def v3(auth: str, privacy: str | None) -> dict[str, Any]:
    options = {
        "version": "v3",
        "user": f"{auth}-{str(privacy).lower()}",
        "auth": auth,
        "auth_password": "auth-password",
    }
    if privacy:
        options |= {"privacy": privacy, "privacy_password": "privacy-password"}
    return options


def inventory() -> dict[str, Any]:
    def target(id_: str, address: str, checks: dict[str, Any]) -> dict[str, Any]:
        whole = {name: {"interval": "10s", "timeout": "5s", **check} for name, check in checks.items()}
        return {"id": id_, "name": f"设备 {id_}", "address": address, "kind": "thing", "zone": "here", "checks": whole}

    users = {f"{auth}-{str(privacy).lower()}": {"probe": "snmp", "options": v3(auth, privacy)} for auth, privacy in V3}
    users["noauth"] = {"probe": "snmp", "options": {"version": "v3", "user": "nobody"}}
    return {
        "zones": {"here": {"name": "本地", "vantage": "centre"}},
        "targets": [
            target("box", "198.18.0.1", CHECKS),
            target("v3", "198.19.0.1", users),
            target("pinged", "198.18.0.3", {"ping": {"probe": "ping"}}),
            target("elsewhere", "192.0.2.1", {"port": {"probe": "tcp"}}),
            target("odd", "198.18.0.4", {"odd": {"probe": "tcp", "options": {"banner": r"\pL"}}}),
        ],
    }


@dataclass
class World:
    """A lab in this process, and what the daemon would see of it."""

    centre: Centre
    configuration: Configuration
    probe: Prober
    memory: dict[str, Any] = field(default_factory=dict)

    async def measure(self, check: str) -> Measurement:
        return await self.probe(self, check)  # type: ignore[arg-type]  # it asks for the configuration alone

    async def failure(self, check: str) -> tuple[str, str] | None:
        found = (await self.measure(check)).failure
        return None if found is None else (found.stage, found.code)


@pytest.fixture(scope="module")
def config(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("estate")
    (folder / "config").mkdir()
    (folder / "probes").mkdir()
    rules = {"rules": [{"id": "down", "name": "故障", "down": {"failures": 2, "of": 3}, "severity": "major"}]}
    for name, content in {
        "inventory": inventory(),
        "sla": rules,
        "alerting": {"channels": {}, "routes": []},
        "sentinel": {},
    }.items():
        (folder / "config" / f"{name}.yaml").write_text(json.dumps(content, ensure_ascii=False))  # JSON is YAML
    (folder / "probes" / "all.yaml").write_text(PROBES)
    return folder / "config"


@pytest.fixture
def block() -> Iterator[Block]:
    with take() as found:
        yield found


@pytest.fixture
def place(block: Block, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Place:
    for name, value in environment(tmp_path).items():
        monkeypatch.setenv(name, value)
    return Place.of(block.number)


@pytest.fixture
async def world(config: Path, place: Place) -> AsyncIterator[World]:
    configuration = read(config, None, place.block)
    centre = Centre.of(configuration, place)
    try:
        await centre.open(lambda _text: None)
        async with prober() as probe:
            yield World(centre, trusting(configuration, place.authority, place.block), probe)
    finally:
        await centre.close()


async def test_every_kind_of_check_is_well(world: World) -> None:
    found = {f"box.{name}": await world.failure(f"box.{name}") for name in CHECKS}
    assert {check: failure for check, failure in found.items() if failure} == {}
    page = await world.measure("box.page")
    assert page.values["status_code"] == 203


async def test_every_v3_user_is_admitted(world: World) -> None:
    found = {
        f"v3.{auth}-{str(privacy).lower()}": await world.failure(f"v3.{auth}-{str(privacy).lower()}")
        for auth, privacy in V3
    }
    found["v3.noauth"] = await world.failure("v3.noauth")
    assert {check: failure for check, failure in found.items() if failure} == {}


@pytest.mark.parametrize(
    ("auth", "privacy", "names"),
    [("sha", "aes128", ("SHA", "AES")), ("md5", "des", ("MD5", "DES")), ("sha256", None, ("SHA-256", ""))],
)
async def test_net_snmp_is_admitted_too(world: World, auth: str, privacy: str | None, names: tuple[str, str]) -> None:
    address = world.configuration.targets["v3"].address
    level = ["-l", "authPriv", "-x", names[1], "-X", "privacy-password"] if privacy else ["-l", "authNoPriv"]
    command = [
        require("snmpget"),
        "-v3",
        "-u",
        f"{auth}-{str(privacy).lower()}",
        "-a",
        names[0],
        "-A",
        "auth-password",
        *level,
    ]
    command += ["-r0", "-t5", "-Oqv", f"{address}:20161", "1.3.6.1.2.1.1.5.0"]
    process = await asyncio.create_subprocess_exec(*command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out, _ = await process.communicate()
    assert (process.returncode, out.decode().strip()) == (0, '"v3"'), out


async def test_wrong_credentials_are_not_admitted(world: World) -> None:
    probe, checks = world.probe, world.configuration.checks
    for check, wrong in (
        ("box.v2c", {"community": "public"}),
        ("v3.sha-aes128", {"auth_password": "wrong-password"}),
        ("v3.sha-aes128", {"user": "stranger"}),
        ("box.rtsp", {"password": "wrong"}),
        ("box.basic", {"password": "wrong"}),
        ("box.bearer", {"bearer_token": "wrong"}),
    ):
        options = checks[check].options
        changed = type(options).model_validate(
            options.model_dump(exclude_unset=True, exclude_defaults=True) | _plain(options) | wrong
        )
        found = await _measured(probe, world, check, changed)
        assert found is not None, (check, wrong)
        assert found[1] in {"timed_out", "unauthorized"}, (check, found)


def _plain(options: Any) -> dict[str, Any]:
    secrets = {name: getattr(options, name) for name in type(options).model_fields}
    return {
        name: value.get_secret_value()
        for name, value in secrets.items()
        if hasattr(value, "get_secret_value") and value is not None
    }


async def _measured(probe: Prober, world: World, check: str, options: Any) -> tuple[str, str] | None:
    from dataclasses import replace

    changed = replace(world.configuration.checks[check], options=options)
    configuration = replace(world.configuration, checks={check: changed})
    return await World(world.centre, configuration, Prober(probe.protocols, probe.services)).failure(check)


@pytest.mark.parametrize("transport", ["tcp", "udp"])
async def test_ffprobe_logs_in_by_digest(world: World, transport: str) -> None:
    address = world.configuration.targets["box"].address
    url = f"rtsp://admin:camera-1@{address}:20554/live"
    command = [require("ffprobe"), "-v", "error", "-rtsp_transport", transport, "-show_entries", "stream=codec_name"]
    process = await asyncio.create_subprocess_exec(*command, url, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    out, _ = await process.communicate()
    assert (process.returncode, b"codec_name=h264" in out) == (0, True), out


async def test_gstreamer_logs_in_by_digest(world: World) -> None:
    address = world.configuration.targets["box"].address
    source = ["rtspsrc", f"location=rtsp://{address}:20554/live", "user-id=admin", "user-pw=camera-1", "latency=0"]
    sink = ["!", "rtph264depay", "!", "avdec_h264", "!", "fakesink", "num-buffers=10", "sync=false"]
    process = await asyncio.create_subprocess_exec(
        require("gst-launch"), "-q", *source, *sink, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    )
    out, _ = await process.communicate()
    assert process.returncode == 0, out


async def test_tls_faults_of_every_service(world: World) -> None:
    await world.centre.break_("box", "cert-expired")
    for check in ("box.ldaps", "box.bearer", "box.rtsps"):
        assert await world.failure(check) == ("tls", "tls_expired")
    await world.centre.heal("box")
    for check in ("box.ldaps", "box.bearer", "box.rtsps"):
        assert await world.failure(check) is None


async def test_slow_services_greet_late(world: World) -> None:
    await world.centre.break_("box", "slow")
    late = await world.measure("box.ssh")
    assert late.failure is None
    assert late.stages["banner"] >= 3.49


async def test_faults_add_up_and_heal_together(world: World) -> None:
    await world.centre.break_("box", "http-500")
    await world.centre.break_("box", "snmp-silent")
    assert await world.failure("box.page") == ("expect", "bad_status")
    assert await world.failure("box.v2c") == ("get", "timed_out")
    assert await world.failure("box.ssh") is None
    assert (await world.centre.heal(None)).changed == ("box",)
    assert await world.failure("box.page") is None
    assert await world.failure("box.v2c") is None
    assert (await world.centre.heal("box")).changed == ()


async def test_logins_clocks_and_projectors_have_faults_of_their_own(world: World) -> None:
    for fault, check, failure in (
        ("login-refused", "box.login", ("expect", "forbidden")),
        ("clock-unsynchronised", "box.clock", ("expect", "mismatch")),
        ("display-off", "box.projector", None),
        ("clock-wrong", "box.clock", None),
        ("lamp-failed", "box.projector", None),
    ):
        assert await world.failure(check) is None
        await world.centre.break_("box", fault)
        assert await world.failure(check) == failure, fault
        if fault == "clock-wrong":
            assert (await world.measure(check)).values["offset_seconds"] == pytest.approx(300, abs=0.5)
        if fault == "lamp-failed":
            assert (await world.measure(check)).values["error:lamp"] == 2
        if fault == "display-off":
            assert (await world.measure(check)).values["power"] == 0
        await world.centre.heal("box")


async def test_a_site_lets_nobody_past_a_page(world: World) -> None:
    address = world.configuration.targets["box"].address
    async with aiohttp.ClientSession(
        base_url=f"http://{address}:8000", cookie_jar=aiohttp.CookieJar(unsafe=True)
    ) as session:
        form = {"u": "u", "p": "p&ss {x}", "token": ""}
        async with session.post("/login?next=/a", data=form) as answer:
            assert answer.status == 403  # the page with the token has not been seen
        async with session.get("/login") as answer:
            form["token"] = (await answer.text()).partition('value="')[2].partition('"')[0]
            xsrf = answer.cookies["X"].value
        async with session.post("/login?next=/a", data=form | {"p": "wrong"}, headers={"X-Xsrf": xsrf}) as answer:
            assert answer.status == 403
        async with session.post("/login?next=/a", data=form, headers={"X-Xsrf": xsrf}) as answer:
            assert answer.status == 200
        async with session.get("/unknown") as answer:
            assert answer.status == 404


async def test_the_notes_say_what_is_not_simulated(world: World) -> None:
    notes = world.centre.notes
    assert any("192.0.2.1" not in note and "elsewhere" in note for note in notes)
    assert any(note.startswith("odd.odd: no text can be made") for note in notes)
    assert len(notes) == 2
    from sentinel.lab.drill import Refused

    with pytest.raises(Refused, match="simulates none"):
        await world.centre.break_("elsewhere", "down")


async def test_pages_that_nobody_checks(world: World) -> None:
    address = world.configuration.targets["box"].address
    async with aiohttp.ClientSession(base_url=f"http://{address}:20080") as session:
        for path, method, status in (
            ("/nowhere", "GET", 404),
            ("/p", "GET", 405),
            ("/b", "GET", 401),
            ("/", "HEAD", 203),
        ):
            async with session.request(method, path) as response:
                assert response.status == status, path
        async with session.get("/long") as response:
            assert response.headers["Content-Encoding"] == "gzip"
            assert "长" * 2000 in await response.text()


async def test_nonsense_ends_a_connection_and_nothing_else(world: World) -> None:
    address = world.configuration.targets["box"].address
    for port, nonsense in (
        (20080, b"nonsense\r\n\r\n"),
        (20080, b"GET / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n"),
        (20080, b"x" * 100_000),
        (20554, b"nonsense\r\n\r\n"),
        (20554, b"OPTIONS * RTSP/1.0\r\nContent-Length: 99999999\r\n\r\n"),
        (20554, b"$\0\0\4abcd" * 3 + b"y" * 100_000),
    ):
        reader, writer = await asyncio.open_connection(address, port)
        with closing(writer):
            writer.write(nonsense)
            async with asyncio.timeout(5):
                try:
                    answer = await reader.read()
                except ConnectionError:
                    answer = b""
            assert answer == b"" or b" 400 " in answer.splitlines()[0]
        with pytest.MonkeyPatch.context(), suppress(ConnectionError):
            await writer.wait_closed()
    assert await world.failure("box.page") is None
    assert await world.failure("box.rtsp") is None


async def test_rtsp_orders_in_the_wrong_place(world: World) -> None:
    address = world.configuration.targets["box"].address
    reader, writer = await asyncio.open_connection(address, 20322, ssl=_context(world), server_hostname=address)

    async def ask_(method: str, path: str = "/cam/realmonitor?channel=1&subtype=0", **headers: str) -> tuple[int, str]:
        lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
        writer.write(f"{method} rtsps://{address}:20322{path} RTSP/1.0\r\nCSeq: 5\r\n{lines}\r\n".encode())
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        return int(head.split(" ")[1]), head

    assert (await ask_("OPTIONS"))[0] == 200
    assert (await ask_("DESCRIBE", "/elsewhere"))[0] == 404
    assert (await ask_("PLAY"))[0] == 454
    assert (await ask_("ANNOUNCE"))[0] == 501
    assert (await ask_("GET_PARAMETER"))[0] == 200
    assert (await ask_("SETUP", Transport="RTP/AVP;multicast"))[0] == 461
    assert (await ask_("SETUP", Transport="RTP/AVP;unicast;client_port=5000-5001"))[0] == 461  # not beside TLS
    status, head = await ask_("SETUP", Transport="RTP/AVP;multicast,RTP/AVP/TCP;unicast;interleaved=4-5")
    assert status == 200
    assert "interleaved=4-5" in head
    session = head.partition("Session: ")[2].partition(";")[0]
    assert (await ask_("PLAY", Session="another"))[0] == 454
    assert (await ask_("PLAY", Session=session))[0] == 200
    header = await reader.readexactly(4)
    assert header[:2] == b"$\5"  # the sender report comes first
    await reader.readexactly(int.from_bytes(header[2:], "big"))
    header = await reader.readexactly(4)
    assert header[:2] == b"$\4"
    writer.close()
    await writer.wait_closed()


def _context(world: World) -> Any:
    import ssl

    return ssl.create_default_context(cafile=str(world.centre.place.authority))


async def test_the_control_socket_is_for_the_owner_and_answers_anything(world: World) -> None:
    path = world.centre.place.socket
    async with listening(world.centre):
        assert path.stat().st_mode & 0o777 == 0o600
        assert find(world.centre.place.block) == world.centre.place
        status = await asyncio.to_thread(ask, path, {"do": "status"})
        assert status["ok"]
        assert status["servers"] == len(world.centre.planned.services)
        broken = await asyncio.to_thread(ask, path, {"do": "break", "target": "box", "fault": "down"})
        assert broken["changed"] == [{"id": "box", "name": "设备 box"}]
        reader, writer = await asyncio.open_unix_connection(path)
        for nonsense in (b"[]\n", b"{\n", b"7\n", b'{"do": 1}\n', b'{"do": "break", "target": "box"}\n'):
            writer.write(nonsense)
            assert json.loads(await reader.readline())["ok"] is False
        writer.write(b"x" * 10_000)
        assert await reader.read() == b""
        writer.close()
    assert not path.exists()
    with pytest.raises(NoLab, match="no lab runs"):
        find(world.centre.place.block)
    with pytest.raises(NoLab, match="no answer"):
        ask(path, {"do": "status"})


async def test_an_address_that_is_taken_is_named(config: Path, place: Place) -> None:
    configuration = read(config, None, place.block)
    centre = Centre.of(configuration, place)
    address = configuration.targets["box"].address
    other = await asyncio.start_server(lambda _reader, writer: writer.close(), address, 6379)
    try:
        with pytest.raises(CannotListen, match=f"{address}:6379"):
            await centre.open(lambda _text: None)
    finally:
        await centre.close()
        other.close()
        await other.wait_closed()


def test_the_daemon_trusts_the_lab_for_the_labs_addresses_alone(config: Path) -> None:
    found = trusting(read(config, None, 2), Path("/ca.pem"), 2)
    assert found.checks["box.bearer"].options.tls_ca_file == "/ca.pem"
    assert found.checks["elsewhere.port"].options.tls_ca_file is None
    assert not hasattr(found.checks["box.v2c"].options, "tls_ca_file")
