"""From a connection to a stream that plays: OPTIONS, DESCRIBE, SETUP of each track, PLAY (RFC 2326)."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass

from sentinel.domain.target import Target
from sentinel.protocols.rtsp.messages import Response, RtspFailure
from sentinel.protocols.rtsp.options import RtspOptions
from sentinel.protocols.rtsp.reception import Reception, Sound
from sentinel.protocols.rtsp.session import CHUNK, Credentials, Session
from sentinel.protocols.rtsp.steps import expect_ok, step
from sentinel.protocols.rtsp.tracks import Track, address_of, base_of, choose, sound_of
from sentinel.protocols.rtsp.transports import Datagrams, Interleaved, Media
from sentinel.sdk.net import certificate_days_left, connect
from sentinel.sdk.protocol import ProbeFailed, Run
from sentinel.wire import sdp

GOODBYE_SECONDS = 0.25
"""Kept of the time for TEARDOWN, but at most a tenth of it: a camera has few places for sessions."""


@dataclass(slots=True)
class Playing:
    """A stream that plays.  ``sound`` is None where no audio was asked for, or the server would not give it."""

    session: Session
    media: Media
    track: Track
    video: Reception
    sound: Sound | None

    def story(self) -> str:
        """What came, for people."""
        return ", ".join(part for part in (self.video.story(), self.media.story()) if part)


@contextlib.asynccontextmanager
async def session_to(target: Target, options: RtspOptions, run: Run, goodbye: float) -> AsyncIterator[Session]:
    """A session over a new connection; ended in order where there is time, and closed at once in any case."""
    reader, writer = await connect(run, target.address, options.port, tls=options, limit=CHUNK)
    credentials = None
    if options.username is not None and options.password is not None:
        credentials = Credentials(options.username, options.password)
    session = Session(reader, writer, credentials, options.max_answer_bytes)
    session.open()
    try:
        try:
            if options.wants_tls:
                run.values["certificate_days_left"] = certificate_days_left(writer.get_extra_info("ssl_object"))
            yield session
        finally:
            if session.server:
                run.facts["server"] = session.server[:200]
    except ProbeFailed:
        await session.hang_up(min(goodbye, run.left / 3))
        raise
    else:
        await session.hang_up(min(goodbye, run.left / 3))
    finally:
        await session.close()


@contextlib.asynccontextmanager
async def playing(session: Session, url: str, options: RtspOptions, run: Run) -> AsyncIterator[Playing]:
    """The stream at that address; the media's way is closed with it."""
    with step(run, "options"):
        answer = await session.request("OPTIONS", url)
        if answer.status == 401:  # anything else than a login is told by DESCRIBE: OPTIONS is often not implemented
            expect_ok(answer, "OPTIONS", options)
    with step(run, "describe"):
        answer = await session.request("DESCRIBE", url, Accept="application/sdp")
        expect_ok(answer, "DESCRIBE", options)
        description, base = _described(answer, url)
        track = choose(description, base, options.track)
        run.facts["codec"] = track.codec
    media: Media = Datagrams(session) if options.transport == "udp" else Interleaved(session)
    video = Reception(track, options.max_key_frame_bytes, reorders=media.reorders)
    video.on_key_frame = media.pause  # what follows is taken in when it is known whether this one is good
    try:
        sound = None
        with step(run, "setup"):
            answer = await session.request("SETUP", track.control, Transport=media.offer(0))
            expect_ok(answer, "SETUP", options)
            media.agree(0, answer.header("transport"), video)
            if options.watch:
                sound = await _sound(session, media, sound_of(description, base), run)
        with step(run, "play"):
            aggregate = address_of(description.attribute("control"), base)
            session.plays(aggregate)
            media.greet()
            expect_ok(await session.request("PLAY", aggregate, Range="npt=0.000-"), "PLAY", options)
        yield Playing(session, media, track, video, sound)
    finally:
        media.close()
        run.values["packets"] = video.packets
        run.values["lost_packets"] = video.lost
        run.values["malformed_packets"] = video.malformed
        if video.packets:
            run.values["loss_ratio"] = video.lost / (video.lost + video.packets)
        if media.reorders:
            run.values["reordered_packets"] = video.reordered
            run.values["dropped_packets"] = media.dropped


def _described(answer: Response, url: str) -> tuple[sdp.Description, str]:
    try:
        description = sdp.parse(answer.body)
    except sdp.MalformedDescription as error:
        raise RtspFailure("protocol_error", f"the description: {error}") from error
    return description, base_of(answer.header("content-base"), answer.header("content-location"), url)


async def _sound(session: Session, media: Media, control: str | None, run: Run) -> Sound | None:
    if control is None:
        return None
    answer = await session.request("SETUP", control, Transport=media.offer(1))
    if not answer.ok:  # the picture is what the check is about
        run.facts["audio"] = f"SETUP: {answer.status} {answer.reason}"[:200]
        return None
    sound = Sound()
    media.agree(1, answer.header("transport"), sound)
    return sound


def url_of(target: Target, options: RtspOptions, path: str) -> str:
    """The address of one stream, as it stands in the requests."""
    scheme, usual = ("rtsps", 322) if options.tls else ("rtsp", 554)
    host = f"[{target.address}]" if ":" in target.address else target.address
    port = "" if options.port == usual else f":{options.port}"
    return f"{scheme}://{host}{port}/{path.removeprefix('/')}"
