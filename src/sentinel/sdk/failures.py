"""From the exceptions of the network to a failure: the one place that knows them."""

from __future__ import annotations

import asyncio
import errno
import socket
import ssl

from sentinel.domain.failure import Failure

_ERRNO = {
    errno.ECONNREFUSED: "refused",
    errno.ECONNRESET: "reset",
    errno.EPIPE: "reset",
    errno.ECONNABORTED: "reset",
    errno.EHOSTUNREACH: "unreachable",
    errno.EHOSTDOWN: "unreachable",
    errno.ETIMEDOUT: "timed_out",
    errno.ENETUNREACH: "no_route",
    errno.ENETDOWN: "no_route",
    errno.EADDRNOTAVAIL: "no_resource",
    errno.EMFILE: "no_resource",
    errno.ENFILE: "no_resource",
    errno.ENOMEM: "no_resource",
    errno.ENOBUFS: "no_resource",
    errno.EPERM: "no_privilege",
    errno.EACCES: "no_privilege",
}

# OpenSSL's X509_V_ERR_*: verify_code of ssl.SSLCertVerificationError.
_X509 = {9: "tls_not_yet_valid", 10: "tls_expired", 62: "tls_wrong_name", 64: "tls_wrong_name"}


def failure_of(stage: str, error: BaseException) -> Failure:
    """The failure that an exception of the network means at this stage.

    ``ENETUNREACH`` is ours (this host has no route), ``EHOSTUNREACH`` is the network's answer about the target.
    An exception that is not of the network is ``internal_error``.
    """
    return Failure(stage, code_of(error), _detail(error))


def code_of(error: BaseException) -> str:
    """The code alone; see ``failure_of``."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return _X509.get(error.verify_code, "tls_untrusted")
    if isinstance(error, TimeoutError):
        return "timed_out"
    if isinstance(error, ssl.SSLError):
        return "closed" if isinstance(error, ssl.SSLEOFError) else "tls_failed"
    if isinstance(error, socket.gaierror):
        return "name_not_found" if error.errno in (socket.EAI_NONAME, socket.EAI_NODATA) else "resolver_failed"
    if isinstance(error, asyncio.IncompleteReadError | EOFError):
        return "closed"
    if isinstance(error, ConnectionRefusedError):
        return "refused"
    if isinstance(error, ConnectionError) and error.errno is None:
        return "reset"
    if isinstance(error, OSError) and error.errno in _ERRNO:
        return _ERRNO[error.errno]
    return "internal_error"


def _detail(error: BaseException) -> str:
    if isinstance(error, ssl.SSLCertVerificationError):
        return error.verify_message[:500]
    if isinstance(error, OSError) and error.strerror:
        return error.strerror[:500]
    return str(error)[:500]
