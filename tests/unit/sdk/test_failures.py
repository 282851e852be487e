"""From exceptions of the network to codes."""

import asyncio
import errno
import os
import socket
import ssl

import pytest

from sentinel.domain.failure import LOCAL_CODES
from sentinel.sdk.failures import code_of, failure_of


def verification(code: int) -> ssl.SSLCertVerificationError:
    error = ssl.SSLCertVerificationError(1, "certificate verify failed")
    error.verify_code, error.verify_message = code, "why"
    return error


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (TimeoutError(), "timed_out"),
        (OSError(errno.ECONNREFUSED, "x"), "refused"),
        (ConnectionRefusedError(), "refused"),
        (OSError(errno.ECONNRESET, "x"), "reset"),
        (OSError(errno.EPIPE, "x"), "reset"),
        (ConnectionResetError(), "reset"),
        (OSError(errno.EHOSTUNREACH, "x"), "unreachable"),
        (OSError(errno.ENETUNREACH, "x"), "no_route"),
        (OSError(errno.EMFILE, "x"), "no_resource"),
        (OSError(errno.EADDRNOTAVAIL, "x"), "no_resource"),
        (PermissionError(errno.EPERM, "x"), "no_privilege"),
        (OSError(errno.ENOSPC, "x"), "internal_error"),
        (socket.gaierror(socket.EAI_NONAME, "x"), "name_not_found"),
        (socket.gaierror(socket.EAI_AGAIN, "x"), "resolver_failed"),
        (asyncio.IncompleteReadError(b"", 4), "closed"),
        (EOFError(), "closed"),
        (verification(10), "tls_expired"),
        (verification(9), "tls_not_yet_valid"),
        (verification(62), "tls_wrong_name"),
        (verification(64), "tls_wrong_name"),
        (verification(20), "tls_untrusted"),
        (ssl.SSLEOFError(8, "x"), "closed"),
        (ssl.SSLError(1, "x"), "tls_failed"),
        (ValueError("x"), "internal_error"),
    ],
    ids=repr,
)
def test_each_error_has_its_code(error: BaseException, code: str) -> None:
    assert code_of(error) == code


def test_what_is_ours_is_never_held_against_the_target() -> None:
    assert failure_of("connect", OSError(errno.ENETUNREACH, "x")).code in LOCAL_CODES
    assert failure_of("connect", OSError(errno.EHOSTUNREACH, "x")).code not in LOCAL_CODES


def test_the_detail_is_for_people_and_bounded() -> None:
    assert (
        failure_of("connect", OSError(errno.ECONNREFUSED, os.strerror(errno.ECONNREFUSED))).detail
        == "Connection refused"
    )
    assert failure_of("tls", verification(10)).detail == "why"
    assert len(failure_of("connect", OSError("x" * 10_000)).detail) == 500
