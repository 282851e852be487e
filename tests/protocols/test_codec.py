"""codec against OpenSSH's server, whose forced command plays a device's shell, against nginx, and against liars."""

from __future__ import annotations

import textwrap
import tracemalloc
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from sentinel.domain.failure import Failure
from sentinel.domain.observation import Measurement
from sentinel.protocols.codec import PROTOCOL
from sentinel.protocols.codec.options import CodecOptions
from tests.support.authority import Authority
from tests.support.fixtures import NewFolder, StartHostile, StartNginx, StartSshd
from tests.support.probing import measure, target
from tests.support.sshd import Sshd

CISCO = r"""
#!/bin/sh
# A RoomOS-like shell: slow, in pieces, with a late OK.
printf 'Welcome to codec\r\n\r\n*r Login '; sleep 0.3; printf 'successful\r\n\r\nOK\r\n\r\n'
while read -r line; do
  case "$line" in
    "echo off"*) printf '\r\nOK\r\n' ;;
    "xStatus SIP"*) printf '*s SIP Registration 1 Reason: ""\r\n*s SIP Registra'; sleep 0.4
      printf 'tion 1 Status: Registered\r\n** end\r\n'; sleep 0.05; printf '\r\nOK\r\n' ;;
    "xStatus H323"*) printf '*s H323 Gatekeeper Status: Rejected\r\n** end\r\n\r\nOK\r\n' ;;
    "xStatus Call"*) printf '*s Call 42 Status: Connected\r\n*s Call 42 DisplayName: "A: \\"B\\""\r\n'
      printf '** end\r\nOK\r\n' ;;
    "xStatus Media"*) cat "$MEDIA" ;;
    "xStatus Cameras"*) printf '*s Cameras Camera 1 Connected: True\r\n'
      printf '*s Cameras Camera 2 Connected: False\r\n** end\r\n' ;;
    "xStatus Video"*) printf '*s Video Input Connector 1 Connected: True\r\n** end\r\n\r\nOK\r\n' ;;
    "xStatus Audio"*) printf '*s Audio Input Connectors Microphone 1 ConnectionStatus: Connected\r\n'
      printf '*s Audio Input Connectors Microphone 2 ConnectionStatus: Unknown\r\n** end\r\n\r\nOK\r\n' ;;
    "xStatus Standby"*) printf '*s Standby State: Halfwake\r\n** end\r\n\r\nOK\r\n' ;;
    "xStatus Diag"*) printf 'Command not recognized.\r\n\r\nERROR\r\n' ;;
    *) printf 'No match on address expression\r\nERROR\r\n' ;;
  esac
done
"""

MEDIA = """
*s MediaChannels Call 42 Channel 5 Direction: Incoming
*s MediaChannels Call 42 Channel 5 Netstat Jitter: 12
*s MediaChannels Call 42 Channel 5 Netstat LastIntervalLost: 6
*s MediaChannels Call 42 Channel 5 Netstat LastIntervalReceived: 294
*s MediaChannels Call 42 Channel 5 Type: Video
*s MediaChannels Call 42 Channel 5 Video ChannelRole: Presentation
*s MediaChannels Call 42 Channel 6 Direction: Incoming
*s MediaChannels Call 42 Channel 6 Netstat LastIntervalLost: 0
*s MediaChannels Call 42 Channel 6 Netstat LastIntervalReceived: 0
*s MediaChannels Call 42 Channel 6 Type: Audio
*s MediaChannels Call 42 Channel 7 Netstat LastIntervalLost: 9
*s MediaChannels Call 42 Channel 7 Netstat LastIntervalReceived: 1
*s MediaChannels Call 42 Channel 7 Type: Data
** end

OK
"""

