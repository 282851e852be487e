"""What can go wrong in a measurement: one closed list of stages and one of codes.

A failure is a value, never a string made up on the spot: the stage says how far the probe came, the code says
what stopped it there.  The idea is OONI's (operation and failure of a network measurement).  Both lists are
documented in ``docs/failures.md``, which is generated from here.
"""

from __future__ import annotations

from dataclasses import dataclass

STAGES: dict[str, str] = {
    "schedule": "waiting for its turn: the probe did not start or did not end in time",
    "vantage": "finding a vantage that reaches the target's zone",
    "prepare": "preparing the probe on this host: options, secrets, sockets, workers",
    "resolve": "resolving the name",
    "echo": "ICMP echo request and reply",
    "tunnel": "reaching the SSH bastion through which the target's zone is probed",
    "connect": "opening the connection",
    "tls": "TLS handshake and verification of the certificate",
    "send": "sending the request",
    "banner": "waiting for the greeting",
    "key_exchange": "SSH key exchange and verification of the host's key",
    "login": "authentication",
    "channel": "opening a session on the SSH connection",
    "exchange": "request and answer",
    "first_byte": "waiting for the first byte of the answer",
    "transfer": "reading the rest of the answer",
    "expect": "comparing the answer with what is expected",
    "options": "RTSP or SIP OPTIONS",
    "describe": "RTSP DESCRIBE",
    "setup": "RTSP SETUP",
    "play": "RTSP PLAY",
    "register": "SIP REGISTER: ours with a platform, or a device's with us",
    "invite": "SIP INVITE of a live picture",
    "first_packet": "waiting for the first media packet",
    "first_key_frame": "waiting for the first complete key frame",
    "picture": "decoding the key frame into a picture",
    "watch": "watching the stream after its first picture",
    "get": "SNMP GET",
    "walk": "SNMP walk of a table",
    "query": "asking for the data",
    "heartbeat": "waiting for word from the target",
    "trap": "what the device reports by itself (SNMP notifications)",
    "probe": "the probe as a whole",
}

CODES: dict[str, str] = {
    # The target's doing, or the way to it: outcome FAILED.
    "timed_out": "no answer before the deadline",
    "refused": "the host answered that nobody listens",
    "reset": "the peer broke the connection",
    "closed": "the peer ended the connection before the answer was complete",
    "unreachable": "a router or the host says that there is no way to it",
    "name_not_found": "the name does not exist",
    "resolver_failed": "the resolver gave no usable answer",
    "lost": "all echo requests were lost",
    "protocol_error": "the answer breaks the protocol",
    "too_large": "the answer is larger than the limit",
    "too_many_redirects": "more redirects than allowed",
    "unauthorized": "credentials are missing or wrong",
    "forbidden": "the peer knows us and refuses",
    "not_found": "the peer does not know what was asked for",
    "bad_status": "the status is not one that is expected",
    "mismatch": "the content is not what is expected",
    "unsupported": "the peer does not offer what the check needs",
    "busy": "the peer has no place left for us",
    "not_registered": "the device is not registered with us",
    "host_key_changed": "the host shows another SSH key than the one that is pinned",
    "tls_expired": "the certificate's time is over",
    "tls_not_yet_valid": "the certificate's time has not begun",
    "tls_wrong_name": "the certificate is for another name",
    "tls_untrusted": "nobody that is trusted has signed the certificate",
    "tls_failed": "the handshake failed",
    "no_packets": "media was promised and no packet came",
    "no_key_frame": "packets came, but no complete key frame",
    "no_video": "the stream has no video in a known format",
    "late": "no word came in the agreed time",
    "reported": "the target, or somebody for it, reported the failure",
    "undecodable": "the key frame could not be decoded",
    # Ours: outcome UNKNOWN, never held against the target.
    "no_vantage": "no vantage reaches the target's zone",
    "no_tunnel": "the SSH bastion on the way to the target does not carry us",
    "no_privilege": "this host does not let the daemon do that",
    "no_route": "this host has no way out to that network",
    "no_resource": "this host has no descriptor, memory or port left",
    "overloaded": "the probe waited too long for its turn",
    "overdue": "no result came although one was due",
    "too_early": "we have not listened for long enough to tell",
    "bad_option": "the check's options cannot work",
    "worker_died": "the decoding process ended",
    "internal_error": "a defect in the probe; the log has the traceback",
}

LOCAL_CODES = frozenset(
    {
        "no_vantage",
        "no_tunnel",
        "no_privilege",
        "no_route",
        "no_resource",
        "overloaded",
        "overdue",
        "too_early",
        "bad_option",
        "worker_died",
        "internal_error",
    }
)
"""Codes that speak of us and not of the target: an observation that bears one is UNKNOWN."""


@dataclass(frozen=True, slots=True)
class Failure:
    """How far a probe came and what stopped it.

    ``detail`` is for people: at most a few hundred characters, may hold text from a hostile peer, is escaped at
    each output edge, never takes part in identity.
    """

    stage: str
    code: str
    detail: str = ""

    def __post_init__(self) -> None:
        if self.stage not in STAGES:
            msg = f"unknown stage {self.stage!r}: add it to the closed list in domain/failure.py"
            raise ValueError(msg)
        if self.code not in CODES:
            msg = f"unknown code {self.code!r}: add it to the closed list in domain/failure.py"
            raise ValueError(msg)

    @property
    def local(self) -> bool:
        """Whether the failure is ours, so that it says nothing about the target."""
        return self.code in LOCAL_CODES
