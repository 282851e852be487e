"""ssh against OpenSSH's server, and asyncssh's where a password has to be asked for."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import tracemalloc
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import asyncssh
import pytest
from pydantic import ValidationError

from sentinel.domain.failure import Failure
from sentinel.protocols.ssh import PROTOCOL, SshOptions
from sentinel.sdk import ssh as sdk_ssh
from sentinel.sdk.ssh import Connections, connections
from tests.support.fixtures import StartHostile, StartSshd
from tests.support.probing import measure, target

OTHER_KEY = asyncssh.generate_private_key("ssh-ed25519")


def cause(failure: Failure | None) -> tuple[str, str] | None:
    return None if failure is None else (failure.stage, failure.code)


@pytest.fixture
async def pool() -> AsyncIterator[Connections]:
    """The loop's pool, held open from one run to the next as the daemon does."""
    async with connections() as shared:
        yield shared


# -- the login ----------------------------------------------------------------------------------------------------


async def test_a_login_is_timed_step_by_step(sshd: StartSshd) -> None:
    server = sshd()
    measured = await measure(PROTOCOL, target(), server.options(version="^SSH-2.0-OpenSSH"))
    assert measured.failure is None
    assert list(measured.stages) == ["connect", "banner", "key_exchange", "login"]
    assert all(seconds > 0 for seconds in measured.stages.values())
    assert measured.facts["host_key"] == f"ssh-ed25519 {server.fingerprint}"


async def test_each_login_is_one(sshd: StartSshd, pool: Connections) -> None:
    server = sshd(new=True)
    for _ in range(2):
        assert (await measure(PROTOCOL, target(), server.options())).failure is None
    assert server.logins() == 2  # a connection that is open says nothing about the next login
    assert not pool.open_to(SshOptions.model_validate(server.options()).at("127.0.0.1"))


async def test_a_key_that_is_not_the_pinned_one_is_refused_before_the_login(sshd: StartSshd) -> None:
    server = sshd(new=True)
    pinned = OTHER_KEY.export_public_key().decode()
    for host_key in (pinned, OTHER_KEY.get_fingerprint()):
        measured = await measure(PROTOCOL, target(), server.options(host_key=host_key))
        assert cause(measured.failure) == ("key_exchange", "host_key_changed")
        assert measured.failure is not None
        assert server.fingerprint in measured.failure.detail  # what to pin, if it was meant to change
    assert "Accepted" not in server.log.read_text("utf-8")
    for good in ([pinned, server.host_key], server.fingerprint, "any"):
        assert (await measure(PROTOCOL, target(), server.options(host_key=good))).failure is None


def test_what_is_not_pinned_is_refused(sshd: StartSshd) -> None:
    options = sshd().options()
    del options["host_key"]
    with pytest.raises(ValidationError, match="host_key"):
        SshOptions.model_validate(options)
    for nonsense in ("", [], "SHA256:short", "ssh-ed25519 AAAA", "none", ["any", OTHER_KEY.get_fingerprint()], 7):
        with pytest.raises(ValidationError):
            SshOptions.model_validate(sshd().options(host_key=nonsense))


async def test_a_key_that_is_not_known_there_is_unauthorized(sshd: StartSshd) -> None:
    options = sshd().options(private_key=OTHER_KEY.export_private_key().decode())
    assert cause((await measure(PROTOCOL, target(), options)).failure) == ("login", "unauthorized")


async def test_a_private_key_that_cannot_be_read_is_our_own_trouble(sshd: StartSshd) -> None:
    locked = OTHER_KEY.export_private_key("pkcs8-pem", passphrase="open sesame").decode()
    for private_key in ("no key at all", locked):
        failure = (await measure(PROTOCOL, target(), sshd().options(private_key=private_key))).failure
        assert cause(failure) == ("prepare", "bad_option")
        assert failure is not None
        assert failure.local
        assert private_key not in failure.detail


class Asking(asyncssh.SSHServer):
    """Lets in whoever knows the password."""

    def password_auth_supported(self) -> bool:
        return True

    def validate_password(self, username: str, password: str) -> bool:
        return (username, password) == ("probe", "correct horse")


