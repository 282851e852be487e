"""References to secrets: where they may point, and that no message shows them."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sentinel.config import ConfigRefused
from sentinel.config.document import parse
from sentinel.config.problems import Position, Problems
from sentinel.config.secrets import MAX_BYTES, Missing, Secrets
from tests.unit.config.conftest import Estate


def write(path: Path, text: str, mode: int = 0o600) -> Path:
    path.write_text(text, encoding="utf-8")
    path.chmod(mode)
    return path


def test_all_three_kinds_and_the_escape(tmp_path: Path) -> None:
    write(tmp_path / "inside", "from a file\n")
    (tmp_path / "credentials").mkdir()
    write(tmp_path / "credentials" / "duty", "from systemd", 0o440)
    environment = {"NAME": "from the environment", "CREDENTIALS_DIRECTORY": str(tmp_path / "credentials")}
    node = parse(
        b"a: ${env:NAME}\nb: 'x ${file:inside} y'\nc: ${credential:duty}\nd: $${env:NAME}\ne: ${untouched}\nf: 5\n", "f"
    )
    problems = Problems()
    Secrets([tmp_path], environment).expand(node, problems)
    assert problems.errors == []
    assert node.plain() == {
        "a": "from the environment",
        "b": "x from a file y",
        "c": "from systemd",
        "d": "${env:NAME}",
        "e": "${untouched}",
        "f": 5,
    }


def test_what_a_secret_holds_is_never_structure(tmp_path: Path) -> None:
    node = parse(b"a: ${env:EVIL}\n", "f")
    Secrets([], {"EVIL": "x\nb: 1 ${env:EVIL}"}).expand(node, Problems())
    assert node.plain() == {"a": "x\nb: 1 ${env:EVIL}"}


def test_a_file_by_its_absolute_path(tmp_path: Path) -> None:
    path = write(tmp_path / "secret", "x")
    assert Secrets([tmp_path]).look_up("file", str(path)) == "x"


@pytest.mark.parametrize("name", ["../outside", "/etc/passwd", "link", "folder/../../outside"])
def test_files_outside_are_refused(tmp_path: Path, name: str) -> None:
    inside = tmp_path / "inside"
    (inside / "folder").mkdir(parents=True)
    write(tmp_path / "outside", "geheim")
    (inside / "link").symlink_to(tmp_path / "outside")
    with pytest.raises(Missing, match="outside of"):
        Secrets([inside]).look_up("file", name)


def test_a_link_that_stays_inside_is_followed(tmp_path: Path) -> None:
    write(tmp_path / "real", "x")
    (tmp_path / "link").symlink_to("real")
    assert Secrets([tmp_path]).look_up("file", "link") == "x"


def test_a_file_that_everybody_may_read_is_refused(tmp_path: Path) -> None:
    write(tmp_path / "open", "x", 0o644)
    with pytest.raises(Missing, match="chmod 600"):
        Secrets([tmp_path]).look_up("file", "open")
    write(tmp_path / "group", "x", 0o640)
    assert Secrets([tmp_path]).look_up("file", "group") == "x"


def test_what_is_no_file_of_text_is_refused(tmp_path: Path) -> None:
    secrets = Secrets([tmp_path])
    (tmp_path / "folder").mkdir(mode=0o700)
    os.mkfifo(tmp_path / "pipe", 0o600)
    write(tmp_path / "large", "x" * (MAX_BYTES + 1))
    (tmp_path / "binary").write_bytes(b"\xff")
    (tmp_path / "binary").chmod(0o600)
    for name, message in (
        ("folder", "no regular file"),
        ("pipe", "no regular file"),
        ("large", "larger than"),
        ("binary", "UTF-8"),
        ("none", "No such file"),
    ):
        with pytest.raises(Missing, match=message):
            secrets.look_up("file", name)


@pytest.mark.parametrize("name", ["../duty", ".hidden", "a/b"])
def test_a_credential_is_a_name(tmp_path: Path, name: str) -> None:
    with pytest.raises(Missing, match="no name"):
        Secrets([], {"CREDENTIALS_DIRECTORY": str(tmp_path)}).look_up("credential", name)


def test_no_credentials_outside_of_systemd() -> None:
    with pytest.raises(Missing, match="systemd"):
        Secrets([], {}).look_up("credential", "duty")


def test_no_message_shows_a_secret(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAD_PASSWORD", "bad-hunter2")
    estate.change(
        "inventory", "{port: 3389}", '{port: 3389, password: "${env:BAD_PASSWORD}", mode: "${env:BAD_PASSWORD}"}'
    )
    estate.change("alerting", "{url", '{retries: "${env:BAD_PASSWORD}", url')
    estate.change("inventory", "zone: external", 'zone: "${env:BAD_PASSWORD}"')
    with pytest.raises(ConfigRefused) as refused:
        estate.load()
    assert len(refused.value.problems) == 3
    assert "hunter2" not in str(refused.value)


def test_a_protocol_that_repeats_a_secret_in_its_error(estate: Estate, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BAD_PASSWORD", "bad-hunter2")
    estate.change("inventory", "{port: 3389}", '{port: 3389, password: "${env:BAD_PASSWORD}"}')
    with pytest.raises(ConfigRefused, match=r"the password \*\*\* will not do"):
        estate.load()


def test_a_secret_that_is_missing_is_one_error(estate: Estate) -> None:
    estate.change("alerting", "{url", '{retries: "${env:NO_SUCH_VARIABLE}", url')
    with pytest.raises(ConfigRefused) as refused:
        estate.load()
    assert len(refused.value.problems) == 1


def test_directories_of_secrets_are_configured(estate: Estate, tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    vault.mkdir()
    write(vault / "hook", "https://198.51.100.7/")
    estate.change("alerting", '"https://198.51.100.1/"', f'"${{file:{vault}/hook}}"')
    with pytest.raises(ConfigRefused, match="outside of"):
        estate.load()
    estate.write("sentinel", f"secret_directories: [{vault}]\n")
    options = estate.load().channels["duty"].options
    assert options.url.get_secret_value() == "https://198.51.100.7/"  # type: ignore[attr-defined]  # HookOptions of conftest
    estate.write("sentinel", "secret_directories: [vault]\n")
    with pytest.raises(ConfigRefused, match="an absolute path is expected"):
        estate.load()


@given(st.text(min_size=3, max_size=20))
def test_a_concealed_text_is_in_no_message(secret: str) -> None:
    problems = Problems()
    problems.conceal(secret)
    problems.error(Position("f"), f"before {secret} after")
    assert problems.errors[0].message.count(secret) <= "before *** after".count(secret)
