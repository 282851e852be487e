"""nginx, the web server that http, tcp and tls checks are proved on."""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.authority import Certificate
from tests.support.peers import require
from tests.support.ports import free_port
from tests.support.process import accepts, running

HOST = "127.0.0.1"

CONFIGURATION = """
{user}
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log stderr notice;
events {{ worker_connections 256; }}
http {{
    access_log {folder}/access.log;
    client_body_temp_path {folder}/body;
    proxy_temp_path {folder}/proxy;
    fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi;
    scgi_temp_path {folder}/scgi;
    default_type text/plain;
    server {{
        listen {host}:{port}{ssl};
        {tls}
        root {folder}/www;
        {snippet}
    }}
}}
"""

TLS = """
        ssl_certificate {certificate};
        ssl_certificate_key {key};
        ssl_protocols TLSv1.2 TLSv1.3;
"""


@dataclass(frozen=True, slots=True)
class Nginx:
    """A server that is up."""

    port: int
    folder: Path
    tls: bool
    host: str = HOST

    @property
    def url(self) -> str:
        """Its root, without the last slash."""
        return f"http{'s' if self.tls else ''}://{self.host}:{self.port}"

    @property
    def www(self) -> Path:
        """The files it serves."""
        return self.folder / "www"

    @property
    def access_log(self) -> str:
        """The requests so far, one a line."""
        return (self.folder / "access.log").read_text("utf-8")


@contextlib.contextmanager
def serve(folder: Path, snippet: str = "", certificate: Certificate | None = None) -> Iterator[Nginx]:
    """Run nginx with `snippet` inside its one server block; with a certificate it speaks TLS only.

    Without a snippet, `/` answers 200 with the text "nginx is here".
    """
    executable = require("nginx")
    port = free_port(HOST)
    (folder / "www").mkdir()
    (folder / "www" / "index.html").write_text("nginx is here\n", "utf-8")
    tls = TLS.format(certificate=certificate.certificate, key=certificate.key) if certificate else ""
    (folder / "nginx.conf").write_text(
        CONFIGURATION.format(
            user="user root;" if os.geteuid() == 0 else "",  # another user could not read the test's folder
            folder=folder,
            host=HOST,
            port=port,
            ssl=" ssl" if certificate else "",
            tls=tls,
            snippet=snippet,
        ),
        "utf-8",
    )
    command: list[str | Path] = [executable, "-p", folder, "-e", "stderr", "-c", folder / "nginx.conf"]
    with running(command, ready=lambda: accepts(HOST, port), log=folder / "nginx.log"):
        yield Nginx(port, folder, tls=certificate is not None)
