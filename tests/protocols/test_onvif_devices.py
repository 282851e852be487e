"""onvif against devices that do it their own way, or wrong: read as far as they go, and told where not."""

from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest
from pydantic import ValidationError

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.picture import DecoderPool, decoder_pool
from sentinel.protocols.onvif import PROTOCOL
from sentinel.protocols.onvif.options import OnvifOptions
from tests.support.onvif_device import Answerer, clock, device, fault, http, soap, uri, working
from tests.support.probing import measure, target

HOST = "127.0.0.1"
LOGIN: dict[str, Any] = {"username": "operator", "password": "secret-3"}

Look = Callable[..., Any]


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


async def test_the_clock_is_right_within_half_a_second_and_half_the_way(look: Look) -> None:
    async with device(working(GetSystemDateAndTime=lambda _: clock(-3600))) as asked:
        found = await look(asked.port, stream=False, snapshot=False)
    assert found.values["clock_drift_seconds"] == pytest.approx(-3600, abs=1)


async def test_one_connection_does_for_all_and_one_that_ended_is_made_again(look: Look) -> None:
    async with device(working()) as asked:
        assert (await look(asked.port, stream=False)).failure is None
        assert asked.connections == 1
    async with device({name: closing(answer) for name, answer in working().items()}) as asked:
        assert (await look(asked.port, stream=False)).failure is None
        assert asked.connections == len(asked.requests) == 6
    assert asked.operations[2:] == ["GetServices", "GetProfiles", "GetSnapshotUri", "/snap.jpg?ch=1&x=2"]
    assert asked.requests[3].startswith(b"POST /m?a=1&b=2 HTTP/1.1\r\n")
    assert b"<ProfileToken>p1<" in asked.requests[4]  # the first one that sees


def closing(answer: bytes | Answerer) -> Answerer:
    """The same without a length: its end is the connection's."""

    def without(request: bytes) -> bytes:
        whole = answer(request) if callable(answer) else answer
        head, _, body = whole.partition(b"\r\n\r\n")
        lines = [line for line in head.split(b"\r\n") if not line.startswith(b"Content-Length")]
        return b"\r\n".join(lines) + b"\r\n\r\n" + body

    return without


async def test_a_login_by_http_is_made_where_that_is_asked_for(look: Look) -> None:
    challenge = 'WWW-Authenticate: Digest realm="r", nonce="n{}", qop="auth", algorithm=MD5{}'
    nonces = iter(range(100))

    def guarded(answer: bytes | Answerer) -> Answerer:
        def asked(request: bytes) -> bytes:
            if b"Authorization: Digest" not in request:
                return http("401 Unauthorized", b"", challenge.format(next(nonces), ""))
            assert b"UsernameToken" not in request  # one of the two
            return answer(request) if callable(answer) else answer

        return asked

    once = iter([http("401 Unauthorized", b"", challenge.format(next(nonces), ", stale=true"))])
    profiles = guarded(working()["GetProfiles"])
    answers = {name: guarded(answer) for name, answer in working().items()}
    answers["GetProfiles"] = lambda request: next(once, b"") or profiles(request)  # the nonce ran out
    answers["GetSystemDateAndTime"] = lambda _: clock()
    async with device(answers) as asked:
        found = await look(asked.port, stream=False, **LOGIN)
    assert found.failure is None, found.failure
    assert asked.operations.count("GetDeviceInformation") == 2
    assert asked.operations.count("GetProfiles") == 2
    assert asked.operations.count("/snap.jpg?ch=1&x=2") == 1

    locked = {name: http("401 Unauthorized", b"", challenge.format(1, "")) for name in working()}
    async with device(locked) as asked:
        assert cause(await look(asked.port, **LOGIN)) == ("exchange", "unauthorized")
        assert len(asked.requests) == 2  # a password that was refused is not sent again


async def test_an_old_device_and_a_new_one_are_asked_as_they_know_it(look: Look) -> None:
    def capabilities(request: bytes) -> bytes:
        host = request.split(b"Host: ")[1].split(b"\r\n")[0]
        media = b"<Capabilities><Media><XAddr>http://%s/old</XAddr></Media></Capabilities>" % host
        return soap(b"<GetCapabilitiesResponse>" + media + b"</GetCapabilitiesResponse>")

    old = working(GetServices=fault("ActionNotSupported", status="500 Error"), GetCapabilities=capabilities)
    async with device(old) as asked:
        assert (await look(asked.port, stream=False)).failure is None
    assert b"POST /old HTTP" in b"".join(asked.requests)
    space = "http://www.onvif.org/ver20/media/wsdl"
    service = f"<Service><Namespace>{space}</Namespace><XAddr>http://10.1.1.1/new</XAddr></Service>"
    new = working(
        GetServices=soap(f"<GetServicesResponse>{service}</GetServicesResponse>"),
        GetStreamUri=soap("<GetStreamUriResponse><Uri>rtsp://127.0.0.1:1/</Uri></GetStreamUriResponse>"),
    )
    async with device(new) as asked:
        assert cause(await look(asked.port)) == ("connect", "refused")
    assert f'<GetStreamUri xmlns="{space}"><Protocol>RTSP</Protocol>'.encode() in asked.requests[-1]