POLY = r"""
#!/bin/sh
# A Poly-like shell on a real terminal, which echoes.
printf 'Hi, my name is : Room 9\nHere is what I know about myself:\n\n-> '
while read -r line; do
  case "$line" in
    status*) printf 'inacall online\nmicrophones offline\nipnetwork online\n'
      printf 'gatekeeper online\nsipserver offline\nstatus end\n' ;;
    "callinfo all"*) printf 'callinfo begin\ncallinfo:9:Far: end:192.0.2.9:512:connected:muted:incoming:videocall\n'
      sleep 0.3; printf 'callinfo end\n' ;;
    netstats*) printf 'call:0 txrate:1 K rxrate:1 K pktloss:41 %%pktloss:2.5 %%\ntvp:H.264 rvp:H.264\n' ;;
    advnetstats*) printf 'tapl:0 rapl:0 taj:1 mS raj:7 mS\ntvj:1 mS rvj:9 mS dc:off\n' ;;
    *) printf 'error: command not found\n' ;;
  esac
  sleep 0.02; printf -- '-> '
done
"""


def cause(found: Measurement) -> tuple[str, str] | None:
    failure: Failure | None = found.failure
    return None if failure is None else (failure.stage, failure.code)


class Shell:
    """OpenSSH's server, with one device's shell for everybody who logs in."""

    def __init__(self, server: Sshd, profile: str) -> None:
        self.server, self.profile = server, profile

    async def look(self, seconds: float = 15, **more: Any) -> Measurement:
        return await measure(PROTOCOL, target(), self.server.options(profile=self.profile, **more), seconds)


def played(script: str, profile: str, sshd: StartSshd, folder: Path, files: Mapping[str, str] | None = None) -> Shell:
    path = folder / "shell"
    path.write_text(textwrap.dedent(script).lstrip(), "utf-8")
    path.chmod(0o755)
    for name, text in (files or {}).items():
        (folder / name).write_text(text, "utf-8")
    return Shell(sshd(f"ForceCommand env MEDIA={folder}/media {path}", new=True), profile)


# -- endpoints over SSH -----------------------------------------------------------------------------------------


async def test_a_cisco_endpoint_is_read_though_it_is_slow_and_talks_in_pieces(
    sshd: StartSshd, new_folder: NewFolder
) -> None:
    device = played(CISCO, "codec-cisco-ssh", sshd, new_folder("codec"), {"media": MEDIA})
    found = await device.look(cameras=2, microphones=1)
    assert found.failure is None, (found.failure, found.facts)
    values = found.values
    assert (values["registered_sip"], values["registered_gatekeeper"], values["in_call"], values["calls"]) == (
        1,
        0,
        1,
        1,
    )
    assert {key: value for key, value in values.items() if "loss" in key} == {
        "packet_loss_ratio:接收 视频 辅流": pytest.approx(0.02)  # no packets is no ratio, data is no medium
    }
    assert values["jitter_seconds:接收 视频 辅流"] == pytest.approx(0.012)
    assert (values["camera_connected:1"], values["camera_connected:2"], values["cameras_missing"]) == (1, 0, 1)
    assert {key for key in values if key.startswith("microphone")} == {"microphone_connected:1", "microphones_missing"}
    assert (values["standby"], values["values_missing"]) == (1, 0)
    assert "diagnostics_errors" not in values  # it does not know the command, which the profile says is no harm
    assert "xStatus Diagnostics Message: Command not recognized." in found.facts["unsupported"]
    assert found.facts["registered_gatekeeper"] == "Rejected"
    assert set(found.stages) >= {"connect", "login", "channel", "banner", "query"}


async def test_items_and_values_that_one_does_not_want_are_left_out(sshd: StartSshd, new_folder: NewFolder) -> None:
    device = played(CISCO, "codec-cisco-ssh", sshd, new_folder("codec"), {"media": MEDIA})
    found = await device.look(items={"camera_connected": "^1$"}, without=["registered_gatekeeper"], cameras=1)
    assert found.failure is None
    assert "registered_gatekeeper" not in found.values
    assert [key for key in found.values if key.startswith("camera_")] == ["camera_connected:1"]
    assert found.values["cameras_missing"] == 0


async def test_a_poly_endpoint_is_read_on_a_terminal_that_echoes(sshd: StartSshd, new_folder: NewFolder) -> None:
    found = await played(POLY, "codec-poly-ssh", sshd, new_folder("codec")).look()
    assert found.failure is None, (found.failure, found.facts)
    values = found.values
    assert (values["registered_gatekeeper"], values["registered_sip"]) == (1, 0)
    assert (values["in_call"], values["calls"], values["microphone_connected:话筒"]) == (1, 1, 0)
    assert values["packet_loss_ratio:0"] == pytest.approx(0.025)
    assert values["jitter_seconds:接收 音频"] == pytest.approx(0.007)
    assert values["jitter_seconds:接收 视频"] == pytest.approx(0.009)
    assert "whoami: error: command not found" in found.facts["unsupported"]
    assert found.facts["remote"] == "Far"


