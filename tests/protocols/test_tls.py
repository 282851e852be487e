"""tls against nginx, OpenSSL's own server and stunnel, with certificates and chains in every state."""

import asyncio
import contextlib
import datetime as dt
import ipaddress
import itertools
import os
import ssl
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa
from cryptography.x509.oid import NameOID
from pydantic import ValidationError

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.domain.target import Check
from sentinel.lab.authority import Authority as LabAuthority
from sentinel.lab.faults import CERT_EXPIRED
from sentinel.lab.servers.tls import SIMULATION, TlsService
from sentinel.lab.serving import OverTcp
from sentinel.lab.simulation import Service
from sentinel.protocols.tls import PROTOCOL, TlsCheckOptions
from tests.support.authority import Authority, Certificate
from tests.support.fixtures import NewFolder, StartHostile, StartNginx
from tests.support.hostile import Manner
from tests.support.peers import require
from tests.support.ports import free_port
from tests.support.probing import measure, target
from tests.support.process import accepts, running

HOST = "127.0.0.1"
NOW = dt.datetime.now(dt.UTC).replace(microsecond=0)  # noqa: TID251  # certificates are judged by the real clock
DAY = dt.timedelta(days=1)

Key = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey | ed25519.Ed25519PrivateKey


class Chains:
    """Certificates that sign each other; each is written as a file with the chain that the server sends."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._numbers = itertools.count(1)

    def certificate(
        self,
        name: str,
        key: Key,
        issuer: tuple[x509.Certificate, Key] | None = None,
        *,
        days: tuple[int, int] = (-10, 100),
        authority: bool = False,
    ) -> x509.Certificate:
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        signer: Any = issuer[1] if issuer else key
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer[0].subject if issuer else subject)
            .public_key(key.public_key())
            .serial_number(next(self._numbers))
            .not_valid_before(NOW + days[0] * DAY)
            .not_valid_after(NOW + days[1] * DAY)
            .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
        )
        if not authority:
            names = [x509.IPAddress(ipaddress.ip_address(HOST)), x509.DNSName("localhost")]
            builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
        algorithm = None if isinstance(signer, ed25519.Ed25519PrivateKey) else hashes.SHA256()
        return builder.sign(signer, algorithm)

    def write(self, key: Key, *chain: x509.Certificate) -> Certificate:
        number = next(self._numbers)
        issued = Certificate(self.folder / f"{number}.pem", self.folder / f"{number}.key", chain[0].not_valid_after_utc)
        pem = serialization.Encoding.PEM
        issued.certificate.write_bytes(b"".join(each.public_bytes(pem) for each in chain))
        issued.key.write_bytes(key.private_bytes(pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()))
        return issued


@pytest.fixture(scope="module")
def chains(new_folder: NewFolder) -> Chains:
    return Chains(new_folder("chains"))


def curve() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def trust(*authorities: x509.Certificate, folder: Path) -> str:
    file = folder / f"{os.urandom(8).hex()}.pem"
    file.write_bytes(b"".join(each.public_bytes(serialization.Encoding.PEM) for each in authorities))
    return str(file)


async def look(port: int, seconds: float = 5.0, **options: Any) -> Measurement:
    return await measure(PROTOCOL, target(HOST), {"port": port, **options}, seconds)


def cause(failure: Failure | None) -> tuple[str, str] | None:
    return None if failure is None else (failure.stage, failure.code)


@contextlib.contextmanager
def s_server(folder: Path, certificate: Certificate, *arguments: str) -> Iterator[int]:
    """OpenSSL's server, which speaks what is long forbidden when it is told to."""
    port = free_port(HOST)
    files: list[str | Path] = ["-cert", certificate.certificate, "-key", certificate.key]
    command: list[str | Path] = [require("openssl"), "s_server", "-accept", f"{HOST}:{port}", "-quiet", *files]
    with running([*command, *arguments], ready=lambda: accepts(HOST, port), log=folder / "s_server.log"):
        yield port


