"""One stream: its first packet, its first complete key frame, the picture that it shows, and the watch after it."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Iterator

from sentinel.domain.target import Target
from sentinel.picture import DecoderPool, Overloaded, Shot, Undecodable, examine, telling
from sentinel.protocols.rtsp.messages import RtspFailure
from sentinel.protocols.rtsp.opening import GOODBYE_SECONDS, Playing, playing, session_to, url_of
from sentinel.protocols.rtsp.options import RtspOptions
from sentinel.protocols.rtsp.steps import step
from sentinel.protocols.rtsp.watch import watch
from sentinel.sdk.protocol import Run
from sentinel.wire.rtp import AccessUnit


async def retrieve(target: Target, options: RtspOptions, path: str, run: Run) -> None:
    """Fetch one picture from one path, and watch where that is asked for; the service is a DecoderPool.

    Raises:
        ProbeFailed: of the stage that failed.
    """
    began = time.monotonic()
    goodbye = min(GOODBYE_SECONDS, run.left / 10)
    with step(run, "prepare"):
        if options.watch and run.left <= options.watch:
            run.fail("bad_option", f"watch is {options.watch:g} s: the timeout has to be longer")
        pool: DecoderPool = run.service
        await pool.prepare()
    async with (
        session_to(target, options, run, goodbye) as session,
        playing(session, url_of(target, options, path), options, run) as stream,
    ):
        unit = await first_picture(stream, options, run, goodbye)
        run.values["picture_seconds"] = time.monotonic() - began
        if options.watch:
            viewing = await watch(stream, unit, options, run, goodbye)
            with run.stage("picture"), telling(run):
                await examine(run, pool, options, stream.track.codec, viewing.shots, seconds=_left(run, goodbye))


async def first_picture(stream: Playing, options: RtspOptions, run: Run, goodbye: float) -> AccessUnit:
    """The first key frame that decodes to a picture.

    Raises:
        ProbeFailed: none came in time, or too many could not be decoded.
    """
    session, video = stream.session, stream.video
    with step(run, "first_packet"), _before_the_deadline(run, "no_packets", stream):
        async with asyncio.timeout(run.left - goodbye):
            await session.until(lambda: video.packets > 0)
    for left in reversed(range(options.key_frame_tries)):
        with step(run, "first_key_frame"), _before_the_deadline(run, "no_key_frame", stream):
            async with asyncio.timeout(run.left - goodbye):
                unit = await _key_frame(stream)
        run.values["key_frame_bytes"] = unit.size
        with step(run, "picture"):
            try:
                await _examined(stream, unit, options, run, goodbye)
            except Overloaded as error:
                run.fail("overloaded", str(error))
            except Undecodable as error:
                video.undecodable = str(error)
                if not left:
                    run.fail("undecodable", str(error))
            else:
                return unit
        video.next()
        stream.media.resume()
    raise AssertionError  # the last try returns or fails


async def _examined(stream: Playing, unit: AccessUnit, options: RtspOptions, run: Run, goodbye: float) -> None:
    """Decode a key frame; what a watch will measure of all of them together is not measured of the first alone."""
    pool: DecoderPool = run.service
    codec, seconds = stream.track.codec, _left(run, goodbye)
    if options.watch:
        await pool.decode(codec, unit.data, seconds)
    else:
        await examine(run, pool, options, codec, [Shot(unit.data)], seconds=seconds)


def _left(run: Run, goodbye: float) -> float:
    return max(0.0, run.left - goodbye / 2)


async def _key_frame(stream: Playing) -> AccessUnit:
    video = stream.video
    await stream.session.until(lambda: video.key_frame is not None or video.too_large is not None)
    if video.key_frame is None:
        raise RtspFailure("too_large", video.too_large or "")
    return video.key_frame


@contextlib.contextmanager
def _before_the_deadline(run: Run, code: str, stream: Playing) -> Iterator[None]:
    # The runner's deadline would only say "timed out": a little before it, we can still say what did not come.
    try:
        yield
    except TimeoutError:
        video, sound = stream.video, stream.sound
        if video.undecodable:
            run.fail("undecodable", video.undecodable, stage="picture")
        if not video.packets and sound is not None and sound.packets:
            run.fail("no_video", f"audio runs ({sound.packets} packets), and no video comes")
        if not video.packets and video.malformed:
            run.fail("protocol_error", f"no RTP: {stream.story()}")
        if stream.media.dropped:
            run.fail("overloaded", f"this host could not take it in: {stream.story()}")
        run.fail(code, stream.story())
