"""The fixtures that every test may ask for. A peer is started when it is asked for, and stopped by its own id."""

import asyncio
import contextlib
import itertools
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal, Protocol

import pytest

from tests.support import gst_rtsp as gst_rtsp_peer
from tests.support import hostile as hostile_server
from tests.support import nginx as nginx_peer
from tests.support import snmpd as snmpd_peer
from tests.support import sshd as sshd_peer
from tests.support import webhook
from tests.support.authority import Authority, Certificate
from tests.support.gst_rtsp import Auth, GstRtsp
from tests.support.hostile import HostileServer, Manner
from tests.support.nginx import Nginx
from tests.support.prometheus import Alertmanager, Prometheus, run_tool, serve_alertmanager, serve_prometheus
from tests.support.snmpd import Snmpd
from tests.support.sshd import Sshd
from tests.support.virtual_time import VirtualTimeLoop
from tests.support.webhook import WebhookReceiver

CertificateKind = Literal["valid", "expired", "wrong_name"]


class StartNginx(Protocol):
    """`nginx(snippet="", tls=None)`."""

    def __call__(self, snippet: str = "", tls: CertificateKind | Certificate | None = None) -> Nginx:
        """Start one."""


class StartGstRtsp(Protocol):
    """`gst_rtsp(auth="none", tls=None, udp_only=False)`."""

    def __call__(
        self, auth: Auth = "none", tls: CertificateKind | Certificate | None = None, *, udp_only: bool = False
    ) -> GstRtsp:
        """Start one, or take the one of this module that is alike."""


class StartSshd(Protocol):
    """`sshd(extra="", new=False)`."""

    def __call__(self, extra: str = "", *, new: bool = False) -> Sshd:
        """Start one, or take the one of this module that is configured alike."""


class StartPrometheus(Protocol):
    """`prometheus(targets, config=None, interval="200ms", rules=())`."""

    def __call__(
        self,
        targets: Sequence[str] | None = None,
        *,
        config: Mapping[str, Any] | None = None,
        interval: str = "200ms",
        rules: Sequence[Path] = (),
    ) -> Prometheus:
        """Start one."""


class StartAlertmanager(Protocol):
    """`alertmanager(webhook=None, config=None)`."""

    def __call__(self, webhook: str | None = None, *, config: Mapping[str, Any] | None = None) -> Alertmanager:
        """Start one."""