async def test_nginx_is_measured(nginx: StartNginx, authority: Authority) -> None:
    server = nginx(tls="valid")
    measured = await look(server.port, tls_ca_file=str(authority.ca_file), probe_legacy=True)
    assert measured.failure is None, measured.failure
    assert measured.values == {
        "certificate_days_left": pytest.approx(90, abs=1),
        "chain_days_left": pytest.approx(90, abs=1),
        "chain_certificates": 1,
        "key_bits": 256,
        "security_bits": 128,
        "weak_signatures": 0,
        "tls_version": 1.3,
        "legacy_versions": 0,
    }
    facts = dict(measured.facts)
    assert len(facts.pop("fingerprint")) == 64
    assert {"not_before", "not_after", "serial", "cipher"} < set(facts)
    assert facts["not_after"] == authority.valid.not_after.strftime("%Y-%m-%dT%H:%M:%SZ")
    assert (facts["subject"], facts["issuer"]) == (HOST, "Test authority")
    assert facts["names"] == f"{HOST}, localhost"
    assert (facts["key"], facts["signature"], facts["tls"]) == ("EC secp256r1", "ecdsa-with-SHA256", "TLSv1.3")
    assert set(measured.stages) == {"connect", "tls", "expect"}


@pytest.mark.parametrize(
    ("days", "code"), [((-10, -2), "tls_expired"), ((5, 90), "tls_not_yet_valid")], ids=["ended", "not begun"]
)
async def test_one_whose_time_is_not_now_is_measured_and_told(
    nginx: StartNginx, chains: Chains, days: tuple[int, int], code: str
) -> None:
    root_key, key = curve(), curve()
    root = chains.certificate("root", root_key, days=(-30, 300), authority=True)
    leaf = chains.certificate("leaf", key, (root, root_key), days=days)
    server = nginx(tls=chains.write(key, leaf))
    measured = await look(server.port, tls_ca_file=trust(root, folder=chains.folder))
    assert cause(measured.failure) == ("tls", code)
    assert measured.values["certificate_days_left"] == pytest.approx(days[1], abs=0.1)
    assert measured.facts["issuer"] == "root"
    assert measured.facts["chain"] == "leaf"


async def test_names_and_authorities_that_are_wrong(nginx: StartNginx, authority: Authority) -> None:
    ours = str(authority.ca_file)
    wrong = await look(nginx(tls="wrong_name").port, tls_ca_file=ours)
    assert cause(wrong.failure) == ("tls", "tls_wrong_name")
    assert wrong.facts["names"] == "elsewhere.example"
    server = nginx(tls="valid")
    untrusted = await look(server.port)
    assert cause(untrusted.failure) == ("tls", "tls_untrusted")
    assert untrusted.values["certificate_days_left"] == pytest.approx(90, abs=1)
    assert untrusted.values["chain_certificates"] == 1
    assert (await look(server.port, tls_verify=False)).failure is None
    named = await look(server.port, tls_ca_file=ours, tls_server_name="localhost")
    assert named.failure is None, named.failure
    missing = await look(server.port, tls_ca_file="/nowhere.pem")
    assert cause(missing.failure) == ("prepare", "bad_option")


async def test_a_self_signed_one_is_untrusted_unless_it_is_the_authority(nginx: StartNginx, chains: Chains) -> None:
    key = curve()
    own = chains.certificate("itself", key)
    server = nginx(tls=chains.write(key, own))
    assert cause((await look(server.port)).failure) == ("tls", "tls_untrusted")
    assert (await look(server.port, tls_ca_file=trust(own, folder=chains.folder))).failure is None


async def test_a_chain_is_measured_to_its_authority(nginx: StartNginx, chains: Chains) -> None:
    root_key, middle_key = rsa.generate_private_key(65537, 2048), curve()
    root = chains.certificate("root", root_key, days=(-30, 20), authority=True)
    middle = chains.certificate("middle", middle_key, (root, root_key), days=(-20, 50), authority=True)
    key = rsa.generate_private_key(65537, 3072)
    leaf = chains.certificate("leaf", key, (middle, middle_key), days=(-5, 80))
    whole = nginx(tls=chains.write(key, leaf, middle))
    ours = trust(root, folder=chains.folder)
    measured = await look(whole.port, tls_ca_file=ours)
    assert measured.failure is None, measured.failure
    assert measured.values["certificate_days_left"] == pytest.approx(80, abs=0.1)
    assert measured.values["chain_days_left"] == pytest.approx(20, abs=0.1)  # the authority that we trust ends first
    assert measured.values["chain_certificates"] == 2
    assert (measured.values["key_bits"], measured.values["security_bits"]) == (3072, 112)
    assert measured.facts["chain"] == "leaf < middle"
    unverified = await look(whole.port, tls_verify=False)
    assert unverified.values["chain_days_left"] == pytest.approx(50, abs=0.1)  # of what was sent
    broken = nginx(tls=chains.write(key, leaf))
    incomplete = await look(broken.port, tls_ca_file=ours)
    assert cause(incomplete.failure) == ("tls", "tls_untrusted")
    assert incomplete.values["chain_certificates"] == 1


