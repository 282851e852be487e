"""What to ask a name server, and what its answer must be."""

from __future__ import annotations

import ipaddress
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Self, get_args

import dns.exception
import dns.name
import dns.rcode
import dns.rdata
import dns.rdataclass
import dns.rdatatype
import dns.reversename
from pydantic import Field, StringConstraints, model_validator

from sentinel.sdk.net import Tls
from sentinel.sdk.patterns import Pattern

Type = Literal[
    "A", "AAAA", "CAA", "CNAME", "DNSKEY", "DS", "HTTPS", "MX", "NAPTR", "NS", "PTR", "SOA", "SRV", "SSHFP", "SVCB",
    "TLSA", "TXT",
]  # fmt: skip
Rcode = Literal["NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "NOTAUTH", "NOTZONE"]

DOT_PORT: Final = 853
"""DNS over TLS (RFC 7858, 3.1)."""

Expected = Annotated[str, StringConstraints(min_length=1, max_length=1000)]


class DnsOptions(Tls):
    """One question and what its answer must be like; the server is the target."""

    port: int = Field(default=53, ge=1, le=65_535, description="The server's port; 853 over TLS where not given.")
    name: str = Field(
        min_length=1,
        max_length=253,
        description="Name to ask for, with or without the last dot; an address where the type is PTR.",
    )
    type: Type = Field(default="A", description="Type of the records to ask for.")
    transport: Literal["udp", "tcp", "tls"] = Field(
        default="udp", description="How the question travels: datagrams, a connection, or one with TLS (RFC 7858)."
    )
    recursion: bool = Field(
        default=True,
        description="Ask the server to find the answer elsewhere where it must (RD); off for a zone's own.",
    )
    rcode: tuple[Rcode, ...] = Field(
        default=("NOERROR",),
        min_length=1,
        description="Response codes that are expected: [NXDOMAIN] for a name that must not exist.",
    )
    empty: bool = Field(
        default=False, description="Whether a good answer without a record of the type is one: not_found otherwise."
    )
    expect: tuple[Expected, ...] = Field(
        default=(),
        max_length=50,
        description='Records that are expected, written as in a zone file ("10 mail.example.com" for MX); the text of '
        "a TXT without quotes. Names are compared without regard to case.",
    )
    expect_mode: Literal["all", "any", "exact"] = Field(
        default="all",
        description="Whether all of expect must be in the answer, any of it, or all of it and nothing else.",
    )
    expect_matches: Pattern | None = Field(
        default=None, description="Pattern (RE2) that one of the records must match: of a TXT its text."
    )
    dnssec: bool = Field(
        default=False,
        description="Ask with DNSSEC (DO and AD), and fail with mismatch where the server does not say that it has "
        "authenticated the answer (AD). It is the server's word: over UDP nothing protects it.",
    )
    edns_bytes: int = Field(
        default=1232,
        le=16_384,
        description="Largest answer over UDP that is asked for by EDNS (RFC 6891), from 512; 0 asks without EDNS.",
    )
    tcp_fallback: bool = Field(
        default=True,
        description="Ask again over TCP where the answer over UDP was cut off (RFC 7766); else it is judged as it is.",
    )
    resend_after: float = Field(
        default=1.0,
        ge=0.05,
        le=60,
        description="Seconds without an answer after which the question is sent again over UDP; then twice as long.",
    )

    @model_validator(mode="before")
    @classmethod
    def _usual_port(cls, given: Any) -> Any:
        if isinstance(given, dict) and given.get("transport") == "tls" and "port" not in given:
            return given | {"port": DOT_PORT}
        return given

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if 0 < self.edns_bytes < 512 or self.edns_bytes < 0:
            raise ValueError("edns_bytes is 0 or from 512 to 16384")
        if self.dnssec and not self.edns_bytes:
            raise ValueError("dnssec needs EDNS (RFC 3225): edns_bytes must not be 0")
        if (self.expect or self.expect_matches) and "NOERROR" not in self.rcode:
            raise ValueError("records can be expected of an answer with NOERROR only")
        if (self.expect or self.expect_matches) and self.empty:
            raise ValueError("an answer that may be empty cannot be expected to hold records")
        if self.expect_mode != "all" and not self.expect:
            raise ValueError("expect_mode needs expect")
        _ = self.question, self.expected  # told now, not at each run
        return self

    @property
    def wants_tls(self) -> bool:
        """Whether the question travels over TLS."""
        return self.transport == "tls"

    @cached_property
    def question(self) -> dns.name.Name:
        """The name to ask for.

        Raises:
            ValueError: it is none.
        """
        try:
            if self.type == "PTR" and _is_address(self.name):
                return dns.reversename.from_address(self.name)
            return dns.name.from_text(self.name)
        except dns.exception.DNSException as error:
            raise ValueError(f"name: {error}") from None

    @cached_property
    def expected(self) -> tuple[dns.rdata.Rdata | str, ...]:
        """The records that are expected; of TXT their texts, however they are cut into strings.

        Raises:
            ValueError: one is no record of the type.
        """
        if self.type == "TXT":
            return self.expect
        kind = dns.rdatatype.from_text(self.type)
        found = []
        for text in self.expect:
            try:
                found.append(dns.rdata.from_text(dns.rdataclass.IN, kind, text, origin=dns.name.root, relativize=False))
            except (dns.exception.DNSException, ValueError) as error:
                raise ValueError(f"expect: {text!r} is no record of type {self.type}: {error}") from None
        return tuple(found)


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


RCODES: Final = {dns.rcode.from_text(name): name for name in get_args(Rcode)}
"""The numbers of the response codes that may be expected."""