class Talking(asyncssh.SSHServer):
    """Asks for it in a dialogue."""

    def kbdint_auth_supported(self) -> bool:
        return True

    def get_kbdint_challenge(self, *_: str) -> Any:
        return ("Login", "", "", [("Room:", True), ("Secret word:", False)])

    def validate_kbdint_response(self, _username: str, responses: Sequence[str]) -> bool:
        return list(responses) == ["", "correct horse"]


@asynccontextmanager
async def asking(server_factory: type[asyncssh.SSHServer]) -> AsyncIterator[int]:
    server = await asyncssh.listen("127.0.0.1", 0, server_host_keys=[OTHER_KEY], server_factory=server_factory)
    async with server:
        yield server.get_port()


@pytest.mark.parametrize("server", [Asking, Talking])
async def test_a_password_is_given_as_it_is_asked_for(server: type[asyncssh.SSHServer]) -> None:
    async with asking(server) as port:
        options = {"port": port, "username": "probe", "host_key": OTHER_KEY.get_fingerprint()}
        good = await measure(PROTOCOL, target(), {**options, "password": "correct horse"})
        assert good.failure is None
        bad = await measure(PROTOCOL, target(), {**options, "password": "battery staple"})
        assert cause(bad.failure) == ("login", "unauthorized")
        assert bad.failure is not None
        assert "battery" not in bad.failure.detail


@pytest.mark.filterwarnings("ignore:Diffie-Hellman over finite fields")  # said by cryptography
async def test_algorithms_of_old_are_spoken_only_where_that_is_said(sshd: StartSshd) -> None:
    server = sshd("KexAlgorithms diffie-hellman-group14-sha1")
    failure = (await measure(PROTOCOL, target(), server.options())).failure
    # OpenSSH hangs up on an offer that it cannot take, sometimes before its own has been read.
    assert cause(failure) in {("key_exchange", code) for code in ("unsupported", "closed", "reset")}
    assert (await measure(PROTOCOL, target(), server.options(legacy_algorithms=True))).failure is None


async def test_another_version_is_a_mismatch(sshd: StartSshd) -> None:
    measured = await measure(PROTOCOL, target(), sshd().options(version="Dropbear"))
    assert cause(measured.failure) == ("expect", "mismatch")


# -- commands -----------------------------------------------------------------------------------------------------


async def test_a_command_is_compared_and_captured(sshd: StartSshd) -> None:
    options = sshd().options(
        command="echo 'load 1.50 temperature 41C model X-9'; echo wrong >&2",
        expect_matches="(?s)model.*wrong",
        captures={
            "load": {"pattern": r"load ([0-9.]+)"},
            "temperature_celsius": {"pattern": r"(\d+)C", "unit": "Cel"},
            "load_percent": {"pattern": r"load ([0-9.]+)", "unit": "%", "factor": 100},
        },
        facts={"model": r"model (\S+)"},
    )
    measured = await measure(PROTOCOL, target(), options)
    assert measured.failure is None
    assert {name: measured.values[name] for name in ("load", "temperature_celsius", "load_percent", "exit_status")} == {
        "load": 1.5,
        "temperature_celsius": 41.0,
        "load_percent": 150.0,
        "exit_status": 0.0,
    }
    assert measured.facts["model"] == "X-9"
    declared = {value.name: value.unit for value in PROTOCOL.declared(SshOptions.model_validate(options))}
    assert declared["temperature_celsius"] == "Cel"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"command": "exit 3"}, ("expect", "bad_status")),
        ({"command": "exit 3", "exit_status": [0, 3]}, None),
        ({"command": "kill -9 $$"}, ("expect", "bad_status")),
        ({"command": "exit 3", "exit_status": []}, None),
        ({"command": "echo no", "expect_matches": "yes"}, ("expect", "mismatch")),
        ({"command": "echo 7x", "captures": {"n": {"pattern": r"\d+ y"}}}, ("expect", "mismatch")),
        ({"command": "echo 7x", "captures": {"n": {"pattern": r"7x"}}}, ("expect", "mismatch")),
        ({"command": "echo inf", "captures": {"n": {"pattern": r"\w+"}}}, ("expect", "mismatch")),
        ({"command": "head -c 3000 /dev/zero", "max_bytes": 2999}, ("exchange", "too_large")),
        ({"command": "head -c 2999 /dev/zero", "max_bytes": 2999}, None),
        ({"command": "no-such-command-here"}, ("expect", "bad_status")),
    ],
)
async def test_what_a_command_may_come_to(
    sshd: StartSshd, options: dict[str, Any], expected: tuple[str, str] | None
) -> None:
    assert cause((await measure(PROTOCOL, target(), sshd().options(**options))).failure) == expected


