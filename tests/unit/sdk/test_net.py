"""Names, connections and TLS: the stages, the codes, and nothing left open."""

import asyncio
import datetime as dt
import gc
import os
import socket
import ssl
import time
from pathlib import Path

import aiodns
import pytest
from pydantic import ValidationError

from sentinel.sdk import net
from sentinel.sdk.net import (
    Tls,
    TlsOptions,
    certificate_days_left,
    close_resolver,
    connect,
    discard,
    resolve,
    ssl_context,
)
from sentinel.sdk.protocol import ProbeFailed, Run
from tests.support.authority import Authority
from tests.support.fixtures import StartHostile


def new_run(seconds: float = 5.0) -> Run:
    return Run(time.monotonic() + seconds)


def open_descriptors() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@pytest.mark.parametrize("literal", ["127.0.0.1", "::1", "198.18.0.1", "fe80::1%lo"])
async def test_a_literal_passes_through_without_a_stage(literal: str) -> None:
    run = new_run()
    assert await resolve(run, literal) == literal
    assert run.stages == {}


async def test_a_name_of_etc_hosts_is_resolved_to_ipv4_first() -> None:
    run = new_run()
    assert await resolve(run, "localhost") == "127.0.0.1"
    assert set(run.stages) == {"resolve"}
    await close_resolver()
    await close_resolver()  # ended already: nothing happens


async def test_a_name_that_cannot_exist_is_not_found() -> None:
    with pytest.raises(ProbeFailed) as caught:
        await resolve(new_run(), "nosuch.invalid")
    assert (caught.value.failure.stage, caught.value.failure.code) == ("resolve", "name_not_found")
    await close_resolver()


async def test_a_lookup_in_a_black_hole_ends_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        monkeypatch.setattr(net, "LOOKUP_SECONDS", 0.4)
        resolver = net._resolver()
        resolver._channel.servers = [f"127.0.0.1:{silent.getsockname()[1]}"]
        run = new_run(60)
        with pytest.raises(ProbeFailed) as caught:
            await resolve(run, "hall-01.example.org")
    assert (caught.value.failure.stage, caught.value.failure.code) == ("resolve", "timed_out")
    assert run.stages["resolve"] < 5
    await close_resolver()


async def test_name_servers_that_say_nothing_are_a_deadline_too() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as silent:
        silent.bind(("127.0.0.1", 0))
        await close_resolver()
        resolver = aiodns.DNSResolver(timeout=0.1, tries=1)
        resolver._channel.servers = [f"127.0.0.1:{silent.getsockname()[1]}"]
        net._channel = (asyncio.get_running_loop(), resolver)
        with pytest.raises(ProbeFailed) as caught:
            await resolve(new_run(), "hall-01.example.org")
    assert (caught.value.failure.stage, caught.value.failure.code) == ("resolve", "timed_out")
    await close_resolver()


async def test_a_name_server_that_talks_rubbish_is_a_resolver_that_failed() -> None:
    class Refuse(asyncio.DatagramProtocol):
        def connection_made(self, transport: asyncio.DatagramTransport) -> None:  # type: ignore[override]
            self.transport = transport

        def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
            self.transport.sendto(data[:2] + b"\x81\x85" + data[4:], addr)  # RCODE 5: refused

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(Refuse, local_addr=("127.0.0.1", 0))
    net._resolver()._channel.servers = [f"127.0.0.1:{transport.get_extra_info('sockname')[1]}"]
    with pytest.raises(ProbeFailed) as caught:
        await resolve(new_run(), "hall-01.example.org")
    assert (caught.value.failure.stage, caught.value.failure.code) == ("resolve", "resolver_failed")
    transport.close()
    await close_resolver()


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
async def test_a_plain_connection_has_the_stage_connect(address: str) -> None:
    async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(await reader.readline())
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(echo, address, 0)
    async with server:
        run = new_run()
        reader, writer = await connect(run, address, server.sockets[0].getsockname()[1])
        writer.write(b"hello\n")
        assert await reader.readline() == b"hello\n"
        discard(writer)
    assert set(run.stages) == {"connect"}


async def test_tls_is_verified_against_the_given_authority(hostile: StartHostile, authority: Authority) -> None:
    server = await hostile("hang", tls=authority.valid.server_context())
    run = new_run()
    options = TlsOptions(tls=True, tls_ca_file=str(authority.ca_file))
    _, writer = await connect(run, server.host, server.port, tls=options)
    days = certificate_days_left(writer.get_extra_info("ssl_object"))
    discard(writer)
    assert set(run.stages) == {"connect", "tls"}
    assert 89.9 < days <= 90


async def test_options_that_switch_tls_off_connect_in_the_clear(hostile: StartHostile) -> None:
    server = await hostile("hang")
    _, writer = await connect(new_run(), server.host, server.port, tls=TlsOptions())
    assert writer.get_extra_info("ssl_object") is None
    discard(writer)


