"""The probe against a camera that is sloppy in every way that was thought of."""

import asyncio
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.picture import DecoderPool, Overloaded, WorkerDied, decoder_pool
from sentinel.protocols.rtsp import PROTOCOL
from tests.support.probing import measure, target
from tests.unit.protocols.rtsp.camera import SDP, Answer, Camera, Request, frame, media, stream
from tests.unit.wire.streams import encoded, nals, packets

Check = Callable[..., Any]


async def look(camera: Camera, *, timeout: float = 10.0, service: Any = None, **options: Any) -> Measurement:
    """Probe the camera once, with a pool of its own unless the test has one."""
    async with camera.listening(), decoder_pool() as pool:
        return await measure(
            PROTOCOL, target(), {"port": camera.port, "path": "/live"} | options, timeout, service=service or pool
        )


def cause(failure: Failure | None) -> tuple[str, str] | None:
    return None if failure is None else (failure.stage, failure.code)


def described(**changes: str) -> str:
    return SDP.format(**{"control": "*", "track": "trackID=1"} | changes)


def without_markers() -> bytes:
    return media(stream(markers=False))


def markers_on_every_packet() -> bytes:
    pictures = [nals(unit) for unit in encoded("libx264")]
    return media([replace(packet, marker=True) for packet in packets(pictures)])


def loss_in_the_first_key_frame() -> bytes:
    sent = stream()
    del sent[4]
    return media(sent)


SLOPPY = {
    "as it should be": Camera(after_play=media(stream())),
    "media before the answer to PLAY": Camera(before_play=media(stream()[:40]), after_play=media(stream()[40:])),
    "an absolute control": Camera(
        described(control="rtsp://10.0.0.9/x", track="rtsp://10.0.0.9/x/1"), after_play=media(stream())
    ),
    "no control at all": Camera(
        SDP.replace("a=control:{control}\n", "").replace("a=control:{track}\n", ""), after_play=media(stream())
    ),
    "a content base": Camera(describe_headers="Content-Base: rtsp://10.0.0.9/y/", after_play=media(stream())),
    "no session and no transport": Camera(session=None, transport=None, after_play=media(stream())),
    "channels of its own choice": Camera(transport="RTP/AVP/TCP;interleaved=6-7", after_play=media(stream(), 6)),
    "RTCP and other frames between": Camera(
        after_play=frame(b"\x80\xc8" + bytes(26), 1)
        + frame(b"\x80\xc8" + bytes(26))
        + frame(b"junk", 9)
        + media(stream())
    ),
    "another payload type than described": Camera(
        after_play=media([replace(packet, payload_type=99) for packet in stream()])
    ),
    "empty lines and another answer between": Camera(
        after_play=b"\r\n\r\nRTSP/1.0 200 OK\r\nCSeq: 77\r\n\r\n" + media(stream())
    ),
    "requests of its own": Camera(
        after_play=b"OPTIONS rtsp://x/ RTSP/1.0\r\nCSeq: 1\r\n\r\nSET_PARAMETER rtsp://x/ RTSP/1.0\r\n\r\n"
        + media(stream())
    ),
    "no marker bit": Camera(after_play=without_markers()),
    "a marker bit on every slice": Camera(after_play=markers_on_every_packet()),
    "a loss in the first key frame": Camera(after_play=loss_in_the_first_key_frame()),
    "malformed packets first": Camera(after_play=frame(b"\x00" * 40) + media(stream())),
    "packets twice": Camera(after_play=media([one for packet in stream() for one in (packet, packet)])),
    "OPTIONS not implemented": Camera(
        after_play=media(stream()),
        answers={"OPTIONS": lambda camera, asked: camera.status(asked, "501 Not Implemented")},
    ),
    "no CSeq in its answers": Camera(
        after_play=media(stream()), answers={"OPTIONS": lambda _camera, _asked: b"RTSP/1.0 200 OK\n\n"}
    ),
    "100 Continue first": Camera(
        after_play=media(stream()),
        answers={"OPTIONS": lambda camera, asked: camera.status(asked, "100 Continue") + camera.ok(asked)},
    ),
}