ODD = r"""
#!/bin/sh
# It echoes by itself, says twice that it is done, and prompts late.
printf -- '-> '
while read -r line; do
  printf '\033[1m%s\033[0m\r\n' "$line"
  case "$line" in
    "ask 7") printf 'value 3\r\ndone\r\n'; sleep 0.05; printf 'done\r\n'; sleep 0.4 ;;
    "ask 8") sleep 0.3; printf 'value 4\r\ndone\r\n' ;;
  esac
  printf -- '-> '; sleep 0.2
done
"""

OWN = """
protocol: codec
description: one's own
transport: ssh
format: text
shell: {prompt: '-> $', end: '^done$'}
asks:
  one: {command: ask 7}
  two: {command: ask 8}
values:
  first: {ask: one, pattern: '(\\d+)'}
  second: {ask: two, pattern: '(\\d+)'}
"""


async def test_echo_late_prompts_and_second_ends_belong_to_no_answer(sshd: StartSshd, new_folder: NewFolder) -> None:
    folder = new_folder("codec")
    (folder / "own.yaml").write_text(OWN, "utf-8")
    device = played(ODD, "own", sshd, folder)
    options = CodecOptions.model_validate(device.server.options(profile="own"), context={"profiles": folder})
    found = await measure(PROTOCOL, target(), options, 10)
    assert found.failure is None, (found.failure, found.facts)
    assert found.values == {"first": 3, "second": 4, "values_missing": 0}


async def test_a_device_of_another_maker_says_what_is_missing(sshd: StartSshd, new_folder: NewFolder) -> None:
    script = "printf '*r Login successful\\nOK\\n'; while read -r x; do printf 'Command not recognized.\\n'; done"
    found = await played(f"#!/bin/sh\n{script}", "codec-cisco-ssh", sshd, new_folder("codec")).look()
    assert cause(found) == ("expect", "unsupported")
    assert "xStatus Call: Command not recognized." in str(found.failure)
    assert {"registered_sip", "in_call", "standby"} <= set(found.facts["missing"].split(", "))
    assert found.values["values_missing"] == len(found.facts["missing"].split(", "))


@pytest.mark.parametrize(
    ("script", "seconds", "expected"),
    [
        ("exit 0", 8, ("banner", "closed")),
        ("sleep 20", 2, ("banner", "timed_out")),
        ("printf '*r Login successful\\n'; read x; exit 3", 8, ("query", "closed")),
        ("printf '*r Login successful\\n'; sleep 20", 3, ("query", "timed_out")),
        ("while :; do printf 'x'; sleep 0.05; done", 2, ("banner", "timed_out")),
        ("exec yes", 8, ("banner", "too_large")),
        ("exec cat /dev/zero", 8, ("banner", "too_large")),
        ("exec cat /dev/urandom", 8, ("banner", "too_large")),
        (
            "printf '*r Login successful\\n'; sleep 0.5; exec yes '*s Call 1 Status: Connected'",
            8,
            ("query", "too_large"),
        ),
    ],
)
async def test_a_hostile_shell_has_its_code_and_bounded_memory(
    script: str, seconds: float, expected: tuple[str, str], sshd: StartSshd, new_folder: NewFolder
) -> None:
    device = played(f"#!/bin/sh\n{script}\n", "codec-cisco-ssh", sshd, new_folder("codec"))
    tracemalloc.start()
    try:
        found = await device.look(seconds, max_bytes=262_144)
        assert tracemalloc.get_traced_memory()[1] < 8 << 20
    finally:
        tracemalloc.stop()
    assert cause(found) == expected, found.failure
    assert found.took < seconds + 0.5


# -- over HTTP --------------------------------------------------------------------------------------------------

