"""onvif against ipycam, against the lab's camera that zeep vouches for, and against devices of every kind."""

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, cast

import onvif  # type: ignore[import-untyped]  # it ships without types
import pytest
import zeep
from lxml import etree  # type: ignore[import-untyped]
from zeep.exceptions import XMLParseError
from zeep.wsse import username

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.domain.target import Check
from sentinel.lab.authority import Authority
from sentinel.lab.servers.onvif import CLOCK_DRIFT, SIMULATION, UNAUTHORIZED, Device
from sentinel.lab.serving import OverTcp
from sentinel.lab.simulation import Service
from sentinel.picture import DecoderPool, decoder_pool
from sentinel.protocols.onvif import PROTOCOL
from sentinel.protocols.onvif.options import OnvifOptions
from tests.support.fixtures import NewFolder
from tests.support.onvif_device import device, operation_of, wall_clock, working
from tests.support.onvif_peer import OnvifCamera, serve
from tests.support.ports import free_port
from tests.support.probing import measure, target

HOST = "127.0.0.1"
WSDL = Path(onvif.__file__).parent / "wsdl"
DEVICE, MEDIA = "{http://www.onvif.org/ver10/device/wsdl}", "{http://www.onvif.org/ver10/media/wsdl}"
# zeep says that it has types, and has few: what it makes is anything.
client: Any = zeep.Client
token: Any = username.UsernameToken
LOGIN: dict[str, Any] = {"username": "operator", "password": "secret-3"}

Look = Callable[..., Any]


@pytest.fixture(scope="module")
def camera(new_folder: NewFolder) -> Iterator[OnvifCamera]:
    with serve(new_folder("ipycam")) as found:
        yield found


@pytest.fixture(scope="module")
def locked(new_folder: NewFolder) -> Iterator[OnvifCamera]:
    with serve(new_folder("ipycam"), login=True) as found:
        yield found


@pytest.fixture
async def pool() -> AsyncIterator[DecoderPool]:
    async with decoder_pool() as found:
        yield found


@pytest.fixture
def look(pool: DecoderPool) -> Look:
    async def measured(port: int, seconds: float = 10.0, **options: Any) -> Measurement:
        return await measure(PROTOCOL, target(HOST), {"port": port, **options}, seconds, service=pool)

    return measured


def cause(measured: Measurement) -> tuple[str, str] | None:
    failure: Failure | None = measured.failure
    return None if failure is None else (failure.stage, failure.code)


# ipycam


@pytest.mark.parametrize("login", [False, True])
async def test_a_camera_tells_its_clock_itself_its_stream_and_its_picture(
    camera: OnvifCamera, locked: OnvifCamera, look: Look, *, login: bool
) -> None:
    peer = locked if login else camera
    found = await look(peer.port, **({"username": peer.user, "password": peer.password} if login else {}))
    assert found.failure is None, found.failure
    assert abs(found.values["clock_drift_seconds"]) < 2
    assert (found.values["authorized"], found.values["profiles"]) == (1, 2)
    assert found.values["snapshot_bytes"] > 10_000
    assert (found.values["picture_width_pixels"], found.values["picture_height_pixels"]) == (640, 360)
    assert found.values["picture_luma_mean_ratio"] == pytest.approx(0.41, abs=0.05)
    facts = {name: found.facts[name] for name in ("maker", "model", "encoding", "stream")}
    stream = f"rtsp://{HOST}:{peer.rtsp_port}/video_main"
    assert facts == {"maker": "PythonCam", "model": "VirtualCam-1", "encoding": "H264", "stream": stream}
    assert not any("PY-000001" in text for text in found.facts.values())  # the serial number is nobody's business
    assert {"connect", "exchange", "query", "describe", "transfer", "picture"} <= set(found.stages)


async def test_a_camera_that_wants_a_login_is_alive(locked: OnvifCamera, look: Look) -> None:
    found = await look(locked.port)
    assert found.failure is None
    assert found.values == {"authorized": 0.0}


