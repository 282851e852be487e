"""Django's administration site as a business system that one logs into; see django_server.py."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.support.peers import SYSTEM_PYTHON, require
from tests.support.ports import free_port
from tests.support.process import answers, running

HOST = "127.0.0.1"
USER = "duty-officer"
PASSWORD = "p&ss wörd={x}+%41"  # whatever is not encoded as it should be is another password
PROXY = """
    location / {{
        proxy_pass http://{host}:{port};
        proxy_set_header Host $http_host;
        proxy_set_header X-Forwarded-Proto $scheme;
    }}
"""


@dataclass(frozen=True, slots=True)
class DjangoSite:
    """A site that is up: its page is /admin/."""

    port: int
    log: Path
    host: str = HOST
    user: str = USER
    password: str = PASSWORD

    @property
    def behind(self) -> str:
        """The snippet with which nginx stands before it."""
        return PROXY.format(host=self.host, port=self.port)


@contextlib.contextmanager
def serve(folder: Path) -> Iterator[DjangoSite]:
    """Run the site."""
    require("django")
    port = free_port(HOST)
    script = Path(__file__).with_name("django_server.py")
    # A virtual environment's variables and the coverage hook are meant for another interpreter.
    environment = {"PYTHONPATH": "", "PYTHONHOME": "", "COVERAGE_PROCESS_START": "", "PYTHONUTF8": "1"}
    command: list[str | Path] = [SYSTEM_PYTHON, script, folder, str(port), USER, PASSWORD]
    ready = f"http://{HOST}:{port}/admin/login/"
    with running(command, ready=lambda: answers(ready), log=folder / "django.log", env=environment):
        yield DjangoSite(port, folder / "django.log")