STATUS = """<?xml version="1.0" encoding="UTF-8"?>
<Status product="Codec" version="1" apiVersion="4">
  <Audio><Input><Connectors><Microphone item="1" maxOccurrence="n"><ConnectionStatus>NotConnected</ConnectionStatus>
  </Microphone></Connectors></Input></Audio>
  <Cameras><Camera item="1"><Connected>True</Connected></Camera></Cameras>
  <SIP><Registration item="1"><Status>Failed</Status></Registration></SIP>
  <H323><Gatekeeper><Status>Inactive</Status></Gatekeeper></H323>
  <Standby><State>Standby</State></Standby>
  <Video><Input><Connector item="1"><Connected>False</Connected></Connector></Input></Video>
</Status>
"""
PROTECTED = 'auth_basic "codec"; auth_basic_user_file {folder}/passwords;'


def http(port: int, **more: Any) -> dict[str, Any]:
    return {"profile": "codec-cisco-http", "port": port, "scheme": "http", **more}


async def test_a_cisco_endpoint_is_read_over_tls_with_a_password(
    nginx: StartNginx, authority: Authority, new_folder: NewFolder
) -> None:
    folder = new_folder("passwords")
    (folder / "passwords").write_text("watcher:{PLAIN}s3cret\n", "utf-8")
    server = nginx(PROTECTED.format(folder=folder), "valid")
    (server.www / "status.xml").write_text(STATUS, "utf-8")
    options = {
        **http(server.port, scheme="https", tls_ca_file=str(authority.ca_file)),
        "username": "watcher",
        "password": "s3cret",
    }
    found = await measure(PROTOCOL, target(), {**options, "microphones": 1})
    assert found.failure is None, (found.failure, found.facts)
    values = found.values
    assert (values["registered_sip"], values["in_call"], values["calls"], values["standby"]) == (0, 0, 0, 1)
    assert "registered_gatekeeper" not in values  # Inactive says nothing
    assert (values["microphone_connected:1"], values["microphones_missing"], values["camera_connected:1"]) == (0, 1, 1)
    assert (values["diagnostics_errors"], values["video_input_connected:1"]) == (0, 0)
    assert values["certificate_days_left"] > 0
    wrong = await measure(PROTOCOL, target(), {**options, "password": "another"})
    assert cause(wrong) == ("query", "unauthorized")
    assert "another" not in str(wrong)
    untrusted = await measure(PROTOCOL, target(), {**options, "tls_ca_file": None})
    assert cause(untrusted) == ("tls", "tls_untrusted")


async def test_a_redirect_is_told_and_not_followed_and_a_page_that_is_not_there_is_unsupported(
    nginx: StartNginx,
) -> None:
    moved = await measure(PROTOCOL, target(), http(nginx("return 301 https://192.0.2.1/;").port))
    assert cause(moved) == ("query", "bad_status")
    assert "https://192.0.2.1/" in str(moved.failure)
    absent = await measure(PROTOCOL, target(), http(nginx().port))
    assert cause(absent) == ("expect", "unsupported")
    assert "/status.xml: 404" in str(absent.failure)
    assert "registered_sip" in absent.facts["missing"]


CMS = """
location = /api/v1/calls {{ return 200 '<calls total="1"><call id="c-1"><name>周会</name></call></calls>'; }}
location = /api/v1/calls/c-1 {{ return 200 '<call id="c-1"><numParticipantsLocal>2</numParticipantsLocal></call>'; }}
location = /api/v1/callLegs {{
  return 200 '<callLegs total="3"><callLeg id="a/b"/><callLeg id="l2"/><callLeg id="gone"/></callLegs>'; }}
location = "/api/v1/callLegs/a/b" {{ return 200 '<callLeg id="a/b"><name>甲</name><status><state>connected</state>
  <rxVideo role="main"><packetLossPercentage>4.0</packetLossPercentage><jitter>21</jitter></rxVideo>
  </status></callLeg>'; }}
location = /api/v1/callLegs/l2 {{
  return 200 '<callLeg id="l2"><name>乙</name><status><state>ringing</state></status></callLeg>'; }}
"""


