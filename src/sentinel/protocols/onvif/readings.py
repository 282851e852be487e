"""What the device's responses say (ONVIF's Device Management, Media and Media 2 services)."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Final

from sentinel.protocols.onvif.addresses import BadReading, place_of
from sentinel.wire.soap import Element

MEDIA: Final = "http://www.onvif.org/ver10/media/wsdl"
MEDIA_2: Final = "http://www.onvif.org/ver20/media/wsdl"

_HALF_SECOND: Final = 0.5


def clock_ahead(response: Element, now: float) -> float | None:
    """Seconds by which the device's clock is ahead of ``now``; None where it tells no UTC, which it may leave out.

    ``now`` is our time (Unix) in the middle of the exchange.  The device counts whole seconds: half of one is added,
    so that the result is right within half a second and half the round trip.

    Raises:
        BadReading: there is no such time.
    """
    told = response.find("SystemDateAndTime", "UTCDateTime")
    if told is None:
        return None
    fields = [
        *(("Date", name) for name in ("Year", "Month", "Day")),
        *(("Time", name) for name in ("Hour", "Minute", "Second")),
    ]
    texts = [told.text_of(*path) for path in fields]
    try:
        year, month, day, hour, minute, second = (int(text) for text in texts if len(text) <= 6)
        moment = datetime(year, month, day, hour, minute, min(second, 59), tzinfo=UTC).timestamp()
    except (ValueError, OverflowError) as error:
        raise BadReading(f"no time: {' '.join(text[:8] for text in texts)!r}") from error
    return moment + max(0, second - 59) + _HALF_SECOND - now  # a leap second is the 61st (RFC 3339, 5.6)


def media_service(response: Element) -> tuple[str, str] | None:
    """Path and namespace of the media service, the older kind where there are both; None where there is none.

    Of the address that is told only the path is taken: a device has one web server, and is reached at the target's
    address whatever it believes its own to be.

    Raises:
        BadReading: what is told is no address.
    """
    found = {service.text_of("Namespace"): service.text_of("XAddr") for service in response.all("Service")}
    if address := response.text_of("Capabilities", "Media", "XAddr"):
        found.setdefault(MEDIA, address)
    for namespace in (MEDIA, MEDIA_2):
        if address := found.get(namespace, ""):
            return place_of(address, ("http", "https")).path, namespace
    return None


def profile_of(response: Element, wanted: str | None) -> str | None:
    """The token of the wanted profile, or of the first one that has video; None where there is none."""
    tokens = {profile.attributes.get("token", ""): profile for profile in response.all("Profiles")}
    tokens.pop("", None)
    if wanted is not None:
        return wanted if wanted in tokens else None
    seeing = [token for token, profile in tokens.items() if _sees(profile)]
    return next(iter([*seeing, *tokens]), None)


def uri_of(response: Element) -> str:
    """The address in the response to GetStreamUri or GetSnapshotUri, "" where there is none."""
    return response.text_of("MediaUri", "Uri") or response.text_of("Uri")


def _sees(profile: Element) -> bool:
    return any(profile.find(*path) for path in (("VideoSourceConfiguration",), ("Configurations", "VideoSource")))