async def test_a_wrong_password_is_refused(locked: OnvifCamera, look: Look) -> None:
    found = await look(locked.port, username=locked.user, password="wrong-4")
    assert cause(found) == ("exchange", "unauthorized")
    assert found.values["authorized"] == 0
    assert "wrong-4" not in str(found)


# The lab's camera, and zeep


@contextlib.asynccontextmanager
async def lab(
    *faults: str, stream: int = 0, authority: Authority | None = None, **options: Any
) -> AsyncIterator[tuple[int, OverTcp]]:
    """The lab's camera as the lab runs it; its port."""
    port = free_port(HOST)
    model = OnvifOptions.model_validate({"port": port, **options})
    check = Check("c.onvif", "onvif", target(HOST, name="摄像机"), "onvif", "onvif", model, 30.0, 5.0, None)
    service = Service(SIMULATION, "tcp", HOST, port, (check,))
    server = OverTcp(service, Device(service, stream), cast("Authority", authority))
    await server.open()
    await server.show(frozenset(faults))
    try:
        yield port, server
    finally:
        await server.close()


class Offline(zeep.Transport):
    """Reads the WSDLs that are here, and asks nobody but the device."""

    def _load_remote_data(self, url: str) -> bytes:
        raise AssertionError(f"{url} is not here")


offline: Any = Offline


@pytest.fixture(scope="module")
def judges() -> dict[str, Any]:
    """ONVIF's own descriptions of the services, by file."""
    return {name: client(str(WSDL / f"{name}.wsdl"), transport=offline()) for name in ("devicemgmt", "media")}


async def test_an_independent_client_reads_the_same_of_the_labs_camera(judges: dict[str, Any], look: Look) -> None:
    def read(port: int) -> tuple[Any, ...]:
        url = f"http://{HOST}:{port}/onvif/device_service"
        bare = judges["devicemgmt"].create_service(f"{DEVICE}DeviceBinding", url)
        clock = bare.GetSystemDateAndTime()
        ahead = timedelta(seconds=600)
        tokens = token(LOGIN["username"], LOGIN["password"], use_digest=True, created=wall_clock() + ahead)
        clients = []
        for name, binding in (("devicemgmt", f"{DEVICE}DeviceBinding"), ("media", f"{MEDIA}MediaBinding")):
            service = client(str(WSDL / f"{name}.wsdl"), transport=offline(), wsse=tokens)
            clients.append(service.create_service(binding, url if name == "devicemgmt" else media(bare)))
        profile = clients[1].GetProfiles()[0]
        setup = {"Stream": "RTP-Unicast", "Transport": {"Protocol": "RTSP"}}
        return (
            clock,
            clients[0].GetDeviceInformation(),
            profile,
            clients[1].GetStreamUri(StreamSetup=setup, ProfileToken=profile.token).Uri,
            clients[1].GetSnapshotUri(ProfileToken=profile.token).Uri,
        )

    def media(bare: Any) -> str:
        found = [each.XAddr for each in bare.GetServices(IncludeCapability=False) if each.Namespace == MEDIA[1:-1]]
        return str(found[0])

    async with lab(CLOCK_DRIFT, stream=554, **LOGIN) as (port, _):
        clock, information, profile, stream, snapshot = await asyncio.to_thread(read, port)
        found = await look(port, stream=False, **LOGIN)
    assert found.failure is None, found.failure
    now = clock.UTCDateTime
    said = datetime(
        now.Date.Year, now.Date.Month, now.Date.Day, now.Time.Hour, now.Time.Minute, now.Time.Second, 0, UTC
    )
    assert (said - wall_clock()).total_seconds() == pytest.approx(600, abs=15)
    assert found.values["clock_drift_seconds"] == pytest.approx(600, abs=2)
    assert found.facts["maker"] == information.Manufacturer
    assert found.facts["model"] == information.Model == "实验室摄像机"
    assert profile.VideoSourceConfiguration.Bounds.width == 640
    assert stream == f"rtsp://{HOST}:554/"
    assert found.facts["snapshot"] == snapshot


