"""The HTTP server: on loopback for everybody on this host, elsewhere only with TLS and a token, and on a Unix socket.

The Unix socket (mode 0600) serves the same routes and those that change something; whoever may open it is the
daemon's own user, so no token is asked for there.
"""

from __future__ import annotations

import asyncio
import ipaddress
import os
import socket
import ssl
import stat
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

from aiohttp import web
from pydantic import SecretStr

from sentinel.config.configuration import DaemonSettings
from sentinel.web import api, auth, intake, live, page
from sentinel.web.view import VIEW, WebView

TOKEN_LENGTH = 16
"""Characters that a token has at least where others than this host can guess at it."""
_STOP = 2.0
"""Seconds that requests in flight have when the daemon stops; a restart must not wait for a browser."""


class ListenRefused(Exception):
    """The daemon must not or cannot listen as the configuration asks: the message says why, and what to set."""


@dataclass(frozen=True, slots=True)
class Listener:
    """Where the page is served; ``port`` 0 takes a free one."""

    host: str = "127.0.0.1"
    port: int = 0
    tls_cert: Path | None = None
    tls_key: Path | None = None
    token: SecretStr | None = None

    @classmethod
    def of(cls, settings: DaemonSettings) -> Listener:
        """As ``sentinel.yaml`` says."""
        return cls(settings.host, settings.port, settings.tls_cert, settings.tls_key, settings.token)

    @property
    def loopback(self) -> bool:
        """Whether only this host reaches it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return False

    def refuse(self) -> None:
        """Refuse an address that others reach, unless what is read there is guarded.

        Raises:
            ListenRefused: with everything that is missing.
        """
        if (self.tls_cert is None) is not (self.tls_key is None):
            raise ListenRefused("TLS needs both a certificate and a key: set tls_cert and tls_key")
        if self.loopback:
            return
        missing = []
        if self.tls_cert is None:
            missing.append("TLS (tls_cert and tls_key)")
        if self.token is None or len(self.token.get_secret_value()) < TOKEN_LENGTH:
            missing.append(f"a token of at least {TOKEN_LENGTH} characters (token)")
        if missing:
            raise ListenRefused(
                f"{self.host} is reached from other hosts, so it needs {' and '.join(missing)}; "
                "or listen on 127.0.0.1 and put a proxy in front"
            )

    def context(self) -> ssl.SSLContext | None:
        """The TLS context, None without TLS.

        Raises:
            ListenRefused: the files cannot be read or do not fit together.
        """
        if self.tls_cert is None:
            return None
        context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        try:
            context.load_cert_chain(self.tls_cert, self.tls_key)
        except (OSError, ssl.SSLError) as error:
            raise ListenRefused(f"the certificate {self.tls_cert} and its key cannot be used: {error}") from error
        return context


def make_app(view: WebView, *, control: bool = False) -> web.Application:
    """All routes over one view; ``control`` adds those that change something and asks for no token."""
    app = web.Application(client_max_size=16_384)
    app[VIEW] = view
    app.on_response_prepare.append(auth.harden)
    if not control:
        auth.install(app)
    page.install(app)
    live.install(app)
    api.install(app, control=control)
    intake.install(app)
    return app


@asynccontextmanager
async def listening(view: WebView, listener: Listener, control: Path | None) -> AsyncIterator[str]:
    """Serve until the block ends; the value is the page's address, with the port that was taken.

    Raises:
        ListenRefused: see ``Listener``, or the address or the socket is in use.
    """
    listener.refuse()
    context = await asyncio.to_thread(listener.context)
    async with AsyncExitStack() as stack:
        if control is not None:
            unix = await asyncio.to_thread(_control_socket, control)
            stack.callback(control.unlink, missing_ok=True)
            runner = await _running(stack, make_app(view, control=True))
            await web.SockSite(runner, unix).start()
        runner = await _running(stack, make_app(view))
        site = web.TCPSite(runner, listener.host, listener.port, ssl_context=context)
        try:
            await site.start()
        except OSError as error:
            raise ListenRefused(f"{listener.host} port {listener.port}: {error.strerror or error}") from error
        host, port = runner.addresses[0][:2]
        shown = f"[{host}]" if ":" in host else host
        yield f"{'http' if context is None else 'https'}://{shown}:{port}/"


async def _running(stack: AsyncExitStack, app: web.Application) -> web.AppRunner:
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=_STOP, handle_signals=False, keepalive_timeout=30)
    await runner.setup()
    stack.push_async_callback(runner.cleanup)
    return runner


def _control_socket(path: Path) -> socket.socket:
    """A Unix socket that its owner alone may open.

    The mode is set between bind and listen: nobody can connect before.
    """
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    _clear(path)
    unix = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        unix.bind(os.fspath(path))
        path.chmod(0o600)
        unix.listen(16)
    except OSError as error:
        unix.close()
        raise ListenRefused(f"the control socket {path}: {error.strerror or error}") from error
    unix.setblocking(False)
    return unix


def _clear(path: Path) -> None:
    """Remove what a killed daemon left; refuse where a living one listens, or where it is no socket at all."""
    try:
        mode = path.lstat().st_mode
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(mode):
        raise ListenRefused(f"the control socket {path}: something else is there")
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.settimeout(1.0)
        try:
            probe.connect(os.fspath(path))
        except ConnectionRefusedError:
            path.unlink()
        except OSError as error:
            raise ListenRefused(f"the control socket {path}: {error.strerror or error}") from error
        else:
            raise ListenRefused(f"the control socket {path}: another daemon listens there")