@pytest.mark.parametrize("manner", SLOPPY)
async def test_a_sloppy_camera_shows_its_picture(manner: str) -> None:
    camera = SLOPPY[manner]
    seen = await look(camera)
    assert seen.failure is None
    assert (seen.values["picture_width_pixels"], seen.values["picture_height_pixels"]) == (160, 96)
    assert camera.methods == [
        *("OPTIONS", "DESCRIBE", "SETUP", "PLAY"),
        *(["TEARDOWN"] if camera.session else []),
    ]


async def test_what_is_asked_and_measured() -> None:
    camera = Camera(
        describe_headers="Server: H\x1b[31mK",
        after_play=media([*stream()[:3], *stream()[4:]]),
    )
    seen = await look(camera)
    base = f"rtsp://127.0.0.1:{camera.port}/live"
    assert [request.uri for request in camera.requests] == [base, base, f"{base}/trackID=1", base, base]
    assert camera.requests[2].headers["transport"] == "RTP/AVP/TCP;unicast;interleaved=0-1"
    assert [request.headers.get("session") for request in camera.requests[2:]] == [None, "1234", "1234"]
    assert list(seen.stages) == [
        *("prepare", "connect", "options", "describe", "setup", "play"),
        *("first_packet", "first_key_frame", "picture"),
    ]
    assert seen.values["lost_packets"] == 1
    assert seen.values["malformed_packets"] > 0  # fragments without their beginning
    assert seen.values["key_frame_bytes"] == sum(map(len, nals(encoded("libx264")[4])))
    assert seen.facts == {"codec": "H.264", "server": "H\x1b[31mK", "profile": "Constrained Baseline"}


def refusing(method: str, status: str) -> Camera:
    return Camera(answers={method: lambda camera, asked: camera.status(asked, status)})


@pytest.mark.parametrize(
    ("method", "status", "expected"),
    [
        ("OPTIONS", "401 Unauthorized", ("options", "unauthorized")),
        ("DESCRIBE", "401 Unauthorized", ("describe", "unauthorized")),
        ("DESCRIBE", "403 Forbidden", ("describe", "forbidden")),
        ("DESCRIBE", "404 Stream Not Found", ("describe", "not_found")),
        ("DESCRIBE", "302 Moved", ("describe", "bad_status")),
        ("SETUP", "461 Unsupported Transport", ("setup", "unsupported")),
        ("SETUP", "453 Not Enough Bandwidth", ("setup", "busy")),
        ("PLAY", "453 Not Enough Bandwidth", ("play", "busy")),
        ("PLAY", "500 Internal Server Error", ("play", "bad_status")),
    ],
)
async def test_refusals(method: str, status: str, expected: tuple[str, str]) -> None:
    seen = await look(refusing(method, status))
    assert cause(seen.failure) == expected
    assert seen.failure is not None
    assert status in seen.failure.detail


def saying(method: str, answer: bytes) -> Camera:
    return Camera(answers={method: lambda _camera, _asked: answer})


@pytest.mark.parametrize(
    ("camera", "expected"),
    [
        (Camera("v=0\nm=audio 0 RTP/AVP 8\n"), ("describe", "no_video")),
        (Camera("<html>"), ("describe", "protocol_error")),
        (Camera(transport="RTP/AVP;unicast;client_port=1-2"), ("setup", "unsupported")),
        (saying("DESCRIBE", b"RTSP/1.0 200 OK\r\nContent-Length: 70000\r\n\r\n"), ("describe", "too_large")),
        (saying("SETUP", b"\0\0\0"), ("setup", "protocol_error")),
        (saying("PLAY", b"RTSP/1.0 200 OK\r\nCSeq: 99\r\n\r\n" * 20), ("play", "protocol_error")),
        (Camera(closes=True), ("first_packet", "closed")),
        (Camera(closes=True, after_play=media(stream()[3:5])), ("first_key_frame", "closed")),
    ],
)
async def test_answers_that_cannot_be(camera: Camera, expected: tuple[str, str]) -> None:
    assert cause((await look(camera)).failure) == expected


async def test_a_session_that_is_of_no_use_is_ended() -> None:
    camera = Camera(transport="RTP/AVP;unicast;client_port=1-2")
    await look(camera)
    assert camera.methods[-2:] == ["SETUP", "TEARDOWN"]