async def test_what_we_ask_is_what_the_services_descriptions_say(judges: dict[str, Any], look: Look) -> None:
    async with device(working()) as asked:
        assert cause(await look(asked.port, **LOGIN)) == ("connect", "refused")  # the stream's server is not there
        assert (await look(asked.port, stream=False, **LOGIN)).failure is None
    messages = {operation_of(request): request for request in asked.requests if b"<s:Body>" in request}
    assert len(messages) == 6
    read: dict[str, Any] = {}
    for operation, request in messages.items():
        judge = judges["media" if operation in {"GetProfiles", "GetStreamUri", "GetSnapshotUri"} else "devicemgmt"]
        body = etree.fromstring(request.partition(b"\r\n\r\n")[2]).find("{*}Body")[0]
        kind = judge.wsdl.types.get_element(body.tag)
        read[operation] = kind.parse(body, judge.wsdl.types)
        if len(body):
            body.insert(0, etree.Element(f"{MEDIA}Other"))
            with pytest.raises(XMLParseError):  # it does look at what is there
                kind.parse(body, judge.wsdl.types)
        assert f'action="{body.tag[1:].replace("}", "/")}"'.encode() in request
    stream = read["GetStreamUri"]
    assert (stream.StreamSetup.Stream, stream.StreamSetup.Transport.Protocol) == ("RTP-Unicast", "RTSP")
    assert stream.ProfileToken == "p1"
    assert "p1" in str(read["GetSnapshotUri"])
    assert "False" in str(read["GetServices"])


async def test_a_login_is_made_at_the_devices_own_time(look: Look) -> None:
    async with lab(CLOCK_DRIFT, **LOGIN) as (port, server):
        found = await look(port, stream=False, **LOGIN)
        assert (found.failure, found.values["authorized"]) == (None, 1)
        assert found.values["clock_drift_seconds"] == pytest.approx(600, abs=2)
        await server.show(frozenset({UNAUTHORIZED}))
        refused = await look(port, stream=False, **LOGIN)
        nobody = await look(port, stream=False)
    assert cause(refused) == ("query", "unauthorized")
    assert refused.values["authorized"] == 0
    assert refused.values["clock_drift_seconds"] == pytest.approx(0, abs=2)
    assert nobody.failure is None
    assert nobody.values["authorized"] == 0
    assert set(nobody.values) == {"authorized", "clock_drift_seconds"}


@pytest.mark.parametrize(("shown", "value", "low", "high"), [
    ("picture-black", "picture_luma_peak_ratio", 0.0, 0.05),
    ("picture-snow", "picture_noise_ratio", 0.1, 1.0),
    ("picture-no-signal", "picture_uniform_ratio", 0.95, 1.0),
])  # fmt: skip
async def test_a_bad_picture_is_measured(look: Look, shown: str, value: str, low: float, high: float) -> None:
    async with lab() as (port, server):
        good = await look(port, stream=False)
        await server.show(frozenset({shown}))
        bad = await look(port, stream=False)
    assert good.failure is bad.failure is None
    assert not low <= good.values[value] <= high
    assert low <= bad.values[value] <= high


async def test_over_tls(look: Look, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    trust: dict[str, Any] = {"tls": True, "tls_ca_file": str(authority.file)}
    async with lab(authority=authority, **trust, **LOGIN) as (port, _):
        found = await look(port, stream=False, **trust, **LOGIN)
        stranger = await look(port, stream=False, tls=True)
    assert found.failure is None, found.failure
    assert found.values["certificate_days_left"] > 0
    assert "tls" in found.stages
    assert cause(stranger) == ("tls", "tls_untrusted")