async def test_a_wrong_content_type_and_another_encoding_do_no_harm(look: Look) -> None:
    maker = "<GetDeviceInformationResponse><Manufacturer>海康威视</Manufacturer></GetDeviceInformationResponse>"
    body = f'<?xml version="1.0" encoding="GB2312"?><Envelope><Body>{maker}</Body></Envelope>'.encode("gb18030")
    async with device(working(GetDeviceInformation=http("200 OK", body, "Content-Type: text/html"))) as asked:
        found = await look(asked.port, stream=False, snapshot=False)
    assert (found.failure, found.facts["maker"]) == (None, "海康威视")


ANSWERS: dict[str, tuple[dict[str, bytes | Answerer], tuple[str, str]]] = {
    "no-media": ({"GetServices": soap("<GetServicesResponse/>")}, ("query", "unsupported")),
    "no-snapshots": ({"GetSnapshotUri": fault("ActionNotSupported")}, ("query", "unsupported")),
    "no-profile": ({"GetProfiles": soap("<GetProfilesResponse/>")}, ("query", "not_found")),
    "profile-gone": ({"GetSnapshotUri": fault("NoProfile")}, ("query", "not_found")),
    "other-fault": ({"GetProfiles": fault("OutOfMemory")}, ("query", "bad_status")),
    "prohibited": ({"GetProfiles": fault("OperationProhibited")}, ("query", "forbidden")),
    "no-service": ({"GetSystemDateAndTime": http("404 Not Found")}, ("exchange", "not_found")),
    "busy": ({"GetProfiles": http("503 Busy")}, ("query", "busy")),
    "another-answer": ({"GetProfiles": soap("<GetServicesResponse/>")}, ("query", "protocol_error")),
    "a-page": ({"GetSystemDateAndTime": http("200 OK", b"<html><body/></html>")}, ("exchange", "protocol_error")),
    "no-time": ({"GetSystemDateAndTime": soap(
        "<GetSystemDateAndTimeResponse><SystemDateAndTime><UTCDateTime><Time><Hour>25</Hour></Time></UTCDateTime>"
        "</SystemDateAndTime></GetSystemDateAndTimeResponse>")}, ("exchange", "protocol_error")),
    "no-uri": ({"GetSnapshotUri": soap(uri("GetSnapshotUri", b"file:///etc/passwd"))}, ("query", "protocol_error")),
    "elsewhere": ({"GetSnapshotUri": soap(uri("GetSnapshotUri", b"http://127.0.0.9/x"))}, ("expect", "mismatch")),
    "redirect": (
        {"/snap.jpg?ch=1&x=2": http("302 Found", b"", "Location: http://127.0.0.9/")}, ("transfer", "bad_status")),
    "a-login-page": ({"/snap.jpg?ch=1&x=2": http("200 OK", b"<html>")}, ("transfer", "mismatch")),
    "half-a-picture": ({"/snap.jpg?ch=1&x=2": http("200 OK", b"\xff\xd8\xff\xe0junk")}, ("picture", "undecodable")),
}  # fmt: skip


@pytest.mark.parametrize("case", ANSWERS)
async def test_what_is_wrong_is_told_where_it_is(case: str, look: Look) -> None:
    changed, expected = ANSWERS[case]
    async with device(working() | changed) as asked:
        assert cause(await look(asked.port, stream=False)) == expected
        assert (await look(asked.port, stream=False, snapshot=False)).failure is None or expected[0] != "transfer"


SDP = b"v=0\r\nm=audio 0 RTP/AVP 8\r\nm=video 0 RTP/AVP 96\r\na=rtpmap:96 H265/90000\r\n"
STREAMS = {
    "video": (b"RTSP/1.0 200 OK\r\nCSeq: 1\r\nContent-Length: %d\r\n\r\n" % len(SDP) + SDP, None),
    "no-video": (b"RTSP/1.0 200 OK\r\nContent-Length: 5\r\n\r\nv=0\r\n", ("describe", "no_video")),
    "no-sdp": (b"RTSP/1.0 200 OK\r\nCSeq: 1\r\n\r\n", ("describe", "protocol_error")),
    "gone": (b"RTSP/1.0 404 Not Found\r\nContent-Length: 0\r\n\r\n", ("describe", "not_found")),
    "no-rtsp": (http("200 OK", SDP), ("describe", "protocol_error")),
}


@pytest.mark.parametrize("case", STREAMS)
async def test_no_other_host_is_asked_and_behind_a_nat_the_target_is(case: str, look: Look) -> None:
    answer, expected = STREAMS[case]
    streams: dict[str, bytes | Answerer] = {}
    async with device(streams) as camera:
        told = f"rtsp://user:secret-5@127.0.0.9:{camera.port}/live?a=频道 1&pwd=secret-6"
        asked_for = f"rtsp://127.0.0.9:{camera.port}/live?a=%E9%A2%91%E9%81%93%201&pwd=secret-6"
        streams[asked_for] = answer
        answers = working(GetStreamUri=soap(uri("GetStreamUri", told.encode())))
        async with device(answers) as asked:
            assert cause(await look(asked.port)) == ("expect", "mismatch")
            assert not camera.requests
            found = await look(asked.port, behind_nat=True)
    assert cause(found) == expected
    assert camera.operations == [asked_for]
    assert b"secret-5" not in camera.requests[0]
    assert found.facts["stream"] == asked_for.replace("secret-6", "***")
    if expected is None:
        assert found.facts["encoding"] == "H265"


@pytest.mark.parametrize("options", [{"username": "a"}, {"password": "b"}, {"path": "x"}, {"profile": "<"}], ids=str)
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        OnvifOptions.model_validate(options)