def test_a_capture_needs_a_name_of_its_own(sshd: StartSshd) -> None:
    with pytest.raises(ValidationError, match="measured already"):
        SshOptions.model_validate(sshd().options(captures={"exit_status": {"pattern": "1"}}))


async def test_output_without_end_is_bounded(sshd: StartSshd) -> None:
    options = sshd().options(command="yes", max_bytes=100_000)
    tracemalloc.start()
    try:
        measured = await measure(PROTOCOL, target(), options)
        peak = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert cause(measured.failure) == ("exchange", "too_large")
    assert peak < 4 << 20


async def test_a_command_that_never_ends_is_timed_out_and_costs_one_connection(
    sshd: StartSshd, pool: Connections
) -> None:
    options = SshOptions.model_validate(sshd().options(command="sleep 60"))
    measured = await measure(PROTOCOL, target(), options, timeout=0.8)
    assert cause(measured.failure) == ("exchange", "timed_out")
    assert not pool.open_to(options.at("127.0.0.1"))


# -- one connection -----------------------------------------------------------------------------------------------


async def test_one_connection_serves_all_commands_of_a_user(sshd: StartSshd, pool: Connections) -> None:
    server = sshd(new=True)
    commands = [measure(PROTOCOL, target(), server.options(command=f"sleep 0.2; echo {n}")) for n in range(10)]
    for measured in await asyncio.gather(*commands):
        assert measured.failure is None
    assert server.logins() == 1
    again = await measure(PROTOCOL, target(), server.options(command="echo again"))
    assert list(again.stages) == ["channel", "exchange", "expect"]
    assert server.logins() == 1
    assert pool.open_to(SshOptions.model_validate(server.options()).at("127.0.0.1"))


async def test_too_many_at_once_wait_and_are_our_own_trouble(sshd: StartSshd, pool: Connections) -> None:
    options = sshd().options(command="sleep 2")
    runs = [measure(PROTOCOL, target(), options, timeout=1.0) for _ in range(sdk_ssh.CHANNELS + 1)]
    found = [cause(measured.failure) for measured in await asyncio.gather(*runs)]
    assert found.count(("schedule", "overloaded")) == 1
    assert found.count(("exchange", "timed_out")) == sdk_ssh.CHANNELS


async def test_a_connection_that_was_killed_is_made_anew(sshd: StartSshd, pool: Connections) -> None:
    server = sshd(new=True)
    options = server.options(command="echo $PPID")
    first = await measure(PROTOCOL, target(), options)
    os.kill(int(first.facts["output"]), signal.SIGKILL)  # the child of sshd that serves us
    second = await measure(PROTOCOL, target(), options)
    assert second.failure is None
    assert server.logins() == 2


async def test_a_connection_that_hangs_is_found_out_and_made_anew(sshd: StartSshd, pool: Connections) -> None:
    server = sshd(new=True)
    options = server.options(command="echo $PPID")
    first = await measure(PROTOCOL, target(), options)
    child = int(first.facts["output"])
    os.kill(child, signal.SIGSTOP)  # as where a firewall has forgotten it: nothing comes back
    try:
        second = await measure(PROTOCOL, target(), options, timeout=10)
        assert second.failure is None
        assert server.logins() == 2
        assert 2.5 < second.took < 6
    finally:
        os.kill(child, signal.SIGKILL)


async def test_a_connection_that_breaks_under_a_command_is_closed(sshd: StartSshd) -> None:
    options = sshd(new=True).options(command="kill -9 $PPID; sleep 5")
    measured = await measure(PROTOCOL, target(), options)
    assert measured.failure is not None
    assert (measured.failure.stage, measured.failure.code) in {("exchange", "closed"), ("exchange", "reset")}


