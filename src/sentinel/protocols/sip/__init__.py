"""SIP: does the conference endpoint or server answer OPTIONS?"""

from __future__ import annotations

from sentinel.protocols.sip.options import SipOptions
from sentinel.protocols.sip.probe import probe
from sentinel.sdk.protocol import Protocol, Value

PROTOCOL = Protocol(
    "sip",
    SipOptions,
    probe,
    values=(
        Value("status", "", "Status code of the final answer."),
        Value("round_trip_seconds", "s", "From the first sending of the request to its final answer."),
        Value("retransmissions", "", "How often a request was sent again because no answer had come (UDP)."),
        Value("certificate_days_left", "d", "Days until the peer's certificate ends (TLS); negative where it has."),
    ),
    transport="udp",
)
