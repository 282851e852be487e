"""RTSP: does the camera show a picture?"""

from __future__ import annotations

from typing import Final

from sentinel.picture import PICTURE_VALUES, STREAM_VALUES, decoder_pool
from sentinel.protocols.rtsp.options import RtspOptions
from sentinel.protocols.rtsp.probe import probe
from sentinel.sdk.protocol import Protocol, Value

_STREAM: Final = (
    Value("picture_seconds", "s", "Time from the beginning to the decoded picture; of several channels the median."),
    Value("packets", "", "RTP packets received, up to the picture or the end of the watch."),
    Value("lost_packets", "", "RTP packets missing between those received."),
    Value("loss_ratio", "1", "Share of the RTP packets that is missing."),
    Value("reordered_packets", "", "RTP packets that others had overtaken (UDP)."),
    Value("dropped_packets", "", "Datagrams that this host dropped because it was too slow to take them (UDP)."),
    Value("malformed_packets", "", "Packets that were no RTP or broke the payload format."),
    Value("jitter_seconds", "s", "Interarrival jitter of the RTP packets (RFC 3550, 6.4.1), of a stream watched."),
    Value("audio_packets", "", "RTP packets of the audio track, of a stream watched that has one."),
    Value(
        "video_missing_seconds", "s", "Longest time for which audio came and no video, of a stream watched that has it."
    ),
    Value("certificate_days_left", "d", "Days until the server's certificate ends (RTSPS)."),
)
_CHANNELS: Final = (
    Value("channels_total", "", "Channels that the check is about."),
    Value("channels_sampled", "", "Channels looked at in this round."),
    Value("channels_ok", "", "Of those, the ones that showed a picture."),
    Value("channels_failed", "", "Of those, the ones that did not."),
    Value("coverage_ratio", "1", "Share of the channels that has been looked at since the check began."),
    Value("coverage_seconds", "s", "Time in which every channel has its turn, as often as rounds come now."),
    Value("oldest_look_seconds", "s", "Age of the look at the channel that has waited longest."),
    Value(
        "last_seen_seconds",
        "s",
        "Time since the channel last showed a picture; since it was first looked at where it never did.",
        items=True,
    ),
)


def _values_of(options: RtspOptions) -> tuple[Value, ...]:
    return _CHANNELS if options.channels is not None else ()


PROTOCOL = Protocol(
    "rtsp",
    RtspOptions,
    probe,
    values=(*PICTURE_VALUES, *STREAM_VALUES, *_STREAM),
    values_of=_values_of,
    service=decoder_pool,
    retrieves_picture=True,
    needs="processes of its own for decoding",
)
