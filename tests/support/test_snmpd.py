import subprocess

from tests.support.peers import require
from tests.support.snmpd import Snmpd

SYS_NAME = ".1.3.6.1.2.1.1.5.0"


def snmpget(agent: Snmpd, *credentials: str) -> str:
    once = ["-t", "1", "-r", "0"]
    command = [require("snmpget"), "-m", "", "-On", *once, *credentials, f"{agent.host}:{agent.port}", SYS_NAME]
    return subprocess.run(command, check=False, capture_output=True, text=True, timeout=10).stdout


def test_answers_the_community(snmpd: Snmpd) -> None:
    assert '"test-agent"' in snmpget(snmpd, "-v2c", "-c", snmpd.community)


def test_answers_the_user_with_authentication_and_privacy(snmpd: Snmpd) -> None:
    user = ["-v3", "-l", "authPriv", "-u", snmpd.user, "-a", "SHA", "-A", snmpd.auth_password]
    assert '"test-agent"' in snmpget(snmpd, *user, "-x", "AES", "-X", snmpd.priv_password)
    assert "test-agent" not in snmpget(snmpd, *user, "-x", "AES", "-X", "another-password")
