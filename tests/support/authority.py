"""A certificate authority for one test run: nobody outside trusts it, and it can be asked for bad certificates."""

import datetime as dt
import ipaddress
import itertools
import ssl
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

LOOPBACK = ("127.0.0.1", "localhost")


@dataclass(frozen=True, slots=True)
class Certificate:
    """A certificate and its key, as PEM files."""

    certificate: Path
    key: Path
    not_after: dt.datetime

    def server_context(self) -> ssl.SSLContext:
        """What an asyncio or aiohttp server needs to present it."""
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain(self.certificate, self.key)
        return context


class Authority:
    """A root that signs what a test asks for; its files lie in `folder`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ca_file = folder / "ca.pem"
        self._serials = itertools.count(1)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test authority")])
        now = dt.datetime.now(dt.UTC)  # noqa: TID251  # certificates are judged by the real clock
        root = (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(next(self._serials))
            .not_valid_before(now - dt.timedelta(days=400))
            .not_valid_after(now + dt.timedelta(days=400))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .add_extension(
                x509.KeyUsage(
                    digital_signature=True,
                    key_cert_sign=True,
                    crl_sign=True,
                    content_commitment=False,
                    key_encipherment=False,
                    data_encipherment=False,
                    key_agreement=False,
                    encipher_only=False,
                    decipher_only=False,
                ),
                critical=True,
            )
            .sign(self._key, hashes.SHA256())
        )
        self.ca_file.write_bytes(root.public_bytes(serialization.Encoding.PEM))

    def issue(self, *names: str, valid_for: dt.timedelta = dt.timedelta(days=90)) -> Certificate:
        """Sign a certificate for host names and addresses (loopback by default).

        It ends `valid_for` from now, in the past where that is negative, and began a year before its end.
        """
        names = names or LOOPBACK
        key = ec.generate_private_key(ec.SECP256R1())
        not_after = dt.datetime.now(dt.UTC).replace(microsecond=0) + valid_for  # noqa: TID251  # as above
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])]))
            .issuer_name(self._name)
            .public_key(key.public_key())
            .serial_number(serial := next(self._serials))
            .not_valid_before(not_after - dt.timedelta(days=365))
            .not_valid_after(not_after)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        issued = Certificate(self.folder / f"{serial}.pem", self.folder / f"{serial}.key", not_after)
        issued.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
        issued.key.write_bytes(
            key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        return issued

    @cached_property
    def valid(self) -> Certificate:
        """For loopback, 90 days left."""
        return self.issue()

    @cached_property
    def expired(self) -> Certificate:
        """For loopback, ended two days ago."""
        return self.issue(valid_for=dt.timedelta(days=-2))

    @cached_property
    def wrong_name(self) -> Certificate:
        """In order, but for another host."""
        return self.issue("elsewhere.example")

    def client_context(self) -> ssl.SSLContext:
        """A context that trusts this authority and nothing else."""
        return ssl.create_default_context(cafile=str(self.ca_file))


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
