"""Session descriptions as servers and cameras write them."""

import base64

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.wire import sdp

CAMERA = b"""v=0\r
o=- 1109162014219182 0 IN IP4 0.0.0.0\r
s=HIK Media Server V3.1.1\r
c=IN IP4 0.0.0.0\r
t=0 0\r
a=control:*\r
m=video 0 RTP/AVP 96 97\r
c=IN IP4 192.0.2.9\r
a=rtpmap:96 H264/90000\r
a=fmtp:96 profile-level-id=4D0014;packetization-mode=0;sprop-parameter-sets=Z00AFJWoWCWhAAAHCAABX5AE,aO48gA==\r
a=rtpmap:97 H265/90000\r
a=control:trackID=1\r
m=audio 0 RTP/AVP 8\r
a=control:trackID=2\r
"""


def test_a_camera() -> None:
    session = sdp.parse(CAMERA)
    assert (session.name, session.connection, session.attribute("control")) == (
        "HIK Media Server V3.1.1",
        "IN IP4 0.0.0.0",
        "*",
    )
    video, audio = session.media
    assert (video.kind, video.transport, video.payload_types) == ("video", "RTP/AVP", (96, 97))
    assert video.attribute("control") == "trackID=1"
    assert video.connection == "IN IP4 192.0.2.9"
    assert video.rtpmap(96) == sdp.RtpMap("H264", 90_000)
    assert audio.rtpmap(8) is None  # sound is not this table's matter
    sets = sdp.parameter_sets(video.fmtp(96)["sprop-parameter-sets"])
    assert [one[0] & 0x1F for one in sets] == [7, 8]
    assert video.fmtp(97) == {}


def test_sloppiness() -> None:
    text = "m=Video 0/2 RTP/AVP 26\nA=ignored\n a=framesize:26 640-480 \n\nnonsense\ni=会场\na=tool".encode("gb18030")
    [media] = sdp.parse(text).media
    assert media.rtpmap(26) == sdp.RtpMap("JPEG", 90_000)
    assert media.attribute("framesize") == "26 640-480"
    assert media.attribute("tool") == ""
    assert media.kind == "video"
    odd = sdp.parse(b"v=0\nm=video\nm=video x RTP/AVP abc 300 96\na=rtpmap:96 h264/x/\xe2\x80\xa8\n").media
    assert [one.payload_types for one in odd] == [(96,)]
    assert odd[0].port == 0
    assert odd[0].rtpmap(96) == sdp.RtpMap("H264", 0, 0)


def test_parameter_sets_that_are_none() -> None:
    assert sdp.parameter_sets(None, "", "!!,Zw,,Zw==,\xe9") == (b"g", b"g")
    assert sdp.parameter_sets(base64.b64encode(b"\x40\x01").decode(), "QgE=") == (b"\x40\x01", b"\x42\x01")


@pytest.mark.parametrize("text", [b"", b"<html>", b"v=0\n" * 5000, b"m=video 0 RTP/AVP 96\n" * 300])
def test_what_is_no_description(text: bytes) -> None:
    with pytest.raises(sdp.MalformedDescription):
        sdp.parse(text)


@given(st.binary(max_size=300) | st.lists(st.sampled_from(CAMERA.splitlines()), max_size=20).map(b"\n".join))
def test_any_bytes_are_read_or_refused(text: bytes) -> None:
    try:
        session = sdp.parse(text)
    except sdp.MalformedDescription:
        return
    for media in session.media:
        for payload_type in media.payload_types:
            media.rtpmap(payload_type)
            sdp.parameter_sets(*media.fmtp(payload_type).values())
