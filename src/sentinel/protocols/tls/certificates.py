"""What certificates say: how long they last, how strong they are, whose they are (RFC 5280)."""

from __future__ import annotations

import time
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa
from cryptography.x509.oid import ExtensionOID, NameOID

from sentinel.sdk.protocol import Run

_DAY: Final = 86_400.0
_SHOWN: Final = 300  # characters of a fact
_WEAK: Final = frozenset({"md5", "sha1"})

# NIST SP 800-57 Part 1, table 2: bits of an RSA or DSA key, and of the symmetric key that is as strong.
_STRENGTHS: Final = ((15_360, 256), (7_680, 192), (3_072, 128), (2_048, 112), (1_024, 80))


@dataclass(frozen=True, slots=True)
class Certificate:
    """One certificate.  Times are UTC epoch seconds; ``strength`` is in bits of a symmetric key, 0 where unknown."""

    subject: str
    issuer: str
    names: tuple[str, ...]
    not_before: float
    not_after: float
    key: str
    key_bits: int
    strength: int
    signature: str
    weakly_signed: bool
    serial: str
    fingerprint: str

    @property
    def days_left(self) -> float:
        """Days until it ends, negative where it has."""
        return (self.not_after - time.time()) / _DAY  # noqa: TID251 - OpenSSL judges by the same wall time


def record(sent: list[bytes], path: list[bytes], run: Run) -> None:
    """Put down what the certificates say: ``sent`` by the peer, and the ``path`` to an authority where there is one."""
    run.values["chain_certificates"] = float(len(sent))
    try:
        chain = [read(each) for each in sent]
        relied = [read(each) for each in path] or chain
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:  # OpenSSL reads what this cannot
        run.facts["certificate"] = f"unreadable: {error}"[:_SHOWN]
        return
    if not chain:
        return
    first = chain[0]
    run.values["certificate_days_left"] = first.days_left
    run.values["chain_days_left"] = min(each.days_left for each in relied)
    run.values["key_bits"] = float(first.key_bits)
    run.values["security_bits"] = float(min(each.strength for each in relied))
    run.values["weak_signatures"] = float(sum(each.weakly_signed for each in relied))
    facts = {
        "subject": first.subject,
        "issuer": first.issuer,
        "names": ", ".join(first.names),
        "not_before": _date(first.not_before),
        "not_after": _date(first.not_after),
        "key": first.key,
        "signature": first.signature,
        "serial": first.serial,
        "fingerprint": first.fingerprint,
        "chain": " < ".join(each.subject for each in chain),
    }
    run.facts.update({name: text[:_SHOWN] for name, text in facts.items() if text})


@lru_cache(maxsize=1024)  # a chain is the same from one run to the next
def read(der: bytes) -> Certificate:
    """A certificate taken apart.

    Raises:
        ValueError, TypeError, UnsupportedAlgorithm: it, or something in it, cannot be read.
    """
    found = x509.load_der_x509_certificate(der)
    key, bits, strength = _key(found)
    algorithm = _hash(found)
    return Certificate(
        subject=_name(found.subject),
        issuer=_name(found.issuer),
        names=_names(found),
        not_before=found.not_valid_before_utc.timestamp(),
        not_after=found.not_valid_after_utc.timestamp(),
        key=key,
        key_bits=bits,
        strength=strength,
        signature=found.signature_algorithm_oid._name,  # noqa: SLF001 - the only name that it has
        # What an authority says of itself is trusted for being there, not for its signature.
        weakly_signed=algorithm in _WEAK and found.subject != found.issuer,
        serial=f"{found.serial_number:x}",
        fingerprint=found.fingerprint(hashes.SHA256()).hex(),
    )


def _key(certificate: x509.Certificate) -> tuple[str, int, int]:
    """What kind of key, its bits, and its strength."""
    try:
        key = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):  # SM2 and whatever else is not known here
        return certificate.public_key_algorithm_oid.dotted_string, 0, 0
    if isinstance(key, rsa.RSAPublicKey | dsa.DSAPublicKey):
        kind = "RSA" if isinstance(key, rsa.RSAPublicKey) else "DSA"
        size = key.key_size
        strength = next((strength for bits, strength in _STRENGTHS if size >= bits), size // 16)
        return f"{kind} {size}", size, strength
    if isinstance(key, ec.EllipticCurvePublicKey):
        return f"EC {key.curve.name}", key.key_size, key.key_size // 2
    if isinstance(key, ed25519.Ed25519PublicKey):
        return "Ed25519", 256, 128
    if isinstance(key, ed448.Ed448PublicKey):
        return "Ed448", 456, 224
    return type(key).__name__, 0, 0


def _hash(certificate: x509.Certificate) -> str:
    try:
        found = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        return ""
    return "" if found is None else found.name


def _name(name: x509.Name) -> str:
    """The common name, or all of the name where it has none (RFC 4514)."""
    common = name.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(common[0].value) if common else name.rfc4514_string()


def _names(certificate: x509.Certificate) -> tuple[str, ...]:
    try:
        found = certificate.extensions.get_extension_for_oid(ExtensionOID.SUBJECT_ALTERNATIVE_NAME).value
    except (x509.ExtensionNotFound, ValueError, x509.DuplicateExtension):
        return ()
    if not isinstance(found, x509.SubjectAlternativeName):
        return ()
    return tuple(str(each.value) for each in found if isinstance(each, x509.DNSName | x509.IPAddress))


def _date(at: float) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
