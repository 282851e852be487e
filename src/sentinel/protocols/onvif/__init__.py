"""ONVIF: is the camera's clock right, what is it, is its stream there, and what does its picture show?"""

from __future__ import annotations

from sentinel.picture import PICTURE_VALUES, decoder_pool
from sentinel.protocols.onvif.options import OnvifOptions
from sentinel.protocols.onvif.probe import probe
from sentinel.sdk.protocol import Protocol, Value

PROTOCOL = Protocol(
    "onvif",
    OnvifOptions,
    probe,
    values=(
        Value("clock_drift_seconds", "s", "How far the device's clock is ahead of ours; negative where it is behind."),
        Value("authorized", "", "1 where the device answered all that was asked, 0 where it wants a login for that."),
        Value("profiles", "", "Media profiles of the device."),
        Value("snapshot_bytes", "B", "Size of the picture."),
        Value("certificate_days_left", "d", "Days until the device's certificate ends (TLS)."),
        *PICTURE_VALUES,
    ),
    service=decoder_pool,
    needs="processes of its own for decoding",
)
