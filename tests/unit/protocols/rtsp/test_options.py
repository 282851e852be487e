"""What the options accept."""

from typing import Any

import pytest
from pydantic import ValidationError

from sentinel.protocols.rtsp import PROTOCOL
from sentinel.protocols.rtsp.opening import url_of
from sentinel.protocols.rtsp.options import RtspOptions
from tests.support.probing import target


@pytest.mark.parametrize(
    ("options", "address", "url"),
    [
        ({}, "192.0.2.1", "rtsp://192.0.2.1/"),
        ({"path": "a?b=1&c", "port": 8554}, "192.0.2.1", "rtsp://192.0.2.1:8554/a?b=1&c"),
        ({"path": "/a", "tls": True, "port": 322}, "2001:db8::1", "rtsps://[2001:db8::1]/a"),
        ({"path": "/a", "tls": True}, "camera.example", "rtsps://camera.example:554/a"),
    ],
)
def test_addresses(options: dict[str, Any], address: str, url: str) -> None:
    found = RtspOptions.model_validate(options)
    assert url_of(target(address), found, found.path) == url


@pytest.mark.parametrize(
    "options",
    [
        {"path": "/a b"},
        {"path": "/a\r\nX: y"},
        {"username": "admin"},
        {"password": "x"},
        {"username": "a:b", "password": "x"},
        {"port": 0},
        {"transport": "multicast"},
        {"transport": "udp", "tls": True},
        {"watch": -1},
        {"path": "/{channel}"},
        {"path": "/{chanel}"},
        {"key_frame_tries": 0},
    ],
)
def test_what_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        RtspOptions.model_validate(options)


def test_every_option_is_described_and_secrets_are_hidden() -> None:
    assert all(field.description for field in RtspOptions.model_fields.values())
    assert "hush" not in repr(RtspOptions.model_validate({"username": "u", "password": "hush"}))


def test_it_is_declared() -> None:
    assert PROTOCOL.retrieves_picture
    assert PROTOCOL.summary == "RTSP: does the camera show a picture?"
