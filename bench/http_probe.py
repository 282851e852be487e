"""HTTP over a new connection each: CPU of our runner and probe beside blackbox_exporter's, against one nginx.

python -m bench.http_probe [--probes N] [--json FILE]
"""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

import uvloop

from bench.peers import accepts, finish, free_port, locate, options, running
from bench.probing import probe, scrape
from sentinel.protocols.http import PROTOCOL
from tests.support.authority import Authority
from tests.support.nginx import serve

AT_ONCE = 16
LIMITS = {"http": 0.5, "https": 1.15}  # of blackbox_exporter's CPU; with TLS both pay OpenSSL's and Go's price for it

BLACKBOX = """
modules:
  plain:
    prober: http
    timeout: 5s
    http: {preferred_ip_protocol: ip4}
  tls:
    prober: http
    timeout: 5s
    http: {preferred_ip_protocol: ip4, tls_config: {ca_file: %s}}
"""


def _options(scheme: str, port: int, ca_file: Path) -> dict[str, Any]:
    return {"scheme": scheme, "port": port, "tls_ca_file": str(ca_file) if scheme == "https" else None}


def main() -> int:
    """Measure both sides for HTTP and HTTPS, alternating, and compare."""
    parser = options("http", __doc__ or "")
    parser.add_argument("--probes", type=int, default=3_200, help="probes of each kind")
    chosen = parser.parse_args()
    figures: dict[str, float] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        authority = Authority(folder)
        (folder / "blackbox.yml").write_text(BLACKBOX % authority.ca_file, "utf-8")
        (folder / "plain").mkdir()
        (folder / "tls").mkdir()
        port = free_port()
        command = [
            locate("blackbox_exporter"),
            f"--config.file={folder / 'blackbox.yml'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=error",
        ]
        snippet = 'location / { return 200 "nginx is here"; access_log off; }'
        with (
            serve(folder / "plain", snippet) as plain,
            serve(folder / "tls", snippet, authority.valid) as tls,
            running(command, ready=lambda: accepts("127.0.0.1", port), log=folder / "blackbox.log") as blackbox,
        ):
            for module, scheme, server in (("plain", "http", plain), ("tls", "https", tls)):
                asked = _options(scheme, server.port, authority.ca_file)
                ours = uvloop.run(probe(PROTOCOL, asked, chosen.probes, AT_ONCE))
                path = f"/probe?module={module}&target={quote(server.url, safe='')}"
                theirs = scrape((blackbox.pid, port), path, b"\nprobe_success 1\n", chosen.probes, AT_ONCE)
                for side, (used, outcomes) in (("sentinel", ours), ("blackbox", theirs)):
                    if set(outcomes) != {"ok"}:
                        sys.exit(f"http: {side} over {scheme}: {dict(outcomes)}: nothing was measured")
                    figures[f"{side} {scheme}, CPU ms per 1,000"] = used / outcomes.total() * 1e6
    ratios = {
        scheme: (
            figures[f"sentinel {scheme}, CPU ms per 1,000"] / figures[f"blackbox {scheme}, CPU ms per 1,000"],
            limit,
        )
        for scheme, limit in LIMITS.items()
    }
    return finish("http", {**figures}, ratios, chosen.json)


if __name__ == "__main__":
    sys.exit(main())