def corrupt() -> bytes:
    """Key frames that are complete and decode to nothing: the slices' content is noise."""
    pictures = [nals(unit) for unit in encoded("libx264")]
    spoiled = [[one[:2] + b"\x55" * 40 if one[0] & 0x1F == 5 else one for one in picture] for picture in pictures]
    return media(packets(spoiled * 3))


@pytest.mark.parametrize(
    ("sent", "options", "expected"),
    [
        (b"", {}, ("first_packet", "no_packets")),
        (frame(b"\x80\xc8" + bytes(26), 1), {}, ("first_packet", "no_packets")),
        (frame(b"junk" * 20) * 50, {}, ("first_packet", "protocol_error")),
        (media(packets([[b"\x61\x9a\x00"] * 3] * 5)), {}, ("first_key_frame", "no_key_frame")),
        (
            media([packet for packet in stream() if packet.payload[1] & 0x1F not in {7, 8}]),
            {},
            ("first_key_frame", "no_key_frame"),
        ),
        (corrupt(), {"key_frame_tries": 2}, ("picture", "undecodable")),
        (corrupt(), {"key_frame_tries": 10}, ("picture", "undecodable")),
        (
            media(packets([[b"\x7c\x85" + b"x" * 1000, *[b"\x7c\x05" + b"x" * 1000] * 99]])),
            {"max_key_frame_bytes": 65536},
            ("first_key_frame", "too_large"),
        ),
    ],
)
async def test_media_that_is_none(sent: bytes, options: dict[str, Any], expected: tuple[str, str]) -> None:
    camera = Camera(after_play=sent)
    seen = await look(camera, timeout=1.0, **options)
    assert cause(seen.failure) == expected
    assert seen.took < 1.0  # told before the runner's deadline, with time to say goodbye
    assert camera.methods[-1] == "TEARDOWN"


async def test_teardown_is_not_waited_for_long() -> None:
    camera = Camera(after_play=media(stream()), answers={"TEARDOWN": lambda _camera, _asked: b""})
    seen = await look(camera)
    assert seen.failure is None
    assert seen.took - sum(seen.stages.values()) < 1.0
    camera = Camera(after_play=media(stream()), answers={"TEARDOWN": lambda _camera, _asked: b"\xff"})
    assert (await look(camera)).failure is None


async def test_teardown_when_the_deadline_strikes() -> None:
    camera = saying("PLAY", b"")
    seen = await look(camera, timeout=0.5)
    assert cause(seen.failure) == ("play", "timed_out")
    assert camera.methods[-2:] == ["PLAY", "TEARDOWN"]


class _Pool(DecoderPool):
    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    async def prepare(self) -> None:
        """There is none to start."""

    async def examine(self, *_request: Any) -> Any:
        """It has one answer."""
        raise self.error


@pytest.mark.parametrize(
    ("error", "code"),
    [(Overloaded("busy"), "overloaded"), (WorkerDied("exit 1"), "worker_died"), (TimeoutError(), "timed_out")],
)
async def test_failures_of_the_pool(error: Exception, code: str) -> None:
    seen = await look(Camera(after_play=media(stream())), service=_Pool(error))
    assert cause(seen.failure) == ("picture", code)


