"""RTSP: does the camera show a picture?

One session of our own (RFC 2326): OPTIONS, DESCRIBE, SETUP, PLAY, the first packet, the first complete key frame, and
the picture that it decodes to, each a stage with its time.  The session is ended with TEARDOWN.  With
``watch_seconds`` it goes on for a while; with ``channels`` a few of a platform's channels have their turn.
"""

from __future__ import annotations

from sentinel.domain.target import Target
from sentinel.protocols.rtsp.options import RtspOptions
from sentinel.protocols.rtsp.retrieve import retrieve
from sentinel.protocols.rtsp.sample import sample
from sentinel.sdk.protocol import Run


async def probe(target: Target, options: RtspOptions, run: Run) -> None:
    """Fetch one picture, or one of each channel whose turn it is; the service is a DecoderPool."""
    if options.channels is None:
        await retrieve(target, options, options.path, run)
    else:
        await sample(target, options, options.channels, run)
