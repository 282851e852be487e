"""TLS: is the certificate in order, how long does it and its chain last, and what does the peer agree to?"""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Final, NoReturn

from sentinel.domain.target import Target
from sentinel.protocols.tls.certificates import record
from sentinel.protocols.tls.handshake import lenient, only, shake, shown, trusted
from sentinel.protocols.tls.options import TlsCheckOptions
from sentinel.protocols.tls.starttls import agree
from sentinel.sdk.net import dial, resolve, server_name, ssl_context
from sentinel.sdk.protocol import ProbeFailed, Protocol, Run, Value

_VERSIONS: Final = {"TLSv1": 1.0, "TLSv1.1": 1.1, "TLSv1.2": 1.2, "TLSv1.3": 1.3}
_LEGACY: Final = (ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1)
_LEGACY_SECONDS: Final = 3.0  # for each attempt: some peers do not answer what they do not like
_MARGIN: Final = 0.1  # seconds before the deadline at which looking ends: what is known is told then
_UNKNOWN_ALPN: Final = "no application protocol"  # the alert (RFC 7301, 3.2), for which Python has no name


async def probe(target: Target, options: TlsCheckOptions, run: Run) -> None:
    """Shake hands and judge as every other protocol does; where that fails, look without judging, then tell.

    So a certificate that has ended is measured as well, and a handshake that is in order costs one connection.
    """
    strict = ssl_context(options, alpn=options.alpn) if options.tls_verify else lenient(options.alpn)
    address = await resolve(run, target.address)
    name = server_name(options, target.address)
    try:
        async with _shaken(address, name, options, strict, run) as tls:
            _record(tls, run)
    except ProbeFailed as failed:
        if failed.failure.stage == "tls" and failed.failure.code not in {"timed_out", "refused"}:
            await _look(address, name, options, run)
            _explain(failed, options, run)
        raise
    if options.probe_legacy:
        await _try_legacy(address, name, options, run)
    with run.stage("expect"):
        if run.values.get("tls_version", 0.0) < float(options.min_version):
            _too_old(options, run)
        if options.alpn and "alpn" not in run.facts:
            run.fail("unsupported", f"the peer takes none of {', '.join(options.alpn)} (ALPN)")


@asynccontextmanager
async def _shaken(
    address: str, name: str, options: TlsCheckOptions, context: ssl.SSLContext, run: Run
) -> AsyncIterator[ssl.SSLObject]:
    """A connection on which TLS has been agreed upon; stages ``connect``, those of STARTTLS, and ``tls``."""
    sock = await dial(run, address, options.port)
    try:
        if options.starttls is not None:
            await agree(sock, options.starttls, run)
        with run.stage("tls"):
            tls = await shake(sock, context, name)
        yield tls
    finally:
        sock.close()


def _record(tls: ssl.SSLObject, run: Run) -> None:
    version, cipher, alpn = tls.version() or "", tls.cipher(), tls.selected_alpn_protocol()
    run.facts["tls"] = version
    if version in _VERSIONS:
        run.values["tls_version"] = _VERSIONS[version]
    if cipher is not None:
        run.facts["cipher"] = cipher[0]
    if alpn:
        run.facts["alpn"] = alpn
    record(shown(tls), trusted(tls), run)


async def _look(address: str, name: str, options: TlsCheckOptions, run: Run) -> None:
    """Measure what the peer shows to whoever trusts anybody; whatever goes wrong is not what is told."""
    inner = Run(run.deadline, values=run.values, facts=run.facts, tunnel=run.tunnel)  # times are the first one's
    try:
        async with asyncio.timeout(max(0.0, run.left - _MARGIN)):
            async with _shaken(address, name, options, lenient(), inner) as tls:
                _record(tls, run)
            if options.probe_legacy:
                await _try_legacy(address, name, options, inner)
    except (ProbeFailed, TimeoutError):
        return


def _explain(failed: ProbeFailed, options: TlsCheckOptions, run: Run) -> None:
    """Where the failure has a better name, now that somebody has looked: say that one."""
    cause = failed.__cause__
    if failed.failure.code != "tls_failed" or not isinstance(cause, ssl.SSLError):
        return
    if _UNKNOWN_ALPN in str(cause):
        run.fail("unsupported", f"the peer takes none of {', '.join(options.alpn)} (ALPN)", stage="expect")
    if run.values.get("tls_version", 9.0) < float(options.min_version):
        _too_old(options, run)


def _too_old(options: TlsCheckOptions, run: Run) -> NoReturn:
    run.fail("unsupported", f"{run.facts.get('tls')} at best, TLS {options.min_version} is wanted", stage="expect")


async def _try_legacy(address: str, name: str, options: TlsCheckOptions, run: Run) -> None:
    """Which old versions the peer accepts; where one attempt has no answer in time, nothing is measured."""
    accepted = []
    for version in _LEGACY:
        inner = Run(run.deadline, tunnel=run.tunnel)
        try:
            async with asyncio.timeout(min(_LEGACY_SECONDS, max(0.0, run.left - _MARGIN) / 2)):
                async with _shaken(address, name, options, only(version), inner) as tls:
                    accepted.append(tls.version() or "")
        except ProbeFailed as failed:
            if failed.failure.stage != "tls":  # refused for another reason than its version
                return
        except TimeoutError:
            return
    run.values["legacy_versions"] = float(len(accepted))
    if accepted:
        run.facts["legacy"] = ", ".join(accepted)


PROTOCOL = Protocol(
    "tls",
    TlsCheckOptions,
    probe,
    values=(
        Value("certificate_days_left", "d", "Days until the peer's certificate ends; negative where it has."),
        Value(
            "chain_days_left",
            "d",
            "Days until the first certificate of the chain ends: of the path to the trusted authority where there is "
            "one, else of what the peer sent.",
        ),
        Value("chain_certificates", "", "Certificates that the peer sent."),
        Value("key_bits", "", "Size of the key in the peer's certificate; of another kind of key it means another."),
        Value(
            "security_bits",
            "",
            "Strength of the weakest key of the chain, whatever its kind (NIST SP 800-57): RSA 2048 has 112.",
        ),
        Value("weak_signatures", "", "Certificates of the chain that are signed with MD5 or SHA-1."),
        Value("tls_version", "", "Version that was agreed upon: 1.0, 1.1, 1.2 or 1.3."),
        Value("legacy_versions", "", "How many of TLS 1.0 and 1.1 the peer still accepts, where that was tried."),
    ),
)
