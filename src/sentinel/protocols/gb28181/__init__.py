"""GB/T 28181: is the platform or device there, does it know its cameras, does a live picture come?"""

from __future__ import annotations

from sentinel.picture import PICTURE_VALUES, STREAM_VALUES
from sentinel.protocols.gb28181.options import Gb28181Options
from sentinel.protocols.gb28181.probe import probe
from sentinel.protocols.gb28181.service import Service, service
from sentinel.sdk.protocol import Counter, Protocol, Value

PROTOCOL = Protocol(
    "gb28181",
    Gb28181Options,
    probe,
    values=(
        Value("status", "", "Status code of the platform's final answer (options, register)."),
        Value("registered", "", "1 where the device is registered with us, 0 where it is not."),
        Value("keepalive_age_seconds", "s", "Time since the device was last heard: its keep-alive or registration."),
        Value("keepalives_missed", "", "Keep-alives that should have come since then."),
        Value("registration_expires_seconds", "s", "Time until the registration ends if it is not renewed."),
        Value("registration_age_seconds", "s", "Time since the device registered, renewals left out."),
        Value("catalog_total", "", "Different items of the catalogue."),
        Value("catalog_announced", "", "Items that the catalogue says it has (SumNum)."),
        Value("catalog_missing", "", "Items that were announced and did not come."),
        Value("catalog_on", "", "Items whose status is ON."),
        Value("catalog_off", "", "Items whose status is OFF."),
        Value("catalog_status", "", "Items with this status.", items=True),
        Value("online", "", "1 where the device's own status says that it is on line."),
        Value("healthy", "", "1 where the device's own status says that it works."),
        Value("encoding", "", "1 where the device says that it encodes."),
        Value("recording", "", "1 where the device says that it records."),
        Value("channels", "", "Channels that the device says it has."),
        Value("clock_offset_seconds", "s", "How far the device's clock is ahead of ours."),
        Value("picture_seconds", "s", "Time from the request to the first picture."),
        Value("packets", "", "RTP packets received up to the picture."),
        Value("lost_packets", "", "RTP packets missing between those received."),
        Value("malformed_packets", "", "Packets that were no RTP or broke the payload format."),
        Value("ssrc_mismatch", "", "1 where the stream has another SSRC than the device was given."),
        *PICTURE_VALUES,
        *STREAM_VALUES,
    ),
    service=service,
    attach=Service.attach,
    counters=(Counter("refused", "Messages and connections that the registrar refused.", "reason"),),
    count=lambda held: {"refused": held.refusals()},
    retrieves_picture=lambda options: options.mode == "play",
    needs="a port for devices to register on, processes of its own for decoding",
    transport="udp",
)
