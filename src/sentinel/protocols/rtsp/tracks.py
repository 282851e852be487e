"""Which picture of a session description is asked for, and by which address."""

from __future__ import annotations

import re
from dataclasses import dataclass

from sentinel.protocols.rtsp.messages import RtspFailure
from sentinel.wire.rtp import Depacketiser
from sentinel.wire.rtp_h264 import H264Depacketiser
from sentinel.wire.rtp_h265 import H265Depacketiser
from sentinel.wire.rtp_jpeg import JpegDepacketiser
from sentinel.wire.sdp import Description, Media, parameter_sets

_ENCODINGS = {"H264": "H.264", "H265": "H.265", "HEVC": "H.265", "JPEG": "MJPEG"}
_ABSOLUTE = re.compile(r"rtsps?://", re.IGNORECASE)
_ADDRESS = re.compile(r"[\x21-\x7e]{1,2000}")
_SIZE = re.compile(r"(?:\d+\s+)?(\d{1,5})\s*[-,x]\s*(\d{1,5})")


@dataclass(frozen=True, slots=True)
class Track:
    """One video track: ``codec`` is H.264, H.265 or MJPEG; ``control`` is the address for SETUP."""

    codec: str
    payload_type: int
    payload_types: frozenset[int]
    control: str
    media: Media

    @property
    def clock_rate(self) -> int:
        """Ticks a second of its RTP time stamps."""
        mapping = self.media.rtpmap(self.payload_type)
        return mapping.clock_rate if mapping is not None and mapping.clock_rate > 0 else 90_000

    def depacketiser(self, limit: int) -> Depacketiser:
        """A new one for this track, with what the description says of it; ``limit`` is bytes in a picture."""
        format_ = self.media.fmtp(self.payload_type)
        if self.codec == "H.264":
            return H264Depacketiser(parameter_sets(format_.get("sprop-parameter-sets")), limit)
        if self.codec == "H.265":
            sets = parameter_sets(*(format_.get(f"sprop-{kind}") for kind in ("vps", "sps", "pps")))
            return H265Depacketiser(sets, limit, donl=format_.get("sprop-max-don-diff", "0") not in {"", "0"})
        return JpegDepacketiser(_size(self.media), limit)


def choose(description: Description, base: str, index: int) -> Track:
    """The video track with that index (0 is the first) among those of the description.

    Raises:
        RtspFailure: ``no_video``, saying what there is instead.
    """
    videos = [media for media in description.media if media.kind == "video"]
    if index >= len(videos):
        kinds = ", ".join(media.kind[:20] for media in description.media[:8]) or "nothing"
        raise RtspFailure("no_video", f"video track {index} of {len(videos)}; the description has {kinds}")
    media = videos[index]
    for payload_type in media.payload_types:
        codec = _codec(media, payload_type)
        if codec is not None:
            control = address_of(media.attribute("control"), base)
            return Track(codec, payload_type, frozenset(media.payload_types), control, media)
    formats = ", ".join(_name(media, number)[:20] for number in media.payload_types[:8]) or "no format"
    raise RtspFailure("no_video", f"video track {index} is {formats}")


def sound_of(description: Description, base: str) -> str | None:
    """The address for SETUP of the first audio track; None where there is none, or it has no address of its own."""
    for media in description.media:
        control = media.attribute("control")
        if media.kind == "audio" and control and control != "*":
            return address_of(control, base)
    return None


def base_of(content_base: str | None, content_location: str | None, asked: str) -> str:
    """What relative addresses are relative to (RFC 2326, C.1.1); what is no address is passed over."""
    for text in (content_base, content_location):
        if text and _ABSOLUTE.match(text) and _ADDRESS.fullmatch(text):
            return text
    return asked


def address_of(control: str | None, base: str) -> str:
    """The address that an ``a=control`` means.

    It is put behind the base with one "/" between, not resolved as RFC 3986 would: a base may end in a query, and
    all servers and clients of this kind do so.  "*" and nothing mean the base itself (C.1.1).
    """
    if not control or control == "*" or not _ADDRESS.fullmatch(control):
        return base
    if _ABSOLUTE.match(control):
        return control
    return base.removesuffix("/") + "/" + control.removeprefix("/")


def _codec(media: Media, payload_type: int) -> str | None:
    mapping = media.rtpmap(payload_type)
    if mapping is not None:
        return _ENCODINGS.get(mapping.encoding)
    # No rtpmap for a dynamic type: the parameters tell as well.
    return "H.264" if "sprop-parameter-sets" in media.fmtp(payload_type) else None


def _name(media: Media, payload_type: int) -> str:
    mapping = media.rtpmap(payload_type)
    return mapping.encoding if mapping is not None else f"payload type {payload_type}"


def _size(media: Media) -> tuple[int, int] | None:
    # GStreamer's x-dimensions is "1920,1080"; framesize (3GPP TS 26.234) is "26 1920-1080".
    for name in ("x-dimensions", "framesize"):
        match = _SIZE.fullmatch((media.attribute(name) or "").strip())
        if match is not None:
            return int(match[1]), int(match[2])
    return None
