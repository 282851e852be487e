"""What an ICMP check may ask for."""

from __future__ import annotations

from pydantic import Field

from sentinel.protocols.icmp.packet import SMALLEST_PAYLOAD
from sentinel.sdk.protocol import Options


class IcmpOptions(Options):
    """What is sent: how many echo requests, how far apart, how large, and marked how."""

    count: int = Field(default=1, ge=1, le=100, description="Echo requests in one run.")
    interval: float = Field(
        default=0.2,
        ge=0.01,
        le=60,
        description="Seconds between them; shortened where the last would leave after half of the check's timeout.",
    )
    size: int = Field(
        default=56,
        ge=SMALLEST_PAYLOAD,
        le=8_972,
        description="Bytes of payload (RFC 792 data); 56 makes the usual 64-byte message.",
    )
    ttl: int | None = Field(
        default=None, ge=1, le=255, description="Time to live or hop limit, in place of the system's."
    )
    dscp: int | None = Field(
        default=None, ge=0, le=63, description="Differentiated services code point (RFC 2474), 46 for voice."
    )
