"""Which picture is asked for, and by which address."""

import pytest

from sentinel.protocols.rtsp.messages import RtspFailure
from sentinel.protocols.rtsp.tracks import address_of, base_of, choose
from sentinel.wire import sdp
from sentinel.wire.rtp import Packet
from sentinel.wire.rtp_h264 import H264Depacketiser
from sentinel.wire.rtp_h265 import H265Depacketiser
from sentinel.wire.rtp_jpeg import JpegDepacketiser

DAHUA = "rtsp://192.0.2.1/cam/realmonitor?channel=1&subtype=0"


@pytest.mark.parametrize(
    ("control", "base", "address"),
    [
        ("trackID=1", "rtsp://192.0.2.1/a", "rtsp://192.0.2.1/a/trackID=1"),
        ("trackID=1", "rtsp://192.0.2.1/a/", "rtsp://192.0.2.1/a/trackID=1"),
        ("/trackID=1", "rtsp://192.0.2.1/a/", "rtsp://192.0.2.1/a/trackID=1"),
        ("trackID=0", DAHUA, DAHUA + "/trackID=0"),
        ("rtsp://10.0.0.1/b", "rtsp://192.0.2.1/a", "rtsp://10.0.0.1/b"),
        ("RTSPS://10.0.0.1/b", "rtsp://192.0.2.1/a", "RTSPS://10.0.0.1/b"),
        ("*", DAHUA, DAHUA),
        ("", DAHUA, DAHUA),
        (None, DAHUA, DAHUA),
        ("a b", DAHUA, DAHUA),
        ("x" * 3000, DAHUA, DAHUA),
    ],
)
def test_control_addresses(control: str | None, base: str, address: str) -> None:
    assert address_of(control, base) == address


def test_base_addresses() -> None:
    assert base_of("rtsp://h/a/", "rtsp://h/b", "rtsp://h/c") == "rtsp://h/a/"
    assert base_of(None, "rtsp://h/b", "rtsp://h/c") == "rtsp://h/b"
    assert base_of("a/", "rtsp://h/b c", "rtsp://h/c") == "rtsp://h/c"


def described(*lines: str) -> sdp.Description:
    return sdp.parse("\n".join(["v=0", *lines]).encode())


@pytest.mark.parametrize(
    ("lines", "codec", "kind"),
    [
        (("m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000"), "H.264", H264Depacketiser),
        (("m=video 0 RTP/AVP 96", "a=rtpmap:96 h265/90000"), "H.265", H265Depacketiser),
        (
            ("m=video 0 RTP/AVP 98", "a=rtpmap:98 HEVC/90000", "a=fmtp:98 sprop-max-don-diff=2"),
            "H.265",
            H265Depacketiser,
        ),
        (("m=video 0 RTP/AVP 26", "a=framesize:26 2560-1440"), "MJPEG", JpegDepacketiser),
        (("m=video 0 RTP/AVP 96", "a=fmtp:96 sprop-parameter-sets=Z00=,aO4="), "H.264", H264Depacketiser),
        (("m=video 0 RTP/AVP 33 97", "a=rtpmap:97 H264/90000"), "H.264", H264Depacketiser),
    ],
)
def test_codecs(lines: tuple[str, ...], codec: str, kind: type) -> None:
    track = choose(described("m=audio 0 RTP/AVP 0", *lines), "rtsp://h/", 0)
    assert track.codec == codec
    assert isinstance(track.depacketiser(1000), kind)


def test_large_pictures_take_their_size_from_the_description() -> None:
    track = choose(described("m=video 0 RTP/AVP 26", "a=x-dimensions:2560,1440"), "rtsp://h/", 0)
    assert track.depacketiser(10_000).push(Packet(26, True, 0, 0, 0, b"\0\0\0\0\1\x32\0\0scan"))


def test_the_second_track() -> None:
    video = ("m=video 0 RTP/AVP 96", "a=rtpmap:96 H264/90000")
    description = described(*video, "a=control:one", *video, "a=control:two")
    assert choose(description, "rtsp://h", 1).control == "rtsp://h/two"


@pytest.mark.parametrize(
    ("lines", "index", "words"),
    [
        (("m=audio 0 RTP/AVP 8",), 0, "has audio"),
        ((), 0, "has nothing"),
        (("m=video 0 RTP/AVP 33 99",), 0, "MP2T, payload type 99"),
        (("m=video 0 RTP/AVP",), 0, "no format"),
        (("m=video 0 RTP/AVP 26",), 1, "track 1 of 1"),
    ],
)
def test_no_video(lines: tuple[str, ...], index: int, words: str) -> None:
    with pytest.raises(RtspFailure, match=words) as failed:
        choose(described(*lines), "rtsp://h", index)
    assert failed.value.code == "no_video"
