"""GB/T 28181's other sides: a platform (Kamailio's registrar), and a device (sipp), whose pictures come from ffmpeg."""

import asyncio
import contextlib
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.support.peers import require
from tests.support.ports import free_port
from tests.support.process import running, tail
from tests.support.sip_peers import HOST, answers_options

PLATFORM = "11000000002000000001"
DEVICE = "11010000002000000007"
CHANNEL = "11010000001320000007"
DOMAIN = "1100000000"
PASSWORD = "secret-1"

KAMAILIO = """#!KAMAILIO
debug=1
log_stderror=yes
children=1
tcp_children=1
auto_aliases=no
listen=udp:{host}:{port}
listen=tcp:{host}:{port}
alias="{domain}"
loadmodule "tm.so"
loadmodule "sl.so"
loadmodule "pv.so"
loadmodule "siputils.so"
loadmodule "textops.so"
loadmodule "xlog.so"
loadmodule "usrloc.so"
loadmodule "registrar.so"
loadmodule "auth.so"
modparam("auth", "algorithm", "{algorithm}")
modparam("registrar", "append_branches", 0)
request_route {{
  if (is_method("OPTIONS")) {{ sl_send_reply("200", "OK"); exit; }}
  if (!is_method("REGISTER")) {{ sl_send_reply("405", "Method Not Allowed"); exit; }}
  if (!pv_www_authenticate("{domain}", "{password}", "0")) {{ www_challenge("{domain}", "{qop}"); exit; }}
  xlog("L_ALERT", "REGISTERED $tU EXPIRES $hdr(Expires)\\n");
  save("location");
}}
"""


@contextlib.contextmanager
def platform(folder: Path, *, algorithm: str = "MD5", qop: bool = True) -> Iterator[tuple[int, Path]]:
    """Kamailio as the platform above: its port, and its log, where each accepted REGISTER has a line."""
    port = free_port(HOST)
    configuration, log = folder / "kamailio.cfg", folder / "kamailio.log"
    configuration.write_text(
        KAMAILIO.format(
            host=HOST, port=port, domain=DOMAIN, password=PASSWORD, algorithm=algorithm, qop="1" if qop else "0"
        ),
        "utf-8",
    )
    command: list[str | Path] = [
        require("kamailio"),
        "-f",
        configuration,
        "-DD",
        "-E",
        "-m",
        "16",
        "-M",
        "4",
        "-Y",
        folder,
    ]
    with running(command, ready=lambda: answers_options(port), log=log):
        yield port, log


HEAD = """Via: SIP/2.0/[transport] [local_ip]:[local_port];branch=[branch]{rport}
From: <sip:{device}@{domain}>;tag=[pid]sipp[call_number]
To: <sip:{to}@{domain}>
Call-ID: {number}///[call_id]
Max-Forwards: 70
"""

ANSWER = """SIP/2.0 {status}
[last_Via:]
[last_From:]
[last_To:];tag=[pid]sipp[call_number]
[last_Call-ID:]
[last_CSeq:]
Contact: <sip:[local_ip]:[local_port];transport=[transport]>
"""