async def test_an_mcu_says_who_is_missing_over_one_connection(nginx: StartNginx) -> None:
    server = nginx(CMS.format())
    options = {"profile": "mcu-cms", "port": server.port, "scheme": "http", "participants": 3}
    found = await measure(PROTOCOL, target(), options)
    assert cause(found) is None, (found.failure, found.facts)
    assert (found.values["calls"], found.values["participants_connected"]) == (1, 2)
    assert (found.values["participants_missing"], found.values["participants_partly_connected"]) == (1, 1)
    assert found.values["packet_loss_ratio:甲 接收 视频 主流"] == pytest.approx(0.04)
    assert found.values["jitter_seconds:甲 接收 视频 主流"] == pytest.approx(0.021)
    assert found.facts["not_through"] == "乙"
    assert "GET /api/v1/callLegs/a%2Fb " in server.access_log
    assert found.facts["unsupported"].count("404") == 2  # the optional pages; a leg that has ended meanwhile is none


async def test_outside_a_conference_nobody_is_missing(nginx: StartNginx) -> None:
    empty = "location = /api/v1/%s { return 200 '<%s total=\"0\"/>'; } "
    server = nginx(empty % ("calls", "calls") + empty % ("callLegs", "callLegs"))
    options = {"profile": "mcu-cms", "port": server.port, "scheme": "http", "participants": 12}
    found = await measure(PROTOCOL, target(), options)
    assert cause(found) is None, found.failure
    assert (found.values["participants_connected"], found.values["participants_missing"]) == (0, 0)


def answered(body: bytes) -> bytes:
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


@pytest.mark.parametrize(
    ("manner", "text", "expected"),
    [
        ("hang", b"", ("query", "timed_out")),
        ("drip", answered(STATUS.encode()), ("query", "timed_out")),
        ("endless", b"", ("query", "too_large")),
        ("huge", b"", ("query", "timed_out")),
        ("huge", b"HTTP/1.1 200 OK\r\nX: " + b"x" * 40_000, ("query", "too_large")),
        ("huge", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", ("query", "protocol_error")),
        ("huge", b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\n", ("query", "unsupported")),
        ("garbage", b"", ("query", "protocol_error")),
        ("close", b"", ("query", "closed")),
        ("reset", b"", ("query", "reset")),
        ("refuse", b"", ("connect", "refused")),
        ("huge", answered(b"<html>no"), ("query", "protocol_error")),
        ("huge", answered(b'<!DOCTYPE x [<!ENTITY a "aaaa">]><x>&a;</x>'), ("query", "protocol_error")),
        ("huge", answered(b"<a>" * 5_000), ("query", "protocol_error")),
        ("huge", answered(b"<a>" + b"<b/>" * 30_000 + b"</a>"), ("query", "protocol_error")),
    ],
)
async def test_a_hostile_page_has_its_code_and_no_connection_left(
    hostile: StartHostile, manner: Any, text: bytes, expected: tuple[str, str]
) -> None:
    server = await hostile(manner, text=text, after=None if manner in ("refuse", "reset") else b"\r\n\r\n")
    seconds = 1.0 if expected[1] == "timed_out" else 5.0
    tracemalloc.start()
    try:
        found = await measure(PROTOCOL, target(), http(server.port, max_bytes=262_144), seconds)
        assert tracemalloc.get_traced_memory()[1] < 24 << 20
    finally:
        tracemalloc.stop()
    assert cause(found) == expected, found.failure
    assert found.took < seconds + 1
    await server.all_closed()


async def test_json_from_a_liar_is_a_protocol_error(hostile: StartHostile) -> None:
    for body in (b"[" * 100_000, b'{"meta": {', b'{"a": ' * 50 + b"1" + b"}" * 50, b"[" + b"1," * 30_000 + b"1]"):
        server = await hostile("huge", text=answered(body), after=b"\r\n\r\n")
        options = {"profile": "mcu-pexip", "port": server.port, "scheme": "http"}
        assert cause(await measure(PROTOCOL, target(), options, 2)) == ("query", "protocol_error"), body[:20]


def test_options_are_those_of_the_shipped_profiles() -> None:
    options = CodecOptions.model_validate({"profile": "mcu-cms", "username": "u", "password": "s3cret"})
    assert "s3cret" not in repr(options)
    assert (options.at_port, options.wants_tls) == (443, True)
