"""What is at the addresses that the device names: the stream's description by RTSP, a picture by HTTP."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from sentinel.picture import DecoderPool, Shot, examine, telling
from sentinel.protocols.onvif.addresses import Place
from sentinel.protocols.onvif.client import Answer, Client
from sentinel.protocols.onvif.device import Denied, Device, demand
from sentinel.protocols.onvif.options import OnvifOptions
from sentinel.sdk.net import Tls
from sentinel.wire import sdp

SPARE_SECONDS: Final = 0.1
"""Kept of the time when a picture is given to a decoder: its being late is then told as such."""
MAX_DESCRIPTION: Final = 65_536

_JPEG: Final = b"\xff\xd8"


async def describe(device: Device, place: Place) -> None:
    """Whether the stream is known at its address, and has video (RFC 2326, 10.2), in the stage ``describe``.

    Raises:
        Denied: a login is asked for, and the check has none.
        ProbeFailed: of that stage, or of those of the connection.
    """
    run = device.run
    tls = _tls(device.options) if place.scheme == "rtsps" else None
    client = Client(run, (device.target.address, place.port), tls, device.credentials, "RTSP/1.0")
    try:
        answer = await _fetched(device, client, _Wish("describe", "DESCRIBE", str(place), "application/sdp"))
    finally:
        client.close()
    with run.stage("describe"):
        try:
            media = [one for one in sdp.parse(answer.body).media if one.kind == "video"]
        except sdp.MalformedDescription as error:
            run.fail("protocol_error", f"the description: {error}")
        if not media:
            run.fail("no_video", "the stream's description has no video")
    named = [one.rtpmap(kind) for one in media for kind in one.payload_types]
    run.facts["encoding"] = ", ".join(dict.fromkeys(one.encoding[:20] for one in named if one))[:100]


async def picture(device: Device, place: Place) -> None:
    """The picture that the device gives now, and what it shows, in the stages ``transfer`` and ``picture``.

    Raises:
        Denied: a login is asked for, and the check has none.
        ProbeFailed: of these stages, or of those of the connection.
    """
    run, options = device.run, device.options
    port, secure = place.port, place.scheme == "https"
    if options.tls and not secure:
        port, secure = options.port, True  # never back into the clear
    wish = _Wish("transfer", "GET", place.path, "image/jpeg", options.max_snapshot_bytes)
    if (port, secure) == (options.port, options.tls):
        answer = await _fetched(device, device.client, wish)
    else:
        tls = _tls(options) if secure else None
        client = Client(run, (device.target.address, port), tls, device.credentials)
        try:
            answer = await _fetched(device, client, wish)
        finally:
            client.close()
    run.values["snapshot_bytes"] = float(len(answer.body))
    if not answer.body.startswith(_JPEG):
        run.fail("mismatch", f"no JPEG: {answer.body[:30]!r}", stage="transfer")
    pool: DecoderPool = run.service
    with run.stage("picture"), telling(run):
        seconds = run.left - min(SPARE_SECONDS, run.left / 10)
        await examine(run, pool, options, "MJPEG", [Shot(answer.body)], seconds=seconds)


@dataclass(frozen=True, slots=True)
class _Wish:
    stage: str
    method: str
    uri: str
    accept: str
    limit: int = MAX_DESCRIPTION


async def _fetched(device: Device, client: Client, wish: _Wish) -> Answer:
    async def ask() -> Answer:
        return await client.ask(wish.stage, wish.method, wish.uri, {"Accept": wish.accept}, limit=wish.limit)

    answer = await ask()
    for _ in range(2):  # with what is asked for, and again only for a nonce that ran out
        if not client.log_in(answer):
            break
        answer = await ask()
    if answer.status == 401 and device.credentials is None:
        raise Denied
    with device.run.stage(wish.stage):
        demand(device.run, answer, wish.method)
    return answer


def _tls(options: OnvifOptions) -> Tls:
    return Tls(tls_verify=options.tls_verify, tls_ca_file=options.tls_ca_file, tls_server_name=options.tls_server_name)