@pytest.mark.parametrize(
    ("kind", "name", "trusted", "code"),
    [
        ("expired", None, "trusted", "tls_expired"),
        ("wrong_name", None, "trusted", "tls_wrong_name"),
        ("valid", "elsewhere.example", "trusted", "tls_wrong_name"),
        ("valid", None, "", "tls_untrusted"),
    ],
)
async def test_each_fault_of_a_certificate_has_its_code(
    hostile: StartHostile, authority: Authority, kind: str, name: str | None, trusted: str, code: str
) -> None:
    server = await hostile("hang", tls=getattr(authority, kind).server_context())
    tls = Tls(tls_ca_file=str(authority.ca_file) if trusted else None, tls_server_name=name)
    with pytest.raises(ProbeFailed) as caught:
        await connect(new_run(), server.host, server.port, tls=tls)
    assert (caught.value.failure.stage, caught.value.failure.code) == ("tls", code)


async def test_a_certificate_that_begins_tomorrow_has_its_code(hostile: StartHostile, authority: Authority) -> None:
    server = await hostile("hang", tls=authority.issue(valid_for=dt.timedelta(days=366)).server_context())
    with pytest.raises(ProbeFailed) as caught:
        await connect(new_run(), server.host, server.port, tls=Tls(tls_ca_file=str(authority.ca_file)))
    assert caught.value.failure.code == "tls_not_yet_valid"


async def test_days_left_are_known_without_verification(hostile: StartHostile, authority: Authority) -> None:
    server = await hostile("hang", tls=authority.expired.server_context())
    _, writer = await connect(new_run(), server.host, server.port, tls=Tls(tls_verify=False))
    assert -2.1 < certificate_days_left(writer.get_extra_info("ssl_object")) < -1.9
    discard(writer)


async def test_a_link_local_address_goes_out_by_its_interface() -> None:
    with pytest.raises(ProbeFailed) as caught:
        await connect(new_run(), "fe80::1%nosuch0", 9)
    assert caught.value.failure.stage == "connect"


def test_a_peer_without_a_certificate_has_no_days_left() -> None:
    unconnected = ssl_context(Tls()).wrap_bio(ssl.MemoryBIO(), ssl.MemoryBIO(), server_hostname="x")
    with pytest.raises(ValueError, match=r"handshake|no certificate"):
        certificate_days_left(unconnected)


async def test_what_is_no_certificate_is_a_fact_and_no_defect() -> None:
    class Peer:
        def version(self) -> str:
            return "TLSv1.2"

        def getpeercert(self, *, binary_form: bool) -> bytes:
            assert binary_form
            return b"\x30\x03junk"

    run = new_run()
    net.record_certificate(run, Peer())  # type: ignore[arg-type]  # what OpenSSL took and cryptography cannot read
    assert run.values == {}
    assert run.facts["certificate"].startswith("unreadable: ")


@pytest.mark.parametrize("tls", [None, Tls(tls_verify=False)], ids=["plain", "tls"])
async def test_nothing_is_left_open_after_a_failure_or_a_deadline(hostile: StartHostile, tls: Tls | None) -> None:
    gc.collect()  # what earlier tests left behind would be closed at any moment
    await asyncio.sleep(0.05)
    before = open_descriptors()
    refused = await hostile("refuse")
    with pytest.raises(ProbeFailed, match="refused"):
        await connect(new_run(), refused.host, refused.port, tls=tls)
    assert open_descriptors() == before
    if tls is None:
        return
    stalled = await hostile("hang")
    run = new_run()
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await connect(run, stalled.host, stalled.port, tls=tls)
    assert run.current == "tls"
    async with asyncio.timeout(2):
        await stalled.all_closed()


def test_a_context_is_made_once_and_anew_for_a_changed_file(tmp_path: Path, authority: Authority) -> None:
    ca_file = tmp_path / "ca.pem"
    ca_file.write_bytes(authority.ca_file.read_bytes())
    tls = Tls(tls_ca_file=str(ca_file))
    first = ssl_context(tls)
    assert ssl_context(Tls(tls_ca_file=str(ca_file))) is first
    assert first.verify_mode is ssl.CERT_REQUIRED
    assert first.check_hostname
    os.utime(ca_file, ns=(0, 0))
    assert ssl_context(tls) is not first
    assert ssl_context(tls, alpn=("http/1.1",)) is not ssl_context(tls)


@pytest.mark.parametrize("content", [None, b"", b"-----BEGIN CERTIFICATE-----\nrubbish\n-----END CERTIFICATE-----\n"])
def test_a_file_without_authorities_is_a_bad_option(tmp_path: Path, content: bytes | None) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_bytes(content)
    with pytest.raises(ProbeFailed) as caught:
        ssl_context(Tls(tls_ca_file=str(ca_file)))
    assert (caught.value.failure.stage, caught.value.failure.code) == ("prepare", "bad_option")
    assert caught.value.failure.local


def test_unknown_options_are_refused() -> None:
    with pytest.raises(ValidationError):
        TlsOptions.model_validate({"tls_verfy": False})
