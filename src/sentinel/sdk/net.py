"""Names, connections and TLS for protocols that speak over TCP: each step a stage of its own.

    reader, writer = await connect(run, target.address, 554, tls=options)
    try:
        ...
    finally:
        discard(writer)

Nothing here asks ``getaddrinfo`` in a thread: thirty black-holed lookups would fill the default executor and delay
every other check.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import ssl
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from typing import Final, TypeVar

import aiodns
from cryptography import x509
from pydantic import Field

from sentinel.domain.failure import Failure
from sentinel.sdk.protocol import Options, ProbeFailed, Run

P = TypeVar("P", bound=asyncio.Protocol)

LOOKUP_SECONDS: Final = 2.0
"""A lookup ends after this at the latest, whatever the probe's own deadline is."""

_NOT_FOUND = frozenset(
    {aiodns.error.ARES_ENOTFOUND, aiodns.error.ARES_ENODATA, aiodns.error.ARES_EBADNAME},
)
_DAY = 86_400.0
_NEVER = 5.0  # seconds past the deadline: asyncio's own limit on a handshake must not strike before it


class Tls(Options):
    """How the peer's certificate is checked; the options of a protocol that always or by its scheme speaks TLS."""

    tls_verify: bool = Field(
        default=True,
        description="Verify the certificate's time, name and signer. Without it the days left are still measured.",
    )
    tls_ca_file: str | None = Field(
        default=None,
        description="PEM file with the authorities to trust, in place of the system's.",
    )
    tls_server_name: str | None = Field(
        default=None,
        min_length=1,
        max_length=253,
        description="Name to ask for (SNI, RFC 6066) and to verify, where it is not the target's address.",
    )

    @property
    def wants_tls(self) -> bool:
        """Whether a connection made with these options speaks TLS."""
        return True


class TlsOptions(Tls):
    """Options of a protocol that speaks TLS where ``tls`` is switched on."""

    tls: bool = Field(default=False, description="Speak TLS from the first byte on.")

    @property
    def wants_tls(self) -> bool:
        """Whether ``tls`` is switched on."""
        return self.tls


async def resolve(run: Run, host: str) -> str:
    """An address of a name, IPv4 where it has one; an IP literal passes through without a stage.

    A name that is probed through a tunnel passes through as well: it is for the far side to resolve.

    A name with several addresses is always probed at the first, so that two runs measure the same thing.  Asks
    c-ares (``/etc/hosts``, then the name servers of ``resolv.conf``) in the stage ``resolve``.

    Raises:
        ProbeFailed: ``name_not_found``, ``resolver_failed``, or ``timed_out`` after ``LOOKUP_SECONDS``.
    """
    if run.tunnel is not None or is_literal(host):
        return host
    with run.stage("resolve"):
        try:
            async with asyncio.timeout(LOOKUP_SECONDS):
                found = await _resolver().getaddrinfo(host, type=socket.SOCK_STREAM)
        except aiodns.error.DNSError as error:
            number = error.args[0] if error.args else None
            if number == aiodns.error.ARES_ETIMEOUT:
                run.fail("timed_out", str(error.args[-1]))
            run.fail("name_not_found" if number in _NOT_FOUND else "resolver_failed", str(error.args[-1]))
        nodes = sorted(found.nodes, key=lambda node: node.family != socket.AF_INET)
        if not nodes:
            run.fail("name_not_found", "the answer holds no address")
        return str(nodes[0].addr[0], "ascii")