class StartHostile(Protocol):
    """`await hostile(manner, transport="tcp", text=b"", after=None, tls=None)`."""

    def __call__(
        self,
        manner: Manner,
        transport: Literal["tcp", "udp"] = "tcp",
        *,
        text: bytes = b"",
        after: bytes | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> Awaitable[HostileServer]:
        """Start one."""


NewFolder = Callable[[str], Path]


@pytest.fixture(scope="module")
def new_folder(tmp_path_factory: pytest.TempPathFactory) -> NewFolder:
    """A new empty folder for a peer's files."""
    numbers = itertools.count()
    return lambda name: tmp_path_factory.mktemp(f"{name}{next(numbers)}")


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    """The run's certificate authority: `.ca_file`, `.valid`, `.expired`, `.wrong_name`, `.issue(...)`."""
    return Authority(tmp_path_factory.mktemp("authority"))


def _chosen(authority: Authority, tls: CertificateKind | Certificate | None) -> Certificate | None:
    if isinstance(tls, str):
        certificate: Certificate = getattr(authority, tls)
        return certificate
    return tls


@pytest.fixture
def nginx(new_folder: NewFolder, authority: Authority) -> Iterator[StartNginx]:
    """Start nginx with a snippet for its server block, plain or with one of the authority's certificates."""
    with contextlib.ExitStack() as stack:
        yield lambda snippet="", tls=None: stack.enter_context(
            nginx_peer.serve(new_folder("nginx"), snippet, _chosen(authority, tls))
        )


@pytest.fixture(scope="module")
def snmpd(new_folder: NewFolder) -> Iterator[Snmpd]:
    """An SNMP agent: community `public` (v2c), and a v3 user with SHA and AES."""
    with snmpd_peer.serve(new_folder("snmpd")) as agent:
        yield agent


@pytest.fixture(scope="module")
def gst_rtsp(new_folder: NewFolder, authority: Authority) -> Iterator[StartGstRtsp]:
    """Start GStreamer's RTSP server; calls that ask for the same share one within a module."""
    started: dict[tuple[Auth, Certificate | None, bool], GstRtsp] = {}
    with contextlib.ExitStack() as stack:

        def start(
            auth: Auth = "none", tls: CertificateKind | Certificate | None = None, *, udp_only: bool = False
        ) -> GstRtsp:
            certificate = _chosen(authority, tls)
            key = (auth, certificate, udp_only)
            if key not in started:
                server = gst_rtsp_peer.serve(new_folder("gst_rtsp"), auth, certificate, udp_only=udp_only)
                started[key] = stack.enter_context(server)
            return started[key]

        yield start


@pytest.fixture(scope="module")
def sshd(new_folder: NewFolder) -> Iterator[StartSshd]:
    """Start OpenSSH's server; calls that ask for the same share one within a module, unless a `new` one is wanted."""
    started: dict[str, Sshd] = {}
    with contextlib.ExitStack() as stack:

        def start(extra: str = "", *, new: bool = False) -> Sshd:
            if new:
                return stack.enter_context(sshd_peer.serve(new_folder("sshd"), extra))
            if extra not in started:
                started[extra] = stack.enter_context(sshd_peer.serve(new_folder("sshd"), extra))
            return started[extra]

        yield start


@pytest.fixture
def prometheus(new_folder: NewFolder) -> Iterator[StartPrometheus]:
    """Start Prometheus on targets to scrape."""
    with contextlib.ExitStack() as stack:

        def start(
            targets: Sequence[str] | None = None,
            *,
            config: Mapping[str, Any] | None = None,
            interval: str = "200ms",
            rules: Sequence[Path] = (),
        ) -> Prometheus:
            folder = new_folder("prometheus")
            return stack.enter_context(serve_prometheus(folder, targets, config=config, interval=interval, rules=rules))

        yield start


@pytest.fixture
def alertmanager(new_folder: NewFolder) -> Iterator[StartAlertmanager]:
    """Start Alertmanager, telling a webhook."""
    with contextlib.ExitStack() as stack:

        def start(webhook: str | None = None, *, config: Mapping[str, Any] | None = None) -> Alertmanager:
            return stack.enter_context(serve_alertmanager(new_folder("alertmanager"), webhook, config=config))

        yield start


@pytest.fixture
def promtool() -> Callable[..., Any]:
    """`promtool(*arguments, text="")`: run it, with `text` on its standard input; ends 3 on a mere lint."""
    return lambda *arguments, text="": run_tool("promtool", *arguments, text=text)


@pytest.fixture
def amtool() -> Callable[..., Any]:
    """`amtool(*arguments, text="")`: run it."""
    return lambda *arguments, text="": run_tool("amtool", *arguments, text=text)


@pytest.fixture
async def hostile() -> AsyncIterator[StartHostile]:
    """Start servers that misbehave."""
    async with contextlib.AsyncExitStack() as stack:

        async def start(
            manner: Manner,
            transport: Literal["tcp", "udp"] = "tcp",
            *,
            text: bytes = b"",
            after: bytes | None = None,
            tls: ssl.SSLContext | None = None,
        ) -> HostileServer:
            if transport == "udp":
                return await stack.enter_async_context(hostile_server.serve_udp(manner, text=text))
            return await stack.enter_async_context(hostile_server.serve_tcp(manner, text=text, after=after, tls=tls))

        yield start


@pytest.fixture
async def webhook_receiver() -> AsyncIterator[WebhookReceiver]:
    """A webhook's receiving end, over plain HTTP."""
    async with webhook.receive() as receiver:
        yield receiver


@pytest.fixture
async def tls_webhook_receiver(authority: Authority) -> AsyncIterator[WebhookReceiver]:
    """A webhook's receiving end, over TLS with the authority's valid certificate."""
    async with webhook.receive(authority.valid.server_context()) as receiver:
        yield receiver


@pytest.fixture
async def virtual_loop() -> VirtualTimeLoop:
    """The running loop of a test that is marked `virtual_time`."""
    loop = asyncio.get_running_loop()
    assert isinstance(loop, VirtualTimeLoop), "mark the test with @pytest.mark.virtual_time"
    return loop
