"""Programs that speak SIP: Kamailio (a proxy), sipp (a scenario), baresip (an endpoint) and sipsak (a client)."""

import contextlib
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Literal

from tests.support.authority import Certificate
from tests.support.peers import require
from tests.support.ports import free_port
from tests.support.process import running

HOST = "127.0.0.1"
PASSWORD = "secret-1"

KAMAILIO = """#!KAMAILIO
debug=1
log_stderror=yes
children=1
tcp_children=1
auto_aliases=no
listen=udp:{host}:{port}
listen=tcp:{host}:{port}
{tls}
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "auth.so"
modparam("auth", "algorithm", "{algorithm}")
request_route {{
  if ($rU == "proxy" && !pv_proxy_authenticate("conference", "{password}", "0")) {{
    proxy_challenge("conference", "1"); exit;
  }}
  if ($rU == "user" && !pv_www_authenticate("conference", "{password}", "0")) {{
    www_challenge("conference", "1"); exit;
  }}
  if ($rU == "old" && !pv_www_authenticate("conference", "{password}", "0")) {{
    www_challenge("conference", "0"); exit;
  }}
  if ($rU == "broken") {{ sl_send_reply("503", "Service Unavailable"); exit; }}
  if (!is_method("OPTIONS")) {{ sl_send_reply("405", "Method Not Allowed"); exit; }}
  append_to_reply("Allow: INVITE,ACK,BYE,CANCEL,OPTIONS\\r\\n");
  sl_send_reply("200", "OK");
}}
"""

KAMAILIO_TLS = """
enable_tls=yes
listen=tls:{host}:{port}
loadmodule "tls.so"
modparam("tls", "private_key", "{key}")
modparam("tls", "certificate", "{certificate}")
modparam("tls", "tls_method", "TLSv1.2+")
"""

SIPP = """<?xml version="1.0" encoding="UTF-8" ?>
<scenario name="an endpoint that takes its time">
 <recv request="OPTIONS"/>
 {first}
 <send><![CDATA[
SIP/2.0 486 Busy Here
[last_Via:]
[last_From:]
[last_To:];tag=[pid]sipp[call_number]
[last_Call-ID:]
[last_CSeq:]
User-Agent: sipp endpoint
Content-Length: 0

]]></send>
</scenario>
"""

SIPP_TRYING = """
 <send><![CDATA[
SIP/2.0 100 Trying
[last_Via:]
[last_From:]
[last_To:]
[last_Call-ID:]
[last_CSeq:]
Content-Length: 0

]]></send>
 <pause milliseconds="{pause}"/>
"""

BARESIP = """
sip_listen {host}:{port}
module_path {modules}
module_app account.so
module_app menu.so
"""


@contextlib.contextmanager
def kamailio(
    folder: Path, *, algorithm: Literal["MD5", "SHA-256"] = "MD5", tls: Certificate | None = None
) -> Iterator[tuple[int, int]]:
    """Run it; its port for UDP and TCP, and that for TLS (0 without a certificate).

    OPTIONS is answered with 200; the users ``user`` and ``proxy`` are asked for a login by 401 and 407, ``old`` without
    qop, and ``broken`` has 503.
    """
    executable = require("kamailio")
    port, tls_port = free_port(HOST), free_port(HOST) if tls else 0
    secure = KAMAILIO_TLS.format(host=HOST, port=tls_port, key=tls.key, certificate=tls.certificate) if tls else ""
    configuration = folder / "kamailio.cfg"
    configuration.write_text(
        KAMAILIO.format(host=HOST, port=port, tls=secure, algorithm=algorithm, password=PASSWORD), "utf-8"
    )
    command: list[str | Path] = [executable, "-f", configuration, "-DD", "-E", "-m", "16", "-M", "4", "-Y", folder]
    log = folder / "kamailio.log"
    with running(command, ready=lambda: answers_options(port), log=log):
        yield port, tls_port


@contextlib.contextmanager
def sipp(folder: Path, *, trying_for: int | None = None) -> Iterator[int]:
    """Run the scenario over UDP; its port.  Busy (486) at once, or ``trying_for`` milliseconds after a 100."""
    executable = require("sipp")
    port = free_port(HOST)
    first = "" if trying_for is None else SIPP_TRYING.format(pause=trying_for)
    scenario = folder / "scenario.xml"
    scenario.write_text(SIPP.format(first=first), "utf-8")
    command: list[str | Path] = [executable, "-sf", scenario, "-i", HOST, "-p", str(port), "-nostdin", "-trace_err"]
    command += ["-error_file", folder / "errors.log", "-mi", HOST]
    with running(command, ready=lambda: _bound(port), log=folder / "sipp.log"):
        yield port


@contextlib.contextmanager
def baresip(folder: Path) -> Iterator[int]:
    """Run it with the account ``room``, which registers nowhere; its port for UDP and TCP."""
    executable = require("baresip")
    port = free_port(HOST)
    modules = next(Path("/usr/lib").glob("**/baresip/modules"))
    (folder / "config").write_text(BARESIP.format(host=HOST, port=port, modules=modules), "utf-8")
    (folder / "accounts").write_text(f"<sip:room@{HOST};transport=udp>;regint=0\n", "utf-8")
    (folder / "contacts").write_text("", "utf-8")
    with running([executable, "-f", folder], ready=lambda: answers_options(port), log=folder / "baresip.log"):
        yield port


def sipsak(port: int, *arguments: str, user: str = "room", timeout: float = 10) -> tuple[int, str]:
    """Ask with sipsak over UDP; how it ended (0: 200) and what it said."""
    command = [require("sipsak"), "-vv", "-s", f"sip:{user}@{HOST}:{port}", *arguments]
    ended = subprocess.run(command, check=False, capture_output=True, timeout=timeout)
    return ended.returncode, (ended.stdout + ended.stderr).decode("utf-8", "replace")


def answers_options(port: int) -> bool:
    """Whether any answer comes to an OPTIONS over UDP."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as asking:
        asking.settimeout(0.2)
        try:
            asking.connect((HOST, port))
            local = asking.getsockname()[1]
            lines = [
                f"OPTIONS sip:{HOST} SIP/2.0",
                f"Via: SIP/2.0/UDP {HOST}:{local};branch=z9hG4bKready{local};rport",
                "Max-Forwards: 70",
                f"From: <sip:ready@{HOST}>;tag=1",
                f"To: <sip:{HOST}>",
                f"Call-ID: ready-{local}",
                "CSeq: 1 OPTIONS",
                "Content-Length: 0",
            ]
            asking.send("\r\n".join([*lines, "", ""]).encode())
            return bool(asking.recv(4096))
        except OSError:
            return False


def _bound(port: int) -> bool:
    # Asked without binding it: that would take the port from who is about to.
    return f":{port:04X} " in Path("/proc/net/udp").read_text("ascii")
