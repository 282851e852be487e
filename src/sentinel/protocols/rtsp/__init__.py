"""RTSP: does the camera show a picture?"""

from __future__ import annotations

from sentinel.picture.decoding import decoder_pool
from sentinel.protocols.rtsp.options import RtspOptions
from sentinel.protocols.rtsp.probe import probe
from sentinel.sdk.protocol import Protocol, Value

PROTOCOL = Protocol(
    "rtsp",
    RtspOptions,
    probe,
    values=(
        Value("picture_width_pixels", "px", "Width of the decoded picture."),
        Value("picture_height_pixels", "px", "Height of the decoded picture."),
        Value("key_frame_bytes", "By", "Size of the key frame that was decoded."),
        Value("packets", "", "RTP packets received up to the picture."),
        Value("lost_packets", "", "RTP packets missing between those received."),
        Value("malformed_packets", "", "Packets that were no RTP or broke the payload format."),
        Value("certificate_days_left", "d", "Days until the server's certificate ends (RTSPS)."),
    ),
    service=decoder_pool,
    retrieves_picture=True,
    needs="processes of its own for decoding",
)