async def test_a_pool_that_cannot_start(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.executable", "/nonexistent")
    seen = await look(Camera())
    assert cause(seen.failure) == ("prepare", "worker_died")
    assert seen.failure is not None
    assert seen.failure.local


def digest(camera: Camera, asked: Request, *, stale: bool = False, nonce: str = "n1") -> bytes:
    line = f'WWW-Authenticate: Digest realm="IP Camera", nonce="{nonce}"' + (", stale=true" if stale else "")
    return camera.status(asked, "401 Unauthorized", line)


def guarded(good: Callable[[str], bool], *challenges: str) -> Answer:
    def answer(camera: Camera, asked: Request) -> bytes:
        if good(asked.headers.get("authorization", "")):
            return camera.ok(asked, body=camera.description)
        return camera.status(asked, "401 Unauthorized", *(f"WWW-Authenticate: {one}" for one in challenges))

    return answer


LOGIN: dict[str, Any] = {"username": "admin", "password": "hush-hush"}


async def test_login_stays_for_all_that_follows() -> None:
    camera = Camera(
        answers={"DESCRIBE": guarded(lambda sent: "Digest" in sent, 'Basic realm="x"', 'Digest realm="x", nonce="n"')},
        after_play=media(stream()),
    )
    assert (await look(camera, **LOGIN)).failure is None
    sent = [request.headers.get("authorization", "").partition(" ")[0] for request in camera.requests]
    assert sent == ["", "", "Digest", "Digest", "Digest", "Digest"]
    assert b"hush-hush" not in camera.received


async def test_a_wrong_password_is_tried_once() -> None:
    camera = Camera(answers={"DESCRIBE": guarded(lambda _sent: False, 'Digest realm="x", nonce="n"')})
    seen = await look(camera, **LOGIN)
    assert cause(seen.failure) == ("describe", "unauthorized")
    assert camera.methods.count("DESCRIBE") == 2  # one without and one with: more would lock the account
    assert seen.failure is not None
    assert "hush" not in seen.failure.detail


async def test_a_nonce_that_ran_out() -> None:
    fresh = guarded(lambda sent: 'nonce="n2"' in sent, 'Digest realm="x", nonce="n2", stale=true')
    first = guarded(lambda sent: 'nonce="n1"' in sent, 'Digest realm="x", nonce="n1"')
    camera = Camera(answers={"DESCRIBE": first, "SETUP": fresh}, transport=None, after_play=media(stream()))
    assert (await look(camera, **LOGIN)).failure is None
    assert camera.methods.count("SETUP") == 2


@pytest.mark.parametrize(
    ("challenge", "code"),
    [
        ("NTLM", "unsupported"),
        ('Digest realm="x"', "protocol_error"),
        ('Digest nonce="x", algorithm=FOO', "unsupported"),
    ],
)
async def test_challenges_that_cannot_be_answered(challenge: str, code: str) -> None:
    camera = Camera(answers={"DESCRIBE": guarded(lambda _sent: False, challenge)})
    assert cause((await look(camera, **LOGIN)).failure) == ("describe", code)


async def test_login_at_options() -> None:
    camera = Camera(
        answers={"OPTIONS": guarded(lambda sent: "Basic" in sent, 'Basic realm="x"')}, after_play=media(stream())
    )
    assert (await look(camera, **LOGIN)).failure is None


async def test_a_cancelled_probe_leaves_nothing() -> None:
    camera = Camera()
    async with camera.listening(), decoder_pool() as pool:
        await pool.prepare()
        before = asyncio.all_tasks()
        async with asyncio.TaskGroup() as group:
            task = group.create_task(measure(PROTOCOL, target(), {"port": camera.port}, 30, service=pool))
            while "PLAY" not in camera.methods:
                await asyncio.sleep(0.01)
            task.cancel()
        async with asyncio.timeout(5):
            await camera.gone()
        assert {task for task in asyncio.all_tasks() if task not in before and "serve" not in repr(task)} == set()
    assert camera.methods[-1] == "TEARDOWN"


@pytest.mark.parametrize("method", ["GET_PARAMETER", "OPTIONS"])
async def test_a_server_that_never_answers_the_keep_alive_is_watched_to_the_end(
    monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    monkeypatch.setattr("sentinel.protocols.rtsp.watch.REPORT_SECONDS", 60.0)  # this camera knows no RTCP
    camera = Camera(after_play=media(stream()), session="1234;timeout=2")

    def once(camera: Camera, request: Request) -> bytes:
        if camera.methods.count("OPTIONS") > 1:
            return b""
        return camera.ok(
            request, "Public: GET_PARAMETER, DESCRIBE" if method == "GET_PARAMETER" else "Public: DESCRIBE"
        )

    def each_its_own(camera: Camera, request: Request) -> bytes:  # sound is set up as well where a stream is watched
        return camera.ok(request, "Session: 1234;timeout=2", f"Transport: {request.headers['transport']}")

    camera.answers = {"OPTIONS": once, "SETUP": each_its_own, "GET_PARAMETER": lambda _camera, _request: b""}
    seen = await look(camera, watch=2.2)
    assert seen.failure is None
    assert seen.facts["keep_alive"] == f"{method}: no answer"
    assert camera.methods[camera.methods.index("PLAY") + 1 :].count(method) >= 2  # asked again all the same
    assert camera.methods[-1] == "TEARDOWN"
    assert seen.took < 5