async def test_weak_keys_and_signatures(new_folder: NewFolder) -> None:
    folder = new_folder("weak")

    def openssl(*arguments: str) -> None:
        subprocess.run([require("openssl"), *arguments], check=True, capture_output=True, timeout=10, cwd=folder)

    subject = ("-nodes", "-sha1", "-subj")
    openssl("req", "-x509", "-newkey", "rsa:2048", *subject, "/CN=root", "-keyout", "root.key", "-out", "root.pem")
    openssl("req", "-newkey", "rsa:1024", *subject, "/CN=leaf", "-keyout", "leaf.key", "-out", "leaf.csr")
    signed = ("-CA", "root.pem", "-CAkey", "root.key", "-CAcreateserial", "-days", "50", "-out", "leaf.pem")
    openssl("x509", "-req", "-sha1", "-in", "leaf.csr", *signed)
    weak = Certificate(folder / "leaf.pem", folder / "leaf.key", NOW)
    with s_server(folder, weak, "-cipher", "ALL:@SECLEVEL=0", "-cert_chain", str(folder / "root.pem")) as port:
        measured = await look(port, tls_ca_file=str(folder / "root.pem"))
    assert cause(measured.failure) == ("tls", "tls_untrusted")
    assert (measured.values["key_bits"], measured.values["security_bits"]) == (1024, 80)
    assert measured.values["weak_signatures"] == 1  # what the authority says of itself means nothing
    assert measured.facts["signature"] == "sha1WithRSAEncryption"
    assert measured.facts["chain"] == "leaf < root"


async def test_other_keys(chains: Chains, new_folder: NewFolder) -> None:
    key = ed25519.Ed25519PrivateKey.generate()
    own = chains.certificate("edwards", key)
    with s_server(new_folder("edwards"), chains.write(key, own)) as port:
        measured = await look(port, tls_ca_file=trust(own, folder=chains.folder))
    assert measured.failure is None, measured.failure
    assert (measured.facts["key"], measured.values["security_bits"]) == ("Ed25519", 128)


@pytest.mark.parametrize(
    ("arguments", "version", "legacy"),
    [
        (("-tls1",), 1.0, 1),
        (("-tls1_1",), 1.1, 1),
        (("-min_protocol", "TLSv1", "-no_tls1_3"), 1.2, 2),
        (("-min_protocol", "TLSv1.1"), 1.3, 1),
        (("-min_protocol", "TLSv1"), 1.3, 2),
    ],
)
async def test_old_versions(
    authority: Authority, new_folder: NewFolder, arguments: tuple[str, ...], version: float, legacy: int
) -> None:
    ours = str(authority.ca_file)
    with s_server(new_folder("old"), authority.valid, "-cipher", "ALL:@SECLEVEL=0", *arguments) as port:
        measured = await look(port, tls_ca_file=ours, probe_legacy=True)
        lax = await look(port, tls_verify=False, min_version="1.0")
        strict = await look(port, tls_ca_file=ours, min_version="1.3")
    assert (measured.values["tls_version"], measured.values["legacy_versions"]) == (version, legacy)
    assert len(measured.facts["legacy"].split(", ")) == legacy
    assert cause(measured.failure) == (("expect", "unsupported") if version < 1.2 else None)
    assert lax.failure is None
    assert cause(strict.failure) == (("expect", "unsupported") if version < 1.3 else None)
    assert strict.values["certificate_days_left"] == pytest.approx(90, abs=1)


