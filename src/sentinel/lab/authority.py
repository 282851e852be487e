"""The lab's own certificate authority: made anew at each start, trusted by nobody who was not told to."""

from __future__ import annotations

import datetime as dt
import ipaddress
import os
import ssl
from collections.abc import Sequence
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

VALID_DAYS: Final = 397
"""What browsers allow a server at most."""

_EXPIRED_DAYS: Final = -2


class Authority:
    """Signs for the lab's servers; its files lie in ``directory``, the keys readable by the owner alone."""

    def __init__(self, directory: Path) -> None:
        """Make the authority.

        Raises:
            OSError: its files cannot be written.
        """
        self._directory = directory / "certificates"
        self._directory.mkdir(mode=0o700, exist_ok=True)
        self._key = ec.generate_private_key(ec.SECP256R1())
        self._servers_key = ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Sentinel lab")])
        self._root = self._self_signed()
        self.file = directory / "ca.pem"
        self.file.write_bytes(self._root.public_bytes(serialization.Encoding.PEM))

    def context(self, names: Sequence[str]) -> ssl.SSLContext:
        """A server's context with a certificate for these names and addresses."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.show(context, names, expired=False)
        return context

    def show(self, context: ssl.SSLContext, names: Sequence[str], *, expired: bool) -> None:
        """Give a server another certificate, while it runs: connections from now on see it."""
        now = dt.datetime.now(dt.UTC)  # noqa: TID251 - certificates are judged by the real clock
        ends = now + dt.timedelta(days=_EXPIRED_DAYS if expired else VALID_DAYS)
        certificate = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0][:64])]))
            .issuer_name(self._name)
            .public_key(self._servers_key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(min(now, ends) - dt.timedelta(days=1))
            .not_valid_after(ends)
            .add_extension(x509.SubjectAlternativeName([_general_name(name) for name in names]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )
        # OpenSSL takes certificate and key from a file only.
        file = self._directory / "server.pem"
        file.unlink(missing_ok=True)
        descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(certificate.public_bytes(serialization.Encoding.PEM))
            stream.write(
                self._servers_key.private_bytes(
                    serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
                )
            )
        context.load_cert_chain(file)
        file.unlink()

    def _self_signed(self) -> x509.Certificate:
        now = dt.datetime.now(dt.UTC)  # noqa: TID251 - as above
        usage = dict.fromkeys(
            (
                "content_commitment",
                "key_encipherment",
                "data_encipherment",
                "key_agreement",
                "encipher_only",
                "decipher_only",
            ),
            False,
        )
        return (
            x509.CertificateBuilder()
            .subject_name(self._name)
            .issuer_name(self._name)
            .public_key(self._key.public_key())
            .serial_number(x509.random_serial_number())
            # An expired server's certificate has to lie within its authority's time.
            .not_valid_before(now - dt.timedelta(days=30))
            .not_valid_after(now + dt.timedelta(days=VALID_DAYS + 30))
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False)
            .add_extension(
                x509.KeyUsage(digital_signature=True, key_cert_sign=True, crl_sign=True, **usage), critical=True
            )
            .sign(self._key, hashes.SHA256())
        )


def _general_name(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