async def connect(
    run: Run,
    host: str,
    port: int,
    *,
    tls: Tls | None = None,
    limit: int = 65_536,
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Open a connection in the stages ``resolve`` (names only), ``connect`` and ``tls`` (where ``tls`` wants it).

    ``limit`` is the reader's buffer in bytes: twice as much is held at most, and a longer line is refused.
    The caller ends the connection with ``discard``.

    Raises:
        ProbeFailed: of the stage that failed; nothing is left open then, nor after a cancellation.
    """
    context = ssl_context(tls) if tls is not None and tls.wants_tls else None  # a bad option is told before all else
    address = await resolve(run, host)
    if tls is None or context is None:
        reader = asyncio.StreamReader(limit)
        transport, protocol = await open_transport(run, address, port, lambda: asyncio.StreamReaderProtocol(reader))
        return reader, asyncio.StreamWriter(transport, protocol, reader, asyncio.get_running_loop())
    sock = await dial(run, address, port)
    try:
        with run.stage("tls"):
            return await asyncio.open_connection(
                sock=sock,
                limit=limit,
                ssl=context,
                server_hostname=server_name(tls, host),
                ssl_handshake_timeout=run.left + _NEVER,
            )
    except BaseException:
        sock.close()  # the transport has closed it already where there was one; twice does no harm
        raise


async def open_transport(run: Run, address: str, port: int, factory: Callable[[], P]) -> tuple[asyncio.Transport, P]:
    """A TCP connection to an IP literal in the stage ``connect``, with the protocol that ``factory`` makes.

    The loop's own connecting costs less than half of what a socket that is connected first and handed over does.

    Raises:
        ProbeFailed: of the stage ``connect``; nothing is left open then, nor after a cancellation.
    """
    loop = asyncio.get_running_loop()
    if run.tunnel is None and "%" not in address:
        with run.stage("connect"):
            return await loop.create_connection(factory, address, port)
    sock = await dial(run, address, port)
    try:
        return await loop.create_connection(factory, sock=sock)
    except BaseException:
        sock.close()
        raise


async def dial(run: Run, address: str, port: int) -> socket.socket:
    """A connected, non-blocking TCP socket to an IP literal, in the stage ``connect``.

    Where the run goes through a bastion it is the end of a pair of sockets, after the stage ``tunnel``.

    Raises:
        ProbeFailed: of the stage ``connect``; the socket is closed then, and after a cancellation.
    """
    if run.tunnel is not None:
        return await run.tunnel.dial(run, address, port)
    with run.stage("connect"):
        if "%" in address:  # a link-local address with its interface: only the system knows its number
            family, *_, peer = socket.getaddrinfo(address, port, flags=socket.AI_NUMERICHOST)[0]
        else:
            family, peer = (socket.AF_INET6 if ":" in address else socket.AF_INET), (address, port)
        sock = socket.socket(family, socket.SOCK_STREAM)
        try:
            sock.setblocking(False)
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            await asyncio.get_running_loop().sock_connect(sock, peer)
        except BaseException:
            sock.close()
            raise
        return sock


def discard(writer: asyncio.StreamWriter) -> None:
    """End a connection at once.

    A TLS peer that hangs would hold an orderly close for 30 s, and its descriptor with it; what was to be measured
    has been measured.
    """
    writer.transport.abort()


@lru_cache(maxsize=65_536)
def is_literal(host: str) -> bool:
    """Whether ``host`` is an IPv4 or IPv6 address and no name."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def server_name(tls: Tls, host: str) -> str:
    """The name to ask for and to verify: the option's, else the host itself (an address is verified as an address)."""
    return (tls.tls_server_name or host).partition("%")[0]


def ssl_context(tls: Tls, *, alpn: tuple[str, ...] = ()) -> ssl.SSLContext:
    """The context for these options, made once: to make one costs 24 ms, mostly the system's authorities.

    A changed ``tls_ca_file`` is read anew.

    Raises:
        ProbeFailed: ``bad_option`` at ``prepare`` where ``tls_ca_file`` cannot be read or holds no certificate.
    """
    ca_file, changed = tls.tls_ca_file, 0
    try:
        if ca_file is not None:
            changed = Path(ca_file).stat().st_mtime_ns
        return _context(tls.tls_verify, ca_file, changed, alpn)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError
        detail = f"tls_ca_file: {getattr(error, 'strerror', None) or type(error).__name__}"
        raise ProbeFailed(Failure("prepare", "bad_option", detail)) from error


@lru_cache(maxsize=256)
def _context(verify: bool, ca_file: str | None, _changed: int, alpn: tuple[str, ...]) -> ssl.SSLContext:  # noqa: FBT001 - a key of the cache
    if verify:
        context = ssl.create_default_context(cafile=ca_file)
    else:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    if alpn:
        context.set_alpn_protocols(list(alpn))
    return context


def certificate_days_left(ssl_object: ssl.SSLObject | ssl.SSLSocket) -> float:
    """Days until the peer's certificate ends (RFC 5280, 4.1.2.5), negative where it has; verified or not.

    Raises:
        ValueError: the peer showed no certificate, or one that cannot be read.
    """
    certificate = ssl_object.getpeercert(binary_form=True)
    if not certificate:
        msg = "the peer showed no certificate"
        raise ValueError(msg)
    return (_not_after(certificate) - time.time()) / _DAY  # noqa: TID251 - OpenSSL judges by the same wall time


def record_certificate(run: Run, ssl_object: ssl.SSLObject | ssl.SSLSocket) -> None:
    """Put down what TLS showed: the value ``certificate_days_left`` and the fact ``tls`` (its version)."""
    run.facts["tls"] = ssl_object.version() or ""
    try:
        run.values["certificate_days_left"] = certificate_days_left(ssl_object)
    except ValueError as error:  # met where verification is off only: OpenSSL reads what this cannot
        run.facts["certificate"] = f"unreadable: {error}"[:200]


@lru_cache(maxsize=1024)
def _not_after(certificate: bytes) -> float:
    return x509.load_der_x509_certificate(certificate).not_valid_after_utc.timestamp()


# One resolver for the loop that runs: a channel of c-ares has a thread and descriptors of its own.
_channel: tuple[asyncio.AbstractEventLoop, aiodns.DNSResolver] | None = None


def _resolver() -> aiodns.DNSResolver:
    global _channel  # noqa: PLW0603 - the daemon has one loop; only tests have another after it
    loop = asyncio.get_running_loop()
    if _channel is None or _channel[0] is not loop:
        _channel = (loop, aiodns.DNSResolver(loop=loop, timeout=LOOKUP_SECONDS / 2, tries=2))
    return _channel[1]


async def close_resolver() -> None:
    """End the running loop's resolver, if it has one; the next lookup makes another."""
    global _channel  # noqa: PLW0603 - see _resolver
    if _channel is not None and _channel[0] is asyncio.get_running_loop():
        _, resolver = _channel
        _channel = None
        await resolver.close()