async def test_protocols_inside(nginx: StartNginx, authority: Authority, new_folder: NewFolder) -> None:
    ours = str(authority.ca_file)
    server = nginx(tls="valid")
    taken = await look(server.port, tls_ca_file=ours, alpn=["http/1.1"])
    assert taken.failure is None, taken.failure
    assert taken.facts["alpn"] == "http/1.1"
    refused = await look(server.port, tls_ca_file=ours, alpn=["nonsense"])
    assert cause(refused.failure) == ("expect", "unsupported"), refused.failure
    assert refused.values["certificate_days_left"] == pytest.approx(90, abs=1)
    with s_server(new_folder("alpn"), authority.valid) as port:
        ignored = await look(port, tls_ca_file=ours, alpn=["h2"])
    assert cause(ignored.failure) == ("expect", "unsupported")


# -- STARTTLS ---------------------------------------------------------------------------------------------------

STUNNEL = """
foreground = yes
pid =
syslog = no
[{protocol}]
accept = {host}:{port}
connect = {host}:{behind}
protocol = {protocol}
cert = {certificate}
key = {key}
"""
GREETINGS = {"smtp": b"220 mail.example ESMTP\r\n", "imap": b"* OK ready\r\n", "pop3": b"+OK ready\r\n"}


@asynccontextmanager
async def saying(*words: bytes, end: bool = False) -> AsyncIterator[int]:
    """A server that says the first at once, then one for each thing it hears; its port."""
    tasks: set[asyncio.Task[Any]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        tasks.add(task)
        with contextlib.suppress(OSError, asyncio.CancelledError):
            for number, each in enumerate(words):
                if number and not await reader.read(1000):
                    break
                writer.write(each)
                await writer.drain()
            if not end:
                while await reader.read(1000):
                    pass
        writer.transport.abort()
        await asyncio.sleep(0)

    server = await asyncio.start_server(serve, HOST, 0)
    try:
        yield server.sockets[0].getsockname()[1]
    finally:
        server.close()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest.mark.parametrize("protocol", ["smtp", "imap", "pop3"])
async def test_starttls_through_stunnel(protocol: str, authority: Authority, new_folder: NewFolder) -> None:
    folder, port = new_folder("stunnel"), free_port(HOST)
    ours: dict[str, Any] = {"starttls": protocol, "tls_ca_file": str(authority.ca_file)}
    async with saying(GREETINGS[protocol], b"250-mail.example\r\n250 OK\r\n") as behind:
        (folder / "stunnel.conf").write_text(
            STUNNEL.format(
                host=HOST,
                port=port,
                behind=behind,
                protocol=protocol,
                certificate=authority.expired.certificate,
                key=authority.expired.key,
            ),
            "utf-8",
        )
        command: list[str | Path] = [require("stunnel"), folder / "stunnel.conf"]
        with running(command, ready=lambda: accepts(HOST, port), log=folder / "stunnel.log"):
            expired = await look(port, **ours)
            measured = await look(port, starttls=protocol, tls_verify=False)
    assert measured.failure is None, measured.failure
    assert set(measured.stages) == {"connect", "banner", "exchange", "tls", "expect"}
    assert cause(expired.failure) == ("tls", "tls_expired")
    assert expired.values["certificate_days_left"] == pytest.approx(-2, abs=0.1)


@pytest.mark.parametrize("protocol", ["smtp", "imap", "pop3"])
async def test_the_lab_begins_tls_where_it_is_asked_to(protocol: str, tmp_path: Path) -> None:
    authority = LabAuthority(tmp_path)
    options = TlsCheckOptions(port=free_port(HOST), starttls=protocol, tls_ca_file=str(authority.file))  # type: ignore[arg-type]  # one of them
    check = Check("peer.tls", "tls", target(HOST), "tls", "tls", options, 60.0, 5.0, "centre")
    service = Service(SIMULATION, "tcp", HOST, options.port, (check,))
    server = OverTcp(service, TlsService(service, authority), authority)
    await server.open()
    try:
        good = await measure(PROTOCOL, target(HOST), options)
        await server.show(frozenset({CERT_EXPIRED}))
        expired = await measure(PROTOCOL, target(HOST), options)
    finally:
        await server.close()
        await asyncio.sleep(0.05)
    assert good.failure is None, good.failure
    assert cause(expired.failure) == ("tls", "tls_expired")


@pytest.mark.parametrize(
    ("protocol", "words", "expected"),
    [
        ("smtp", [b"554 go away\r\n"], ("banner", "bad_status")),
        ("smtp", [b"hello\r\n"], ("banner", "protocol_error")),
        ("smtp", [GREETINGS["smtp"], b"250-mail\r\n250 SIZE\r\n"], ("exchange", "unsupported")),
        ("smtp", [GREETINGS["smtp"], b"250 STARTTLS\r\n", b"454 not now\r\n"], ("exchange", "unsupported")),
        ("smtp", [GREETINGS["smtp"], b"250 STARTTLS\r\n", b"220 go\r\n250 more\r\n"], ("exchange", "protocol_error")),
        ("smtp", [b"220-" + b"x" * 9000], ("banner", "too_large")),
        ("smtp", [b"220-a\r\n" * 2000], ("banner", "too_large")),
        ("imap", [b"* BYE\r\n"], ("banner", "bad_status")),
        ("imap", [GREETINGS["imap"], b"a1 BAD no\r\n"], ("exchange", "unsupported")),
        ("imap", [GREETINGS["imap"], b"* OK\r\nwhat\r\n"], ("exchange", "protocol_error")),
        ("pop3", [b"-ERR busy\r\n"], ("banner", "bad_status")),
        ("pop3", [GREETINGS["pop3"], b"-ERR no\r\n"], ("exchange", "unsupported")),
    ],
)
async def test_services_that_do_not_begin(protocol: str, words: list[bytes], expected: tuple[str, str]) -> None:
    async with saying(*words) as port:
        measured = await look(port, starttls=protocol)
    assert cause(measured.failure) == expected


async def test_a_service_that_hangs_up_before_tls() -> None:
    async with saying(GREETINGS["smtp"], end=True) as port:
        measured = await look(port, starttls="smtp")
    assert measured.failure is not None
    assert measured.failure.stage == "exchange"
    assert measured.failure.code in {"closed", "reset"}


# -- peers that are none ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("manner", "codes"),
    [
        ("hang", {"timed_out"}),
        ("garbage", {"tls_failed"}),
        ("drip", {"timed_out"}),
        ("endless", {"tls_failed"}),
        ("huge", {"timed_out"}),
        ("reset", {"reset"}),
        ("close", {"closed"}),
    ],
)
async def test_a_hostile_peer_has_its_code(hostile: StartHostile, manner: Manner, codes: set[str]) -> None:
    text = b"\x16\x03\x03\x40\x00" + b"\x02\xff\xff\xff" if manner in {"drip", "huge"} else b""
    peer = await hostile(manner, text=text * (100 if manner == "drip" else 1))
    measured = await look(peer.port, seconds=0.6)
    assert measured.failure is not None
    assert (measured.failure.stage, measured.failure.code in codes) == ("tls", True), measured.failure
    assert measured.took < 1.5
    async with asyncio.timeout(2):
        await peer.all_closed()


