"""Handshakes over a socket of ours, so that what the peer shows can be had whether it is trusted or not."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
import warnings
from functools import lru_cache
from typing import Any, Final

_CHUNK: Final = 16_384
_DER: Final = 2  # _ssl.ENCODING_DER
_ANYTHING: Final = "ALL:@SECLEVEL=0"


async def shake(sock: socket.socket, context: ssl.SSLContext, name: str) -> ssl.SSLObject:
    """Shake hands as a client; the socket stays the caller's.

    OpenSSL takes 100 KiB of certificates at most, and 16 KiB of a record.

    Raises:
        ssl.SSLError: the handshake failed; of it ``ssl.SSLCertVerificationError`` where the peer is not trusted.
        OSError, EOFError: of the network.
    """
    loop = asyncio.get_running_loop()
    incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
    tls = context.wrap_bio(incoming, outgoing, server_hostname=name)
    while True:
        try:
            tls.do_handshake()
        except ssl.SSLWantReadError:
            if outgoing.pending:
                await loop.sock_sendall(sock, outgoing.read())
            data = await loop.sock_recv(sock, _CHUNK)
            if not data:
                raise EOFError("the peer ended the connection in the handshake") from None
            incoming.write(data)
        except ssl.SSLError:
            with contextlib.suppress(OSError):  # the alert: so that the peer's log says what we did not like
                sock.send(outgoing.read())
            raise
        else:
            if outgoing.pending:
                await loop.sock_sendall(sock, outgoing.read())
            return tls


def shown(tls: ssl.SSLObject) -> list[bytes]:
    """The certificates that the peer sent, its own first, as DER (RFC 8446, 4.4.2)."""
    return _chain(tls, "get_unverified_chain")


def trusted(tls: ssl.SSLObject) -> list[bytes]:
    """The certificates from the peer's own to the authority that is trusted, as DER; empty where none was verified."""
    if tls.context.verify_mode == ssl.CERT_NONE:
        return []
    return _chain(tls, "get_verified_chain")


def _chain(tls: ssl.SSLObject, method: str) -> list[bytes]:
    public = getattr(tls, method, None)
    if public is not None:
        return list(public())
    # Public since Python 3.13, there since 3.10: the only other way to a chain is another binding of OpenSSL.
    inner: Any = tls._sslobj  # type: ignore[attr-defined]  # noqa: SLF001 - see above
    return [each.public_bytes(_DER) for each in getattr(inner, method)() or ()]


@lru_cache(maxsize=64)
def lenient(alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
    """A context that trusts anybody and speaks TLS 1.0 as well: for looking, nothing is ever sent over it."""
    return _context(ssl.TLSVersion.MINIMUM_SUPPORTED, ssl.TLSVersion.MAXIMUM_SUPPORTED, alpn)


@lru_cache(maxsize=8)
def only(version: ssl.TLSVersion) -> ssl.SSLContext:
    """A context that trusts anybody and speaks this version alone."""
    return _context(version, version, ())


def _context(oldest: ssl.TLSVersion, newest: ssl.TLSVersion, alpn: tuple[str, ...]) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers(_ANYTHING)  # TLS 1.0 and 1.1 sign with SHA-1, which OpenSSL 3 does at this level alone
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # old versions are what is looked for
        context.minimum_version, context.maximum_version = oldest, newest
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context
