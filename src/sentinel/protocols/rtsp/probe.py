"""RTSP: does the camera show a picture?

One session of our own (RFC 2326): OPTIONS, DESCRIBE, SETUP, PLAY with the media interleaved in the connection, the
first packet, the first complete key frame, and the picture that it decodes to, each a stage with its time.  The
session is ended with TEARDOWN.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
from collections.abc import Iterator

from sentinel.domain.target import Target
from sentinel.picture.decoding import DecoderPool, Overloaded, Picture, Undecodable, WorkerDied
from sentinel.protocols.rtsp.messages import Response, RtspFailure
from sentinel.protocols.rtsp.options import RtspOptions
from sentinel.protocols.rtsp.reception import Reception
from sentinel.protocols.rtsp.session import CHUNK, Credentials, Session, demand
from sentinel.protocols.rtsp.tracks import Track, address_of, base_of, choose
from sentinel.sdk.net import certificate_days_left, connect
from sentinel.sdk.protocol import ProbeFailed, Run
from sentinel.wire import sdp
from sentinel.wire.rtp import AccessUnit

GOODBYE_SECONDS = 0.25
"""Kept of the time for TEARDOWN, but at most a twentieth of it: a camera has few places for sessions."""

_INTERLEAVED = re.compile(r"interleaved\s*=\s*(\d{1,3})", re.IGNORECASE)


async def probe(target: Target, options: RtspOptions, run: Run) -> None:
    """Fetch one picture; the service is a DecoderPool."""
    pool: DecoderPool = run.service
    with _step(run, "prepare"):
        await pool.prepare()
    reader, writer = await connect(run, target.address, options.port, tls=options, limit=CHUNK)
    credentials = None
    if options.username is not None and options.password is not None:
        credentials = Credentials(options.username, options.password)
    session = Session(reader, writer, credentials, options.max_answer_bytes)
    goodbye = min(GOODBYE_SECONDS, run.left / 20)
    try:
        try:
            if options.wants_tls:
                run.values["certificate_days_left"] = certificate_days_left(writer.get_extra_info("ssl_object"))
            await _retrieve(session, _url(target, options), options, run, goodbye)
        finally:
            if session.server:
                run.facts["server"] = session.server[:200]
    except ProbeFailed:
        await session.hang_up(min(goodbye, run.left / 2))
        raise
    else:
        await session.hang_up(min(goodbye, run.left / 2))
    finally:
        session.abandon()


async def _retrieve(session: Session, url: str, options: RtspOptions, run: Run, goodbye: float) -> None:
    with _step(run, "options"):
        answer = await session.request("OPTIONS", url)
        if answer.status == 401:  # anything else than a login is told by DESCRIBE: OPTIONS is often not implemented
            _demand(answer, "OPTIONS", options)
    with _step(run, "describe"):
        answer = await session.request("DESCRIBE", url, Accept="application/sdp")
        _demand(answer, "DESCRIBE", options)
        description, base = _described(answer, url)
        track = choose(description, base, options.track)
        run.facts["codec"] = track.codec
    with _step(run, "setup"):
        reception = await _set_up(session, track, options)
    try:
        with _step(run, "play"):
            aggregate = address_of(description.attribute("control"), base)
            session.plays(aggregate)
            _demand(await session.request("PLAY", aggregate, Range="npt=0.000-"), "PLAY", options)
        await _watch(session, reception, track, options, run, goodbye)
    finally:
        run.values["packets"] = reception.packets
        run.values["lost_packets"] = reception.lost
        run.values["malformed_packets"] = reception.malformed


def _described(answer: Response, url: str) -> tuple[sdp.Description, str]:
    try:
        description = sdp.parse(answer.body)
    except sdp.MalformedDescription as error:
        raise RtspFailure("protocol_error", f"the description: {error}") from error
    return description, base_of(answer.header("content-base"), answer.header("content-location"), url)


async def _set_up(session: Session, track: Track, options: RtspOptions) -> Reception:
    offer = "RTP/AVP/TCP;unicast;interleaved=0-1"
    # Servers send as soon as they have answered, some before: whatever channel they chose is known by then.
    answer = await session.request("SETUP", track.control, Transport=offer)
    _demand(answer, "SETUP", options)
    chosen = answer.header("transport") or offer
    match = _INTERLEAVED.search(chosen)
    if match is None and "TCP" not in chosen.upper():
        raise RtspFailure("unsupported", f"the server chose another transport: {chosen[:100]}")
    reception = Reception(track, int(match[1]) if match else 0, options.max_key_frame_bytes)
    session.on_frame = reception.receive
    return reception


async def _watch(
    session: Session, reception: Reception, track: Track, options: RtspOptions, run: Run, goodbye: float
) -> None:
    with _step(run, "first_packet"), _before_the_deadline(run, "no_packets", reception):
        async with asyncio.timeout(run.left - goodbye):
            while not reception.packets:
                await session.pump()
    for left in reversed(range(options.key_frame_tries)):
        with _step(run, "first_key_frame"), _before_the_deadline(run, "no_key_frame", reception):
            async with asyncio.timeout(run.left - goodbye):
                unit = await _key_frame(session, reception)
        run.values["key_frame_bytes"] = unit.size
        with _step(run, "picture"):
            try:
                _show(await _decoded(run, track, unit, goodbye), run)
                return
            except Undecodable as error:
                reception.undecodable = str(error)
                if not left:
                    run.fail("undecodable", str(error))
        reception.next()


async def _key_frame(session: Session, reception: Reception) -> AccessUnit:
    while reception.key_frame is None:
        if reception.too_large:
            raise RtspFailure("too_large", reception.too_large)
        await session.pump()
    return reception.key_frame


async def _decoded(run: Run, track: Track, unit: AccessUnit, goodbye: float) -> Picture:
    pool: DecoderPool = run.service
    try:
        return await pool.decode(track.codec, unit.data, max(0.0, run.left - goodbye / 2))
    except Overloaded as error:
        run.fail("overloaded", str(error))


def _show(picture: Picture, run: Run) -> None:
    run.values["picture_width_pixels"] = picture.width
    run.values["picture_height_pixels"] = picture.height
    if picture.profile:
        run.facts["profile"] = picture.profile


@contextlib.contextmanager
def _step(run: Run, name: str) -> Iterator[None]:
    with run.stage(name):
        try:
            yield
        except RtspFailure as failure:
            run.fail(failure.code, failure.detail)
        except WorkerDied as error:
            run.fail("worker_died", str(error))


@contextlib.contextmanager
def _before_the_deadline(run: Run, code: str, reception: Reception) -> Iterator[None]:
    # The runner's deadline would only say "timed out": a little before it, we can still say what did not come.
    try:
        yield
    except TimeoutError:
        if reception.undecodable:
            run.fail("undecodable", reception.undecodable, stage="picture")
        if not reception.packets and reception.malformed:
            run.fail("protocol_error", f"no RTP: {reception.story()}")
        run.fail(code, reception.story())


def _demand(answer: Response, asked: str, options: RtspOptions) -> None:
    demand(answer, asked=asked, logged_in=options.username is not None)


def _url(target: Target, options: RtspOptions) -> str:
    scheme, usual = ("rtsps", 322) if options.tls else ("rtsp", 554)
    host = f"[{target.address}]" if ":" in target.address else target.address
    port = "" if options.port == usual else f":{options.port}"
    return f"{scheme}://{host}{port}/{options.path.removeprefix('/')}"