class Device:
    """What sipp plays: steps are added in their order, then it runs once, and ends by itself."""

    def __init__(self, port: int | None = None, *, transport: str = "u1", rport: bool = True) -> None:
        self.port = free_port(HOST) if port is None else port
        self._transport = transport
        self._rport = ";rport" if rport else ""
        self._steps: list[str] = []
        self._cseq = 0

    def register(self, *, password: str = PASSWORD, expires: int = 3600, expect: int = 200) -> None:
        """REGISTER, be asked for a login, log in with sipp's own Digest."""
        self._register(expires, "")
        self._steps.append('<recv response="401" auth="true"/>')
        self._register(expires, f"[authentication username={DEVICE} password={password}]\n")
        self.expect(expect)

    def _register(self, expires: int, login: str) -> None:
        self._send(
            "REGISTER",
            DEVICE,
            f"Contact: <sip:{DEVICE}@[local_ip]:[local_port]>\nExpires: {expires}\nUser-Agent: sipp device\n{login}",
            "",
        )

    def message(self, body: str, *, content_type: str = "Application/MANSCDP+xml") -> None:
        """A MESSAGE to us, answered with 200."""
        self._send("MESSAGE", PLATFORM, f"Content-Type: {content_type}\n" if content_type else "", body)
        self.expect(200)

    def keepalive(self, status: str = "OK") -> None:
        """The notice that the device is there."""
        self.message(
            '<?xml version="1.0"?><Notify><CmdType>Keepalive</CmdType><SN>43</SN>'
            f"<DeviceID>{DEVICE}</DeviceID><Status>{status}</Status></Notify>"
        )

    def asked(self) -> None:
        """A question of ours comes, and is answered with 200; its SN is ``[$sn]`` from now on."""
        self._steps.append(
            '<recv request="MESSAGE"><action>'
            '<ereg regexp="SN.([0-9]+)" search_in="body" check_it="true" assign_to="whole,sn"/>'
            "</action></recv>"
        )
        self.answer("200 OK")

    def invited(self, sender: str, description: str, *, listens: bool = False) -> None:
        """INVITE comes, is answered with ``description`` and acknowledged; then ``sender`` runs beside the call.

        ``[$port]`` and ``[$ssrc]`` are what the INVITE asks for.  A sender that ``listens`` runs before the answer.
        """
        run = f'<exec command="{sender}"/>'
        self._steps.append(
            '<recv request="INVITE"><action>'
            '<ereg regexp="m=video ([0-9]+)" search_in="body" check_it="true" assign_to="line,port"/>'
            '<ereg regexp="y=([0-9]+)" search_in="body" check_it="true" assign_to="other,ssrc"/>'
            f"{run if listens else ''}</action></recv>"
        )
        self.answer("100 Trying")
        if listens:
            self.pause(500)
        self.answer("200 OK", "Content-Type: application/sdp\n", description)
        self._steps.append('<recv request="ACK"/>' if listens else f'<recv request="ACK"><action>{run}</action></recv>')

    def hung_up(self) -> None:
        """BYE comes, and is answered."""
        self._steps.append('<recv request="BYE" timeout="10000"/>')
        self.answer("200 OK")

    def refuses(self, status: str) -> None:
        """INVITE comes, is refused, and the refusal acknowledged."""
        self._steps.append('<recv request="INVITE"/>')
        self.answer(status)
        self._steps.append('<recv request="ACK"/>')

    def expect(self, status: int) -> None:
        """An answer comes."""
        self._steps.append(f'<recv response="{status}"/>')

    def pause(self, milliseconds: int) -> None:
        """Nothing happens."""
        self._steps.append(f'<pause milliseconds="{milliseconds}"/>')

    def step(self, text: str) -> None:
        """A step in sipp's own words."""
        self._steps.append(text)

    @contextlib.contextmanager
    def running(self, folder: Path, registrar: int, *, encoding: str = "gb18030", calls: int = 1) -> Iterator["Run"]:
        """Run it while the block runs; it ends after so many calls, each of which has all steps."""
        scenario, log = folder / "scenario.xml", folder / "sipp.log"
        text = f'<?xml version="1.0"?>\n<scenario name="device">\n{"".join(self._steps)}\n'
        names = [name for each in re.findall('assign_to="([^"]+)"', text) for name in each.split(",")]
        if names:
            text += f'<Reference variables="{",".join(dict.fromkeys(names))}"/>\n'
        scenario.write_bytes((text + "</scenario>\n").encode(encoding))
        command: list[str | Path] = [require("sipp"), f"{HOST}:{registrar}", "-sf", scenario, "-i", HOST]
        command += ["-p", str(self.port), "-t", self._transport, "-m", str(calls), "-nostdin", "-timeout", "15"]
        command += ["-trace_err", "-error_file", folder / "errors.log", "-trace_msg", "-message_file", folder / "m.log"]
        with running(command, ready=lambda: True, log=log) as process:
            yield Run(process, folder)

    def _send(self, method: str, to: str, headers: str, body: str) -> None:
        self._cseq += 1
        head = HEAD.format(device=DEVICE, domain=DOMAIN, to=to, rport=self._rport, number=self._cseq)
        text = f"{method} sip:{PLATFORM}@{DOMAIN} SIP/2.0\n{head}CSeq: {self._cseq} {method}\n{headers}"
        self._steps.append(f'<send retrans="500"><![CDATA[\n{text}Content-Length: [len]\n\n{body}\n]]></send>')

    def answer(self, status: str, headers: str = "", body: str = "") -> None:
        """What came last is answered."""
        text = ANSWER.format(status=status)
        self._steps.append(f"<send><![CDATA[\n{text}{headers}Content-Length: [len]\n\n{body}\n]]></send>")


class Run:
    """A device that runs."""

    def __init__(self, process: subprocess.Popen[bytes], folder: Path) -> None:
        self._process, self._folder = process, folder

    async def ended_well(self, timeout: float = 10.0) -> bool:
        """Whether it ends in that time, with every step as told."""
        async with asyncio.timeout(timeout):
            while self._process.poll() is None:
                await asyncio.sleep(0.01)
        return self._process.returncode == 0

    @property
    def messages(self) -> str:
        """What was sent and received, and what sipp says of it."""
        files = (self._folder / name for name in ("m.log", "errors.log", "sipp.log"))
        return "\n".join(tail(file, 20_000) for file in files if file.exists())


def sender(*words: str) -> str:
    """A command of this interpreter that sends RTP, for ``Device.invited``."""
    return " ".join([sys.executable, str(Path(__file__).with_name("rtp_sender.py")), *words])


def ffmpeg(source: Path, *output: str) -> str:
    """A command of ffmpeg's that sends a file in real time, over and over."""
    words: Sequence[str] = [
        require("ffmpeg"),
        "-v",
        "quiet",
        "-re",
        "-stream_loop",
        "-1",
        "-i",
        str(source),
        "-c",
        "copy",
    ]
    return " ".join([*words, *output])