async def test_who_waits_for_a_login_that_fails_tries_no_second_one(sshd: StartSshd, pool: Connections) -> None:
    server = sshd(new=True)
    options = server.options(command="true", private_key=OTHER_KEY.export_private_key().decode())
    runs = await asyncio.gather(*(measure(PROTOCOL, target(), options) for _ in range(4)))
    assert {cause(measured.failure) for measured in runs} == {("login", "unauthorized")}
    assert server.log.read_text("utf-8").count("Connection from") <= 2


async def test_an_idle_connection_is_closed(
    sshd: StartSshd, pool: Connections, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdk_ssh, "IDLE_SECONDS", 0.1)
    options = SshOptions.model_validate(sshd().options(command="true"))
    await measure(PROTOCOL, target(), options)
    assert pool.open_to(options.at("127.0.0.1"))
    async with asyncio.timeout(5):
        while pool.open_to(options.at("127.0.0.1")):
            await asyncio.sleep(0.01)


# -- peers that misbehave -----------------------------------------------------------------------------------------

LOGIN = {"username": "probe", "password": "x", "host_key": "any"}


@pytest.mark.parametrize(
    ("manner", "text", "expected"),
    [
        ("hang", b"", ("banner", "timed_out")),
        ("refuse", b"", ("connect", "refused")),
        ("close", b"", ("banner", "closed")),
        ("reset", b"", ("banner", "reset")),
        ("garbage", b"", ("banner", "protocol_error")),
        ("drip", b"SSH-2.0-" + b"s" * 1000, ("banner", "timed_out")),
        ("endless", b"welcome\r\n", ("banner", "protocol_error")),
        ("endless", b"SSH-2.0-mad\r\n", ("key_exchange", "protocol_error")),
        ("huge", b"SSH-2.0-mad\r\n\xff\xff\xff\xff" + bytes(64), ("key_exchange", "protocol_error")),
        ("huge", b"SSH-2.0-mad\r\n\0\3\xff\0" + bytes(64), ("key_exchange", "timed_out")),
        ("huge", b"SSH-1.5-old\r\n", ("key_exchange", "unsupported")),
        ("huge", b"HTTP/1.1 400 Bad Request\r\n\r\n", ("banner", "timed_out")),
        ("huge", b"SSH-2.0-\xff\xfe\xc3\r\n", ("key_exchange", "protocol_error")),
    ],
)
async def test_a_hostile_server_has_its_code_and_no_connection_left(
    hostile: StartHostile, manner: Any, text: bytes, expected: tuple[str, str]
) -> None:
    server = await hostile(manner, text=text)
    tracemalloc.start()
    try:
        for command in ({}, {"command": "true"}):
            measured = await measure(PROTOCOL, target(), {"port": server.port, **LOGIN, **command}, timeout=0.5)
            assert cause(measured.failure) == expected
            assert measured.took < 1.0
        assert tracemalloc.get_traced_memory()[1] < 4 << 20
    finally:
        tracemalloc.stop()
    async with asyncio.timeout(5):
        await server.all_closed()


async def test_a_server_that_talks_without_end_before_the_login_is_cut_off() -> None:
    payload = (
        b"\x02" + (996).to_bytes(4, "big") + bytes(996)
    )  # SSH_MSG_IGNORE (RFC 4253, 11.2): proper, and for nothing
    padding = bytes(8 - (5 + len(payload)) % 8 + 8)
    packet = (1 + len(payload) + len(padding)).to_bytes(4, "big") + bytes([len(padding)]) + payload + padding

    async def talk(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"SSH-2.0-mad\r\n")
        with contextlib.suppress(OSError):
            while True:
                writer.write(packet)
                await writer.drain()

    async with await asyncio.start_server(talk, "127.0.0.1", 0) as server:
        port = server.sockets[0].getsockname()[1]
        measured = await measure(PROTOCOL, target(), {"port": port, **LOGIN}, timeout=5)
    assert cause(measured.failure) == ("key_exchange", "protocol_error")
    assert measured.failure is not None
    assert "before the login" in measured.failure.detail