async def test_nobody_listens(hostile: StartHostile) -> None:
    peer = await hostile("refuse")
    assert cause((await look(peer.port)).failure) == ("connect", "refused")


@pytest.mark.parametrize(("count", "code"), [(60, "tls_untrusted"), (600, "tls_failed")])
async def test_a_giant_chain_is_not_taken_in(nginx: StartNginx, chains: Chains, count: int, code: str) -> None:
    key = curve()
    own = chains.certificate("itself", key)
    server = nginx(tls=chains.write(key, own, *[own] * count))
    measured = await look(server.port)
    assert cause(measured.failure) == ("tls", code)
    assert measured.values.get("chain_certificates") == (count + 1 if code == "tls_untrusted" else None)
    assert measured.took < 3


async def test_what_is_looked_at_costs_one_connection(nginx: StartNginx, authority: Authority) -> None:
    connections = 0

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        with contextlib.suppress(OSError, ssl.SSLError):
            await reader.read()
        writer.transport.abort()

    server = await asyncio.start_server(serve, HOST, 0, ssl=authority.valid.server_context())
    async with server:
        port = server.sockets[0].getsockname()[1]
        measured = await look(port, tls_ca_file=str(authority.ca_file))
        assert measured.failure is None, measured.failure
        while not connections:
            await asyncio.sleep(0.01)
        await asyncio.sleep(0.05)
    assert connections == 1


@pytest.mark.parametrize(
    "options", [{"starttls": "ftp"}, {"min_version": "1.1"}, {"min_version": "2"}, {"alpn": [""]}, {"port": 0}]
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValidationError):
        TlsCheckOptions.model_validate(options)
