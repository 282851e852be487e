"""The real programs that tests talk to: what each is called, where Debian has it, and what happens where it is missing.

`python -m tests.support.peers --missing` prints the Debian packages that ./test has to install.
"""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache

SYSTEM_PYTHON = "/usr/bin/python3"
"""Debian's interpreter: GObject's bindings (`gi`) are made for it alone."""

SEARCH_PATH = os.pathsep.join([os.environ.get("PATH", os.defpath), "/usr/sbin", "/sbin"])


class PeerMissingError(Exception):
    """A test needs a program that this machine has not got."""


@dataclass(frozen=True, slots=True)
class Peer:
    """One program, and how to tell that it is there."""

    name: str
    executable: str
    packages: tuple[str, ...]
    """Debian packages."""
    proof: tuple[str, ...] = ()
    """A command that ends with 0 only where everything is installed, for peers that are more than one file."""

    @property
    def install_line(self) -> str:
        """What a person types to get it."""
        return f"sudo apt-get install {' '.join(self.packages)}"


GST_RTSP_PROOF = """
import gi
gi.require_version("GstRtspServer", "1.0")
from gi.repository import Gio, Gst, GstRtspServer
Gst.init(None)
needed = ("videotestsrc", "x264enc", "x265enc", "jpegenc", "rtph264pay")
raise SystemExit(not all(map(Gst.ElementFactory.find, needed)) or not Gio.TlsBackend.get_default().supports_tls())
"""

PEERS = {
    peer.name: peer
    for peer in (
        Peer("alertmanager", "prometheus-alertmanager", ("prometheus-alertmanager",)),
        Peer("amtool", "amtool", ("prometheus-alertmanager",)),
        Peer("blackbox_exporter", "prometheus-blackbox-exporter", ("prometheus-blackbox-exporter",)),
        Peer("baresip", "baresip", ("baresip-core",)),
        Peer("chronyd", "chronyd", ("chrony",)),
        Peer(
            "chromium",
            "chromium",
            ("chromium", "fonts-noto-cjk"),
            proof=("sh", "-c", "command -v chromium && ls /usr/share/fonts/opentype/noto/NotoSansCJK-Regular.ttc"),
        ),
        Peer("curl", "curl", ("curl",)),
        Peer("django", SYSTEM_PYTHON, ("python3-django",), proof=(SYSTEM_PYTHON, "-c", "import django.contrib.admin")),
        Peer("ffmpeg", "ffmpeg", ("ffmpeg",)),
        Peer("ffprobe", "ffprobe", ("ffmpeg",)),
        Peer("fping", "fping", ("fping",)),
        Peer(
            "gst-launch",
            "gst-launch-1.0",
            ("gstreamer1.0-tools", "gstreamer1.0-plugins-base", "gstreamer1.0-plugins-good", "gstreamer1.0-libav"),
        ),
        Peer(
            "gst_rtsp",
            SYSTEM_PYTHON,
            (
                "python3-gi",
                "gir1.2-gstreamer-1.0",
                "gir1.2-gst-rtsp-server-1.0",
                "gstreamer1.0-plugins-base",
                "gstreamer1.0-plugins-good",
                "gstreamer1.0-plugins-bad",
                "gstreamer1.0-plugins-ugly",
                "glib-networking",
            ),
            proof=(SYSTEM_PYTHON, "-c", GST_RTSP_PROOF),
        ),
        Peer("ip", "ip", ("iproute2",)),
        Peer(
            "kamailio",
            "kamailio",
            ("kamailio", "kamailio-tls-modules"),
            proof=("sh", "-c", "command -v kamailio && ls /usr/lib/*/kamailio/modules/tls.so"),
        ),
        Peer("knotd", "knotd", ("knot",)),
        Peer("memcached", "memcached", ("memcached",)),
        Peer("nft", "nft", ("nftables",)),
        Peer("nsenter", "nsenter", ("util-linux",)),
        Peer("nginx", "nginx", ("nginx-light",)),
        Peer("openssl", "openssl", ("openssl",)),
        Peer("prometheus", "prometheus", ("prometheus",)),
        Peer("promtool", "promtool", ("prometheus",)),
        Peer("sipp", "sipp", ("sip-tester",)),
        Peer("sipsak", "sipsak", ("sipsak",)),
        Peer("redis", "redis-server", ("redis-server",)),
        Peer("snmp_exporter", "prometheus-snmp-exporter", ("prometheus-snmp-exporter",)),
        Peer("snmpd", "snmpd", ("snmpd",)),
        Peer("snmpget", "snmpget", ("snmp",)),
        Peer("snmpinform", "snmpinform", ("snmp",)),
        Peer("snmptranslate", "snmptranslate", ("snmp",)),
        Peer("snmptrap", "snmptrap", ("snmp",)),
        Peer("snmpwalk", "snmpwalk", ("snmp",)),
        Peer("sshd", "sshd", ("openssh-server",)),
        Peer("strace", "strace", ("strace",)),
        Peer("stunnel", "stunnel4", ("stunnel4",)),
        Peer("systemd-analyze", "systemd-analyze", ("systemd",)),
        Peer("unshare", "unshare", ("util-linux", "mount")),
        Peer("tshark", "tshark", ("tshark",)),
        Peer("unbound", "unbound", ("unbound",)),
    )
}


@cache
def find(name: str) -> str | None:
    """The peer's path, or None where it, or a part of it, is missing."""
    peer = PEERS[name]
    path = shutil.which(peer.executable, path=SEARCH_PATH)
    if path and peer.proof:
        environment = os.environ | {"PATH": SEARCH_PATH}
        ended = subprocess.run(peer.proof, check=False, capture_output=True, timeout=60, env=environment)
        return path if ended.returncode == 0 else None
    return path


def locate(name: str) -> str:
    """The peer's path.

    Raises PeerMissingError with the line that installs it.
    """
    path = find(name)
    if path is None:
        message = f"the tests need {name}, which is not installed. Please run:  {PEERS[name].install_line}"
        raise PeerMissingError(message)
    return path


def require(name: str) -> str:
    """The peer's path; where it is missing the test skips, and fails on a machine that promised it (CI=true)."""
    import pytest  # ./test asks this module for packages, and need not wait for pytest to be imported

    try:
        return locate(name)
    except PeerMissingError as missing:
        if os.environ.get("CI") == "true":
            pytest.fail(str(missing), pytrace=False)
        pytest.skip(str(missing))


def missing_packages() -> list[str]:
    """Debian packages of every peer that is not there, each once."""
    return sorted({package for name, peer in PEERS.items() if find(name) is None for package in peer.packages})


if __name__ == "__main__":
    if sys.argv[1:] != ["--missing"]:
        sys.exit("usage: python -m tests.support.peers --missing")
    print(" ".join(missing_packages()))  # noqa: T201  # the answer
