"""What devices say: addresses, clocks, services, profiles."""

from datetime import UTC, datetime

import pytest

from sentinel.protocols.onvif.addresses import BadReading, place_of
from sentinel.protocols.onvif.readings import MEDIA, MEDIA_2, clock_ahead, media_service, profile_of
from sentinel.wire.soap import Element, compose, parse

SCHEMES = ("rtsp", "rtsps", "http", "https")


def response(inside: str) -> Element:
    found = parse(compose(f"<R>{inside}</R>"))
    assert isinstance(found, Element)
    return found


@pytest.mark.parametrize(
    ("text", "port", "path"),
    [
        ("rtsp://u:p@192.0.2.1/a/b?c=1&d", 554, "/a/b?c=1&d"),
        (" http://192.0.2.1:8080 ", 8080, "/"),
        ("https://192.0.2.1/频 道", 443, "/%E9%A2%91%20%E9%81%93"),
        ("rtsps://192.0.2.1/x\r\nEvil: 1", 322, "/xEvil:%201"),
    ],
)
def test_an_address_is_taken_apart(text: str, port: int, path: str) -> None:
    place = place_of(text, SCHEMES)
    assert (place.host, place.port, place.path) == ("192.0.2.1", port, path)
    assert "u:p" not in str(place)


@pytest.mark.parametrize(
    "text", ["", "x", "file:///etc/passwd", "http://", "http://h:99999/", "ftp://h/", "http://[::1"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(BadReading):
        place_of(text, SCHEMES)


def test_whose_it_is_and_what_is_shown() -> None:
    place = place_of("rtsp://[2001:db8::1]:554/user=a&password=geheim&x=1?pwd=b", ("rtsp",))
    assert place.is_of("2001:0db8:0::1%eth0")
    assert not place.is_of("2001:db8::2")
    assert place.shown == "rtsp://[2001:db8::1]:554/user=a&password=***&x=1?pwd=***"
    assert place_of("http://Camera.example./", ("http",)).is_of("camera.example")


def clock(second: str, hour: str = "1", date: str = "<Year>2026</Year><Month>2</Month><Day>3</Day>") -> Element:
    time = f"<Time><Hour>{hour}</Hour><Minute>2</Minute><Second>{second}</Second></Time><Date>{date}</Date>"
    return response(f"<SystemDateAndTime><UTCDateTime>{time}</UTCDateTime></SystemDateAndTime>")


@pytest.mark.parametrize(("second", "expected"), [("0", 0.5), ("59", 59.5), ("60", 60.5)])
def test_a_clock_is_read_to_the_middle_of_its_second(second: str, expected: float) -> None:
    now = datetime(2026, 2, 3, 1, 2, tzinfo=UTC).timestamp()
    assert clock_ahead(clock(second), now) == pytest.approx(expected)


@pytest.mark.parametrize("bad", [clock("x"), clock("-1"), clock("1", hour="24"), clock("1", date="<Year>0</Year>")])
def test_a_time_that_cannot_be_is_refused(bad: Element) -> None:
    with pytest.raises(BadReading):
        clock_ahead(bad, 0.0)


def test_a_clock_may_tell_no_utc() -> None:
    assert clock_ahead(response("<SystemDateAndTime/>"), 0.0) is None


def test_the_older_media_service_goes_first() -> None:
    def service(space: str, path: str) -> str:
        return f"<Service><Namespace>{space}</Namespace><XAddr>http://192.0.2.9:1{path}</XAddr></Service>"

    both = response(service(MEDIA_2, "/two") + service(MEDIA, "/one?a=1"))
    assert media_service(both) == ("/one?a=1", MEDIA)
    assert media_service(response(service(MEDIA_2, "/two"))) == ("/two", MEDIA_2)
    assert media_service(response("")) is None
    with pytest.raises(BadReading):
        media_service(response(f"<Service><Namespace>{MEDIA}</Namespace><XAddr>nowhere</XAddr></Service>"))


def test_the_profile_that_sees_goes_first_unless_another_is_wanted() -> None:
    profiles = response(
        '<Profiles token="sound"/><Profiles/><Profiles token="new"><Configurations><VideoSource/></Configurations>'
        "</Profiles>"
    )
    assert profile_of(profiles, None) == "new"
    assert profile_of(profiles, "sound") == "sound"
    assert profile_of(profiles, "none") is None
    assert profile_of(response('<Profiles token="blind"/>'), None) == "blind"
    assert profile_of(response(""), None) is None
