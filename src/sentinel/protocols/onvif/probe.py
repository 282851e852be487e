"""ONVIF: is the camera's clock right, what is it, is its stream there, and what does its picture show?

Clock, information, services, profiles, the stream's description and a picture as JPEG, each asked in turn.  A device
that asks for a login which the check has not got is alive, and ``authorized`` is 0 then.  Whatever address a device
names, nothing is asked of another host than the target.
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Final
from xml.sax.saxutils import escape

from sentinel.domain.target import Target
from sentinel.protocols.onvif.addresses import BadReading, Place, place_of
from sentinel.protocols.onvif.device import DEVICE, SCHEMA, Denied, Device, Reply, Unsupported
from sentinel.protocols.onvif.fetching import describe, picture
from sentinel.protocols.onvif.options import OnvifOptions
from sentinel.protocols.onvif.readings import (
    MEDIA,
    clock_ahead,
    media_service,
    profile_of,
    uri_of,
)
from sentinel.sdk.net import resolve
from sentinel.sdk.protocol import Run

_FACTS: Final = {"maker": "Manufacturer", "model": "Model", "firmware": "FirmwareVersion"}
_SETUP: Final = (
    f'<StreamSetup><Stream xmlns="{SCHEMA}">RTP-Unicast</Stream><Transport xmlns="{SCHEMA}"><Protocol>RTSP</Protocol>'
    "</Transport></StreamSetup>"
)


async def probe(target: Target, options: OnvifOptions, run: Run) -> None:
    """Ask the device for all that the options want; the service is a DecoderPool."""
    device = Device(run, target, options)
    try:
        await _clock(device)
        await _rest(device)
        run.values["authorized"] = 1.0
    except Denied:
        run.values["authorized"] = 0.0
    finally:
        device.client.close()


async def _clock(device: Device) -> None:
    """How far the device's clock is ahead of ours."""
    run = device.run
    reply = await _asked(device, "exchange", device.options.path, DEVICE, "GetSystemDateAndTime", bare=True)
    with _read(run, "exchange"):
        ahead = clock_ahead(reply.content, (reply.asked_at + reply.answered_at) / 2)
    if ahead is None:
        run.facts["clock"] = "no UTC is told"
        return
    device.ahead = ahead
    run.values["clock_drift_seconds"] = ahead


async def _rest(device: Device) -> None:
    """All that only those who may look at it are told."""
    run, options = device.run, device.options
    told = (await _asked(device, "query", options.path, DEVICE, "GetDeviceInformation")).content
    run.facts.update({fact: text[:100] for fact, name in _FACTS.items() if (text := told.text_of(name))})
    path, namespace = await _media(device)
    profiles = (await _asked(device, "query", path, namespace, "GetProfiles")).content
    run.values["profiles"] = float(sum(1 for _ in profiles.all("Profiles")))
    if not (options.stream or options.snapshot or options.profile):
        return
    profile = profile_of(profiles, options.profile)
    if profile is None:
        wanted = "the device has no such profile" if options.profile else "the device has no profile"
        run.fail("not_found", wanted, stage="query")
    chosen = f"<ProfileToken>{escape(profile)}</ProfileToken>"
    if options.stream:
        setup = _SETUP if namespace == MEDIA else "<Protocol>RTSP</Protocol>"
        reply = await _asked(device, "query", path, namespace, "GetStreamUri", setup + chosen)
        await describe(device, await _place(device, reply, "stream", ("rtsp", "rtsps")))
    if options.snapshot:
        reply = await _asked(device, "query", path, namespace, "GetSnapshotUri", chosen)
        await picture(device, await _place(device, reply, "snapshot", ("http", "https")))


async def _media(device: Device) -> tuple[str, str]:
    """Path and namespace of the media service, by GetServices, or GetCapabilities as older devices have it."""
    path = device.options.path
    try:
        inside = "<IncludeCapability>false</IncludeCapability>"
        reply = await device.ask("query", path, DEVICE, "GetServices", inside)
    except Unsupported:
        reply = await _asked(device, "query", path, DEVICE, "GetCapabilities", "<Category>All</Category>")
    with _read(device.run, "query"):
        found = media_service(reply.content)
        if found is None:
            device.run.fail("unsupported", "the device has no media service")
        return found


async def _place(device: Device, reply: Reply, fact: str, schemes: tuple[str, ...]) -> Place:
    """Where the stream or the picture is by the device's word, which has to be at the device itself."""
    run, address = device.run, device.target.address
    with _read(run, "query"):
        place = place_of(uri_of(reply.content), schemes)
    run.facts[fact] = place.shown
    if not (device.options.behind_nat or place.is_of(address) or place.is_of(await resolve(run, address))):
        run.fail("mismatch", f"the device names another host for the {fact}: {place.host[:100]}", stage="expect")
    return place


async def _asked(
    device: Device, stage: str, path: str, namespace: str, operation: str, inside: str = "", *, bare: bool = False
) -> Reply:
    try:
        return await device.ask(stage, path, namespace, operation, inside, bare=bare)
    except Unsupported as error:
        device.run.fail("unsupported", f"{operation}: {error}", stage=stage)


@contextlib.contextmanager
def _read(run: Run, stage: str) -> Iterator[None]:
    with run.stage(stage):
        try:
            yield
        except BadReading as error:
            run.fail("protocol_error", str(error))
